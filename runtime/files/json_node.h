// A value in a JSON file together with its path, for messages. For use in .cc files.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/json.h"

namespace weft {

class JsonNode {
 public:
  // `source` and `value` must outlive the node.
  JsonNode(const Json& value, const std::string& source) : value_(&value), source_(&source) {}

  const Json& value() const { return *value_; }
  bool is_null() const { return value_->is_null(); }

  // "FILE: model.merges[3]: reason".
  std::string message(const std::string& reason) const {
    return *source_ + ": " + (path_.empty() ? "" : path_ + ": ") + reason;
  }
  [[noreturn]] void fail(const std::string& reason) const { throw Error(message(reason)); }

  // A member, which may be absent: then the node is null.
  JsonNode at(std::string_view key) const {
    static const Json null;
    if (!value_->is_object()) fail("is not an object");
    const Json* member = find(*value_, key);
    return JsonNode(member != nullptr ? *member : null, *source_,
                    path_ + (path_.empty() ? "" : ".") + std::string(key));
  }

  // fun(JsonNode) for every element of an array; none for null.
  template <class Fun>
  void each(Fun fun) const {
    if (is_null()) return;
    if (!value_->is_array()) fail("is not an array");
    for (size_t i = 0; i < value_->size(); ++i) {
      fun(JsonNode((*value_)[i], *source_, path_ + "[" + std::to_string(i) + "]"));
    }
  }

  // fun(key, JsonNode) for every member of an object; none for null.
  template <class Fun>
  void each_member(Fun fun) const {
    if (is_null()) return;
    if (!value_->is_object()) fail("is not an object");
    for (const auto& [key, member] : value_->items()) {
      fun(key, JsonNode(member, *source_, path_ + "[" + in_quotes(key) + "]"));
    }
  }

  const std::string& text() const {
    if (!value_->is_string()) fail(is_null() ? "is absent" : "is not a string");
    return value_->get_ref<const std::string&>();
  }
  bool flag(bool fallback) const {
    if (is_null()) return fallback;
    if (!value_->is_boolean()) fail("is neither true nor false");
    return value_->get<bool>();
  }
  // From 0 to 2^31 - 1; "2.0" counts as whole.
  int32_t id() const {
    if (!value_->is_number()) fail(is_null() ? "is absent" : "is not a whole number");
    const auto number = value_->get<double>();  // exact in the range that is accepted
    if (std::trunc(number) != number) fail("is " + value_->dump() + ", not a whole number");
    if (number < 0 || number > INT32_MAX) fail("is " + value_->dump() + ", wanted 0 to 2^31 - 1");
    return static_cast<int32_t>(number);
  }

 private:
  JsonNode(const Json& value, const std::string& source, std::string path)
      : value_(&value), source_(&source), path_(std::move(path)) {}

  const Json* value_;
  const std::string* source_;
  std::string path_;
};

}  // namespace weft
