// A template's source as tokens, with Jinja's rules of white space for trim_blocks and lstrip_blocks (which the
// libraries that render chat templates set): a newline after a block is dropped, and so are spaces before a block
// that comes first in its line.
// Syntax: https://jinja.palletsprojects.com/en/stable/templates/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::jinja {

enum class TokenType : uint8_t {
  data,  // text: what stands between the blocks
  output_begin,
  output_end,  // {{ }}
  block_begin,
  block_end,  // {% %}
  name,
  string,
  integer,
  real,    // text: the name; the string's content; the digits
  symbol,  // text: "+", "=="
  end,
};

struct Token {
  TokenType type;
  uint32_t at;  // byte of the source
  std::string text;

  bool is_name(std::string_view name) const { return type == TokenType::name && text == name; }
  bool is_symbol(std::string_view symbol) const { return type == TokenType::symbol && text == symbol; }
};

// An error and its position.
struct SyntaxFault {
  uint32_t at;
  std::string message;
};

// Newlines as "\n", without one at the end.
std::string normalize_newlines(std::string_view source);

// The tokens of a normalized source; the last is an `end`. Throws SyntaxFault.
std::vector<Token> tokenize(std::string_view source);

}  // namespace weft::jinja
