#include "runtime/files/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "core/align.h"
#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/gguf_split.h"

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
void GgufMetadata::set(std::string_view key, const std::vector<bool>& values) {
  set_bytes(key, array_head(GgufType::bool8, values.size()) + std::string(values.begin(), values.end()));
}
void GgufMetadata::set(std::string_view key, std::span<const std::string> values) {
  std::string bytes = array_head(GgufType::string, values.size());
  for (const std::string& value : values) append_text(bytes, value);
  set_bytes(key, std::move(bytes));
}

void GgufMetadata::set(std::string_view key, const GgufValue& value) {
  const auto payload = std::string_view(reinterpret_cast<const char*>(value.payload().data()), value.payload().size());
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
  if (tensor.shape.size() > kGgufMaxDims) {
    return fail(std::to_string(tensor.shape.size()) + " axes, wanted at most " + std::to_string(kGgufMaxDims));
  }
  const size_t row = tensor.shape.empty() ? 1 : tensor.shape[0];
  if (row % type->block_elements != 0) {
    return fail("a row has " + std::to_string(row) + " elements, not a multiple of " +
                std::to_string(type->block_elements) + ", the block of " + std::string(type->name));
  }
  size_t bytes = row / type->block_elements;
  bool overflow = __builtin_mul_overflow(bytes, type->block_bytes, &bytes);
  for (size_t d = 1; d < tensor.shape.size(); ++d) {
    overflow |= __builtin_mul_overflow(bytes, tensor.shape[d], &bytes);
  }
  if (overflow) return fail("the product of its extents is too large");
  return bytes;
}

namespace {

constexpr std::string_view kAlignmentKey = "general.alignment";

// What a part has before its table.
std::string encoded_head(const GgufMetadata& metadata, size_t tensors) {
  std::string head = "GGUF";
  append<uint32_t>(head, 3);
  append<uint64_t>(head, tensors);
  append<uint64_t>(head, metadata.entries().size());
  for (const auto& [key, bytes] : metadata.entries()) {
    append_text(head, key);
    head += bytes;
  }
  return head;
}

void append_entry(std::string& head, const GgufTensorPlan& tensor, uint64_t offset) {
  append_text(head, tensor.name);
  append(head, static_cast<uint32_t>(tensor.shape.size()));
  for (const size_t extent : tensor.shape) append<uint64_t>(head, extent);
  append(head, tensor.type);
  append(head, offset);
}

uint64_t alignment_of(const GgufMetadata& metadata) {
  const auto& entries = metadata.entries();
  const auto at = std::find_if(entries.begin(), entries.end(), [](const auto& e) { return e.first == kAlignmentKey; });
  if (at == entries.end()) return 32;
  uint32_t type = 0, alignment = 0;
  std::memcpy(&type, at->second.data(), sizeof type);
  if (type == static_cast<uint32_t>(GgufType::uint32)) {
    std::memcpy(&alignment, at->second.data() + sizeof type, sizeof alignment);
  }
  if (!std::has_single_bit(alignment)) throw Error("key 'general.alignment' is not a u32 and a power of two");
  return alignment;
}

// The size of the tensors' data in one file.
uint64_t add_data(uint64_t bytes, const GgufTensorPlan& tensor, uint64_t alignment) {
  const size_t more = tensor_bytes(tensor);
  if (more > std::numeric_limits<int64_t>::max() - bytes - alignment) {
    throw Error("tensor " + in_quotes(tensor.name) + ": the tensors are too large for one file");
  }
  return align_up(bytes + more, alignment);
}

void set_split_keys(GgufMetadata& metadata, size_t no, size_t count, size_t tensors) {
  metadata.set(kSplitNo, static_cast<uint16_t>(no));
  metadata.set(kSplitCount, static_cast<uint16_t>(count));
  metadata.set(kSplitTensors, static_cast<int32_t>(tensors));
}

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& path, GgufMetadata metadata, std::vector<GgufTensorPlan> tensors,
                       std::optional<uint64_t> max_bytes)
    : tensors_(std::move(tensors)) {
  for (const std::string_view key : {kSplitNo, kSplitCount, kSplitTensors}) metadata.erase(key);
  if (max_bytes) {
    plan_parts(path, metadata, *max_bytes);
  } else {
    paths_ = {path.string()};
    add_part(metadata, 0, tensors_.size());
  }
  open_next();
  advance();
}

