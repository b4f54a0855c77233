// Values as text: as {{ }} prints them, as Python's repr writes them, or as JSON.
#pragma once

#include <optional>
#include <string>

#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

std::string to_text(Machine& machine, const Value& value);  // str()
std::string repr(Machine& machine, const Value& value);

// The output of Python's json.dumps, with its parameters.
struct JsonStyle {
  bool ascii = false;
  std::optional<std::string> indent;  // of each level; nothing: all in one line
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};
std::string to_json(Machine& machine, const Value& value, const JsonStyle& style);

}  // namespace weft::jinja
