// The filters, tests and global functions of Jinja that chat templates use.
#pragma once

#include <string_view>

#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

bool has_filter(std::string_view name);
bool has_test(std::string_view name);

// Throw Fault for a name that is not known.
Value apply_filter(Machine& machine, std::string_view name, const Value& value, const Arguments& arguments);
bool apply_test(Machine& machine, std::string_view name, const Value& value, const Arguments& arguments);

// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; nothing for other names.
std::optional<Value> global_function(Machine& machine, std::string_view name);

}  // namespace weft::jinja
