// From tokens to a tree.
#pragma once

#include <string_view>

#include "runtime/text/jinja/ast.h"

namespace weft::jinja {

// Parses a normalized source. Throws SyntaxFault (lexer.h); tags of Jinja that chat templates do not use (include,
// extends, block ...) are refused by name.
Block parse(std::string_view source);

}  // namespace weft::jinja
