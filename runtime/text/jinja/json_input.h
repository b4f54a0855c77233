// Untrusted JSON as values: the order of members is kept.
#pragma once

#include <string>
#include <string_view>

#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

// Throws Error "SOURCE: byte N: reason" for text that is not JSON, is nested deeper than 64 levels, or has
// integers beyond 64 bits; Fault beyond the machine's budget.
Value read_json_value(Machine& machine, std::string_view text, const std::string& source);

}  // namespace weft::jinja
