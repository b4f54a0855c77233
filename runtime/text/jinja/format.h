// Python's two ways to format values into text.
#pragma once

#include <string_view>

#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

// pattern % values: a tuple, a dict for %(name)s, or a single value. Conversions s r d i u x X o c f F e E g G %.
Value format_percent(Machine& machine, std::string_view pattern, const Value& values);

// pattern.format(...): fields {}, {0}, {name}, with attributes and elements, !s and !r, and format specifications of
// strings and numbers ([[fill]align][sign][0][width][,][.precision][type]).
Value format_braces(Machine& machine, std::string_view pattern, const Arguments& arguments);

}  // namespace weft::jinja
