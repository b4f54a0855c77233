#include "runtime/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "runtime/ggml_type.h"
#include "runtime/utf8.h"

namespace weft {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian, and values are copied");

template <class T>
void append(std::string& to, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  to.append(bytes, sizeof value);
}

void append_text(std::string& to, std::string_view text) {
  append<uint64_t>(to, text.size());
  to += text;
}

std::string typed(GgufType type) {
  std::string bytes;
  append(bytes, static_cast<uint32_t>(type));
  return bytes;
}

template <class T>
std::string scalar(GgufType type, T value) {
  std::string bytes = typed(type);
  append(bytes, value);
  return bytes;
}

std::string array_head(GgufType element, uint64_t count) {
  std::string bytes = scalar(GgufType::array, static_cast<uint32_t>(element));
  append(bytes, count);
  return bytes;
}

template <class T>
std::string array(GgufType element, std::span<const T> values) {
  std::string bytes = array_head(element, values.size());
  if (!values.empty()) bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  return bytes;
}

}  // namespace

void GgufMetadata::set(std::string_view key, uint8_t value) { set_bytes(key, scalar(GgufType::uint8, value)); }
void GgufMetadata::set(std::string_view key, int8_t value) { set_bytes(key, scalar(GgufType::int8, value)); }
void GgufMetadata::set(std::string_view key, uint16_t value) { set_bytes(key, scalar(GgufType::uint16, value)); }
void GgufMetadata::set(std::string_view key, int16_t value) { set_bytes(key, scalar(GgufType::int16, value)); }
void GgufMetadata::set(std::string_view key, uint32_t value) { set_bytes(key, scalar(GgufType::uint32, value)); }
void GgufMetadata::set(std::string_view key, int32_t value) { set_bytes(key, scalar(GgufType::int32, value)); }
void GgufMetadata::set(std::string_view key, uint64_t value) { set_bytes(key, scalar(GgufType::uint64, value)); }
void GgufMetadata::set(std::string_view key, int64_t value) { set_bytes(key, scalar(GgufType::int64, value)); }
void GgufMetadata::set(std::string_view key, float value) { set_bytes(key, scalar(GgufType::float32, value)); }
void GgufMetadata::set(std::string_view key, double value) { set_bytes(key, scalar(GgufType::float64, value)); }
void GgufMetadata::set(std::string_view key, bool value) {
  set_bytes(key, scalar(GgufType::bool8, static_cast<uint8_t>(value)));
}

void GgufMetadata::set(std::string_view key, std::string_view value) {
  std::string bytes = typed(GgufType::string);
  append_text(bytes, value);
  set_bytes(key, std::move(bytes));
}

void GgufMetadata::set(std::string_view key, std::span<const int32_t> values) {
  set_bytes(key, array(GgufType::int32, values));
}
void GgufMetadata::set(std::string_view key, std::span<const float> values) {
  set_bytes(key, array(GgufType::float32, values));
}
void GgufMetadata::set(std::string_view key, std::span<const std::string> values) {
  std::string bytes = array_head(GgufType::string, values.size());
  for (const std::string& value : values) append_text(bytes, value);
  set_bytes(key, std::move(bytes));
}

void GgufMetadata::set(std::string_view key, const GgufValue& value) {
  const auto payload =
      std::string_view(reinterpret_cast<const char*>(value.payload().data()), value.payload().size());
  std::string bytes;
  if (value.type() == GgufType::array) {
    bytes = array_head(value.element_type(), value.count());
    bytes += payload;
  } else if (value.type() == GgufType::string) {
    bytes = typed(GgufType::string);
    append_text(bytes, payload);
  } else {
    bytes = typed(value.type());
    bytes += payload;
  }
  set_bytes(key, std::move(bytes));
}

void GgufMetadata::erase(std::string_view key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const size_t at = found->second;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
  index_.erase(found);
  for (auto& [name, place] : index_) place -= place > at ? 1 : 0;
}

void GgufMetadata::set_bytes(std::string_view key, std::string bytes) {
  const auto [found, added] = index_.try_emplace(std::string(key), entries_.size());
  if (added) {
    entries_.emplace_back(key, std::move(bytes));
  } else {
    entries_[found->second].second = std::move(bytes);
  }
}

