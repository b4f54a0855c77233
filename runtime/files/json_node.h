// A value in a JSON file together with its path, for messages. For use in .cc files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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
  std::string message(const std::string& reason) const;
  // Throws Error of that.
  [[noreturn]] void fail(const std::string& reason) const;

  // A member, which may be absent: then the node is null.
  JsonNode at(std::string_view key) const;

  // fun(JsonNode) for every element of an array; none for null.
  template <class Fun>
  void each(Fun fun) const {
    const size_t count = array_size();
    for (size_t i = 0; i < count; ++i) fun(element(i));
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

  const std::string& text() const;
  bool flag(bool fallback) const;
  // From `least` to `most`, written as an integer: neither 2.0 nor a string.
  int64_t whole(int64_t least, int64_t most) const;
  // From 0 to 2^31 - 1; "2.0" counts as whole.
  int32_t id() const;

 private:
  JsonNode(const Json& value, const std::string& source, std::string path)
      : value_(&value), source_(&source), path_(std::move(path)) {}

  size_t array_size() const;  // 0 for null
  JsonNode element(size_t index) const;

  const Json* value_;
  const std::string* source_;
  std::string path_;
};

}  // namespace weft
