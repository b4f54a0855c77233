#include "runtime/files/json_node.h"

#include <cmath>

#include "core/error.h"

namespace weft {

std::string JsonNode::message(const std::string& reason) const {
  return *source_ + ": " + (path_.empty() ? "" : path_ + ": ") + reason;
}

void JsonNode::fail(const std::string& reason) const { throw Error(message(reason)); }

JsonNode JsonNode::at(std::string_view key) const {
  static const Json null;
  if (!value_->is_object()) fail("is not an object");
  const Json* member = find(*value_, key);
  return JsonNode(member != nullptr ? *member : null, *source_, path_ + (path_.empty() ? "" : ".") + std::string(key));
}

size_t JsonNode::array_size() const {
  if (is_null()) return 0;
  if (!value_->is_array()) fail("is not an array");
  return value_->size();
}

JsonNode JsonNode::element(size_t index) const {
  return JsonNode((*value_)[index], *source_, path_ + "[" + std::to_string(index) + "]");
}

const std::string& JsonNode::text() const {
  if (!value_->is_string()) fail(is_null() ? "is absent" : "is not a string");
  return value_->get_ref<const std::string&>();
}

bool JsonNode::flag(bool fallback) const {
  if (is_null()) return fallback;
  if (!value_->is_boolean()) fail("is neither true nor false");
  return value_->get<bool>();
}

int64_t JsonNode::whole(int64_t least, int64_t most) const {
  if (!value_->is_number_integer()) fail(is_null() ? "is absent" : "is not a whole number");
  if (value_->is_number_unsigned() && value_->get<uint64_t>() > uint64_t{INT64_MAX}) fail("is too large");
  const auto number = value_->get<int64_t>();
  if (number < least || number > most) {
    fail("is " + std::to_string(number) + ", wanted " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

int32_t JsonNode::id() const {
  if (!value_->is_number()) fail(is_null() ? "is absent" : "is not a whole number");
  const auto number = value_->get<double>();  // exact in the range that is accepted
  if (std::trunc(number) != number) fail("is " + value_->dump() + ", not a whole number");
  if (number < 0 || number > INT32_MAX) fail("is " + value_->dump() + ", wanted 0 to 2^31 - 1");
  return static_cast<int32_t>(number);
}

}  // namespace weft