size_t tensor_bytes(const GgufTensorPlan& tensor) {
  const auto fail = [&](const std::string& reason) -> size_t {
    throw Error("tensor " + in_quotes(tensor.name) + ": " + reason);
  };
  const GgmlType* type = find_ggml_type(tensor.type);
  if (type == nullptr) return fail("unknown type id " + std::to_string(tensor.type));
  if (tensor.shape.empty() || tensor.shape.size() > kGgufMaxDims) {
    return fail(std::to_string(tensor.shape.size()) + " axes, wanted 1 to " + std::to_string(kGgufMaxDims));
  }
  if (tensor.shape[0] % type->block_elements != 0) {
    return fail("a row has " + std::to_string(tensor.shape[0]) + " elements, not a multiple of " +
                std::to_string(type->block_elements) + ", the block of " + std::string(type->name));
  }
  size_t bytes = tensor.shape[0] / type->block_elements;
  bool overflow = __builtin_mul_overflow(bytes, type->block_bytes, &bytes);
  for (size_t d = 1; d < tensor.shape.size(); ++d) {
    overflow |= __builtin_mul_overflow(bytes, tensor.shape[d], &bytes);
  }
  if (overflow) return fail("the product of its extents is too large");
  return bytes;
}

GgufWriter::GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata,
                       std::vector<GgufTensorPlan> tensors)
    : file_(path), tensors_(std::move(tensors)) {
  std::string head = "GGUF";
  append<uint32_t>(head, 3);
  append<uint64_t>(head, tensors_.size());
  append<uint64_t>(head, metadata.entries().size());
  for (const auto& [key, bytes] : metadata.entries()) {
    append_text(head, key);
    head += bytes;
    uint32_t type = 0;
    std::memcpy(&type, bytes.data(), sizeof type);
    if (key == "general.alignment" && type == static_cast<uint32_t>(GgufType::uint32)) {
      uint32_t alignment = 0;
      std::memcpy(&alignment, bytes.data() + sizeof type, sizeof alignment);
      alignment_ = std::max(alignment, 1u);
    }
  }
  uint64_t offset = 0;
  for (const GgufTensorPlan& tensor : tensors_) {
    const size_t bytes = tensor_bytes(tensor);
    append_text(head, tensor.name);
    append(head, static_cast<uint32_t>(tensor.shape.size()));
    for (const size_t extent : tensor.shape) append<uint64_t>(head, extent);
    append(head, tensor.type);
    append(head, offset);
    if (bytes > std::numeric_limits<int64_t>::max() - offset - alignment_) {
      throw Error(file_.path() + ": the tensors are too large for one file");
    }
    offset += (bytes + alignment_ - 1) / alignment_ * alignment_;
  }
  file_.write(head.data(), head.size());
  pad();
  if (!tensors_.empty()) remaining_ = tensor_bytes(tensors_[0]);
  advance();
}

void GgufWriter::pad() {
  const std::string zeros((alignment_ - file_.written() % alignment_) % alignment_, '\0');
  file_.write(zeros.data(), zeros.size());
}

void GgufWriter::advance() {
  while (current_ < tensors_.size() && remaining_ == 0) {
    pad();
    if (++current_ < tensors_.size()) remaining_ = tensor_bytes(tensors_[current_]);
  }
}

void GgufWriter::write(std::span<const uint8_t> data) {
  while (!data.empty()) {
    if (current_ == tensors_.size()) throw Error(file_.path() + ": more data than the tensors have");
    const size_t part = std::min(data.size(), remaining_);
    file_.write(data.data(), part);
    data = data.subspan(part);
    remaining_ -= part;
    advance();
  }
}

void GgufWriter::finish() {
  if (current_ < tensors_.size()) {
    throw Error(file_.path() + ": tensor " + in_quotes(tensors_[current_].name) + " lacks " +
                std::to_string(remaining_) + " bytes of data");
  }
  file_.finish();
}

}  // namespace weft
