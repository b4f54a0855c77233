#include "runtime/text/jinja/parameters.h"

#include <algorithm>

namespace weft::jinja {

Parameters::Parameters(std::string_view function, const Arguments& arguments,
                       std::initializer_list<std::string_view> names, size_t required)
    : function_(function), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names_.size()) {
    throw Fault{function_ + " takes at most " + std::to_string(names_.size()) + " arguments, not " +
                std::to_string(arguments.positional.size())};
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end()) throw Fault{function_ + " has no parameter '" + name + "'"};
    const Value*& slot = values_[static_cast<size_t>(at - names_.begin())];
    if (slot != nullptr) throw Fault{function_ + " is given '" + name + "' twice"};
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) throw Fault{function_ + " wants its argument '" + std::string(names_[i]) + "'"};
  }
}

void Parameters::fail(size_t index, const char* wanted) const {
  throw Fault{function_ + ": '" + std::string(names_[index]) + "' wants " + wanted + ", got a " +
              get(index).type_name()};
}

std::optional<std::string_view> Parameters::string(size_t index) const {
  if (!given(index) || get(index).is_none()) return std::nullopt;
  if (!get(index).is_string()) fail(index, "a string");
  return get(index).as_string();
}

int64_t Parameters::integer(size_t index, int64_t fallback) const {
  if (!given(index)) return fallback;
  if (!get(index).is_integral()) fail(index, "an integer");
  return get(index).as_int();
}

bool Parameters::boolean(size_t index, bool fallback) const { return given(index) ? get(index).truth() : fallback; }

}  // namespace weft::jinja
