// The methods of strings, lists and dicts.
#pragma once

#include <string_view>

#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

bool has_method(const Value& object, std::string_view name);
// Whether Python has a method of that name that changes the object: templates may not call these.
bool changes_value(const Value& object, std::string_view name);

Value bound_method(Machine& machine, const Value& object, std::string_view name);  // for an object that has it
Value call_method(Machine& machine, const Value& object, std::string_view name, Arguments& arguments);

}  // namespace weft::jinja