void GgufWriter::plan_parts(const std::filesystem::path& path, const GgufMetadata& metadata, uint64_t max_bytes) {
  std::error_code ignored;
  const auto check = [&](const std::filesystem::path& file) {
    const std::filesystem::file_status status = std::filesystem::status(file, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      throw Error(file.string() + ": is not a regular file, as the parts of a split model are");
    }
  };
  check(path);

  GgufMetadata first = metadata, others;
  for (GgufMetadata* of_part : {&first, &others}) set_split_keys(*of_part, 0, 0, tensors_.size());
  std::vector<size_t> ends;  // of the parts before the last one
  uint64_t alignment = alignment_of(first), head = encoded_head(first, 0).size(), data = 0;
  size_t begin = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    std::string entry;
    append_entry(entry, tensors_[i], 0);
    const uint64_t more = add_data(data, tensors_[i], alignment);
    if (align_up(head + entry.size(), alignment) + more > max_bytes && (i > begin || ends.empty())) {
      ends.push_back(begin = i);
      alignment = alignment_of(others), head = encoded_head(others, 0).size() + entry.size();
      data = add_data(0, tensors_[i], alignment);
    } else {
      head += entry.size(), data = more;
    }
  }
  ends.push_back(tensors_.size());
  if (ends.size() > kMaxSplits) {
    throw Error(path.string() + ": parts of " + std::to_string(max_bytes) + " bytes are too small: it would take " +
                std::to_string(ends.size()) + ", more than " + std::to_string(kMaxSplits));
  }
  SplitName name{path, 0, static_cast<uint32_t>(ends.size())};
  if (path.extension() == ".gguf") name.prefix.replace_extension();
  begin = 0;
  for (; name.no < name.count; ++name.no) {
    paths_.push_back(split_path(name).string());
    check(paths_.back());
    GgufMetadata& of_part = name.no == 0 ? first : others;
    set_split_keys(of_part, name.no, name.count, tensors_.size());
    add_part(of_part, begin, ends[name.no]);
    begin = ends[name.no];
  }
}

void GgufWriter::add_part(const GgufMetadata& metadata, size_t first, size_t end) {
  Part part{encoded_head(metadata, end - first), alignment_of(metadata), end};
  uint64_t offset = 0;
  for (size_t i = first; i < end; ++i) {
    append_entry(part.head, tensors_[i], offset);
    offset = add_data(offset, tensors_[i], part.alignment);
  }
  parts_.push_back(std::move(part));
}

std::vector<std::string> GgufWriter::temporaries() const {
  std::vector<std::string> names;
  for (const std::string& path : paths_) {
    if (std::string name = OutputFile::temporary_name(path); !name.empty()) names.push_back(std::move(name));
  }
  return names;
}

void GgufWriter::open_next() {
  if (!files_.empty()) file().complete();
  Part& part = parts_[files_.size()];
  files_.push_back(std::make_unique<OutputFile>(paths_[files_.size()]));
  file().write(part.head.data(), part.head.size());
  part.head = {};
  pad();
  if (current_ < part.end) remaining_ = tensor_bytes(tensors_[current_]);
}

void GgufWriter::pad() {
  const uint64_t alignment = parts_[files_.size() - 1].alignment;
  const std::string zeros(align_up(file().written(), alignment) - file().written(), '\0');
  file().write(zeros.data(), zeros.size());
}

void GgufWriter::advance() {
  while (remaining_ == 0) {
    if (current_ < parts_[files_.size() - 1].end) {
      pad();
      ++current_;
    }
    if (current_ < parts_[files_.size() - 1].end) {
      remaining_ = tensor_bytes(tensors_[current_]);
    } else if (files_.size() < parts_.size()) {
      open_next();
    } else {
      return;
    }
  }
}

void GgufWriter::write(std::span<const uint8_t> data) {
  while (!data.empty()) {
    if (current_ == tensors_.size()) throw Error(file().path() + ": more data than the tensors have");
    const size_t part = std::min(data.size(), remaining_);
    file().write(data.data(), part);
    data = data.subspan(part);
    remaining_ -= part;
    advance();
  }
}

void GgufWriter::complete() {
  if (current_ < tensors_.size()) {
    throw Error(file().path() + ": tensor " + in_quotes(tensors_[current_].name) + " lacks " +
                std::to_string(remaining_) + " bytes of data");
  }
  file().complete();
}

void GgufWriter::finish() {
  complete();
  // The first part comes last, so that an incomplete model lacks its first part.
  std::vector<std::string> added;  // files that did not exist before
  try {
    for (auto at = files_.rbegin(); at != files_.rend(); ++at) {
      const bool adds = !is_there((*at)->path());
      (*at)->finish();
      if (adds) added.push_back((*at)->path());
    }
  } catch (...) {
    std::error_code ignored;
    for (const std::string& path : added) std::filesystem::remove(path, ignored);
    throw;
  }
}

}  // namespace weft
