// Matches the arguments of a call with the names of a function's parameters.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

class Parameters {
 public:
  // Throws Fault for too many arguments, unknown names, and if one of the first `required` is missing.
  Parameters(std::string_view function, const Arguments& arguments, std::initializer_list<std::string_view> names,
             size_t required = 0);

  const Value* find(size_t index) const { return values_[index]; }  // null if it is not given
  const Value& get(size_t index) const { return *values_[index]; }  // one of the required
  bool given(size_t index) const { return values_[index] != nullptr; }

  // These throw for a value of another type.
  std::optional<std::string_view> string(size_t index) const;  // nothing if absent or none
  int64_t integer(size_t index, int64_t fallback) const;
  bool boolean(size_t index, bool fallback) const;  // by truth

 private:
  [[noreturn]] void fail(size_t index, const char* wanted) const;

  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;  // into the arguments
};

}  // namespace weft::jinja
