#include "runtime/files/gguf.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "core/align.h"
#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/gguf_split.h"
#include "runtime/files/whole_number.h"

namespace weft {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are read in place as little-endian");

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kMaxNameBytes = 65535;
constexpr int kMaxArrayDepth = 8;
// Bytes of the shortest metadata entry (key of one byte, type, u8) and tensor entry (name of one byte, n_dims,
// type, offset): a count is checked against these before anything is allocated.
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr uint64_t kUsualAlignment = 32;
constexpr uint64_t kMinAlignment = 8;
constexpr uint64_t kMaxAlignment = 1 << 24;

template <class T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Bytes of a scalar; 0 for string and array.
size_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::uint8:
    case GgufType::int8:
    case GgufType::bool8: return 1;
    case GgufType::uint16:
    case GgufType::int16: return 2;
    case GgufType::uint32:
    case GgufType::int32:
    case GgufType::float32: return 4;
    case GgufType::uint64:
    case GgufType::int64:
    case GgufType::float64: return 8;
    case GgufType::string:
    case GgufType::array: break;
  }
  return 0;
}

// Reads bytes in order, never past their end, and knows its position for messages.
class Cursor {
 public:
  // `base`: offset of bytes[0] in the file.
  Cursor(std::string_view file, std::span<const uint8_t> bytes, uint64_t base)
      : file_(file), bytes_(bytes), base_(base) {}

  // What is being read, for messages: kind "key" or "tensor", and its name.
  void set_subject(std::string_view kind, std::string_view subject) {
    subject_kind_ = kind;
    subject_ = subject;
  }

  uint64_t offset() const { return base_ + position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  [[noreturn]] void fail_at(uint64_t offset, const std::string& reason) const {
    std::string message = std::string(file_) + ": byte " + std::to_string(offset) + ": ";
    if (!subject_kind_.empty()) message += std::string(subject_kind_) + " " + in_quotes(subject_) + ": ";
    throw Error(message + reason);
  }
  [[noreturn]] void fail(const std::string& reason) const { fail_at(offset(), reason); }

  std::span<const uint8_t> take(uint64_t length, std::string_view field) {
    if (length > remaining()) {
      fail("the file ends inside the " + std::string(field) + ": it takes " + std::to_string(length) + " bytes, " +
           std::to_string(remaining()) + " are left");
    }
    const auto taken = bytes_.subspan(position_, length);
    position_ += length;
    return taken;
  }

  template <class T>
  T read(std::string_view field) {
    return load<T>(take(sizeof(T), field).data());
  }

  std::string_view read_string(std::string_view field) {
    const auto length = read<uint64_t>(field);
    const auto characters = take(length, field);
    return {reinterpret_cast<const char*>(characters.data()), characters.size()};
  }

  // A key, or the name of a tensor.
  std::string_view read_name(std::string_view field) {
    const uint64_t start = offset();
    const std::string_view text = read_string(field);
    if (text.empty()) fail_at(start, "the " + std::string(field) + " is empty");
    if (text.size() > kMaxNameBytes) {
      fail_at(start, "the " + std::string(field) + " has " + std::to_string(text.size()) + " bytes, more than " +
                         std::to_string(kMaxNameBytes));
    }
    return text;
  }

 private:
  std::string_view file_;
  std::span<const uint8_t> bytes_;
  uint64_t base_;
  size_t position_ = 0;
  std::string_view subject_kind_;
  std::string_view subject_;
};

GgufType read_type(Cursor& cursor, std::string_view field) {
  const uint64_t start = cursor.offset();
  const auto id = cursor.read<uint32_t>(field);
  if (id >= kGgufTypeCount) cursor.fail_at(start, "unknown " + std::string(field) + " " + std::to_string(id));
  return static_cast<GgufType>(id);
}

void check_bools(const Cursor& cursor, std::span<const uint8_t> bytes, uint64_t offset) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] > 1) cursor.fail_at(offset + i, "a bool is " + std::to_string(bytes[i]) + ", wanted 0 or 1");
  }
}

// Reads and checks one value. The recursion is as deep as arrays are nested, which kMaxArrayDepth limits.
GgufValue read_value(Cursor& cursor, GgufType type, int depth) {
  const uint64_t start = cursor.offset();
  if (type == GgufType::string) {
    const std::string_view text = cursor.read_string("string");
    return {type, type, 1, start, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}};
  }
  if (type != GgufType::array) {
    const auto bytes = cursor.take(scalar_bytes(type), name(type));
    if (type == GgufType::bool8) check_bools(cursor, bytes, start);
    return {type, type, 1, start, bytes};
  }

  if (depth == kMaxArrayDepth) {
    cursor.fail("arrays are nested more than " + std::to_string(kMaxArrayDepth) + " deep");
  }
  const GgufType element = read_type(cursor, "element type");
  const auto count = cursor.read<uint64_t>("array's count");
  const uint64_t first = cursor.offset();
  // The minimum size of an element: a string's length, an array's type and count.
  const size_t scalar = scalar_bytes(element);
  const size_t least = scalar != 0 ? scalar : element == GgufType::string ? 8 : 12;
  if (count > cursor.remaining() / least) {
    cursor.fail_at(start, "an array of " + std::to_string(count) + " " + std::string(name(element)) +
                              " does not fit into the " + std::to_string(cursor.remaining()) + " bytes that are left");
  }
  if (scalar != 0) {
    const auto bytes = cursor.take(count * scalar, "array");
    if (element == GgufType::bool8) check_bools(cursor, bytes, first);
    return {type, element, count, start, bytes};
  }
  Cursor end = cursor;
  for (uint64_t i = 0; i < count; ++i) read_value(end, element, depth + 1);
  return {type, element, count, start, cursor.take(end.offset() - first, "array")};
}

// Indices of `items` sorted by name; calls fail(index, earlier index) for an item with the name of an earlier one.
template <class Item, class NameOf, class Fail>
std::vector<uint32_t> index_by_name(const std::vector<Item>& items, NameOf name_of, Fail fail) {
  std::vector<uint32_t> index(items.size());
  std::iota(index.begin(), index.end(), 0u);
  std::sort(index.begin(), index.end(), [&](uint32_t a, uint32_t b) {
    const int order = name_of(items[a]).compare(name_of(items[b]));
    return order != 0 ? order < 0 : a < b;
  });
  for (size_t i = 1; i < index.size(); ++i) {
    if (name_of(items[index[i]]) == name_of(items[index[i - 1]])) fail(index[i], index[i - 1]);
  }
  return index;
}

template <class Item, class NameOf>
const Item* find_by_name(const std::vector<Item>& items, const std::vector<uint32_t>& index, NameOf name_of,
                         std::string_view wanted) {
  const auto at = std::lower_bound(index.begin(), index.end(), wanted,
                                   [&](uint32_t i, std::string_view text) { return name_of(items[i]) < text; });
  return at != index.end() && name_of(items[*at]) == wanted ? &items[*at] : nullptr;
}

std::string_view key_of(const GgufEntry& entry) { return entry.key; }
std::string_view name_of_tensor(const GgufTensor& tensor) { return tensor.name; }

std::vector<GgufEntry> read_metadata(Cursor& cursor, uint64_t count) {
  std::vector<GgufEntry> entries;
  entries.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    cursor.set_subject({}, {});
    const std::string_view key = cursor.read_name("key");
    cursor.set_subject("key", key);
    const GgufType type = read_type(cursor, "value type");
    entries.push_back({key, read_value(cursor, type, 0)});
  }
  cursor.set_subject({}, {});
  return entries;
}

// One entry of the tensor table; `offset` is still relative to the data, `data` not set.
GgufTensor read_tensor(Cursor& cursor) {
  cursor.set_subject({}, {});
  GgufTensor tensor{};
  tensor.name = cursor.read_name("tensor name");
  cursor.set_subject("tensor", tensor.name);

  const uint64_t dims_at = cursor.offset();
  tensor.n_dims = cursor.read<uint32_t>("number of dimensions");
  if (tensor.n_dims > kGgufMaxDims) {
    cursor.fail_at(dims_at, "has " + std::to_string(tensor.n_dims) + " dimensions, wanted at most 4");
  }
  const uint64_t shape_at = cursor.offset();
  tensor.extents.fill(1);
  uint64_t rows = 1;
  for (uint32_t d = 0; d < tensor.n_dims; ++d) {
    const uint64_t extent_at = cursor.offset();
    const auto extent = cursor.read<uint64_t>("shape");
    // An extent of 0 must not hide one that no memory could hold.
    if (extent > std::numeric_limits<int64_t>::max() || (d != 0 && __builtin_mul_overflow(rows, extent, &rows))) {
      cursor.fail_at(extent_at, "the product of its extents is too large");
    }
    tensor.extents[d] = extent;
  }

  const uint64_t type_at = cursor.offset();
  tensor.type = cursor.read<uint32_t>("type");
  const GgmlType* type = find_ggml_type(tensor.type);
  if (type == nullptr) cursor.fail_at(type_at, "unknown type id " + std::to_string(tensor.type));
  tensor.type_name = type->name;
  if (tensor.extents[0] % type->block_elements != 0) {
    cursor.fail_at(shape_at, "a row has " + std::to_string(tensor.extents[0]) + " elements, not a multiple of " +
                                 std::to_string(type->block_elements) + ", the block of " + std::string(type->name));
  }
  uint64_t row = 0;
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(tensor.extents[0] / type->block_elements, type->block_bytes, &row) ||
      __builtin_mul_overflow(rows, row, &bytes)) {
    cursor.fail_at(shape_at, "the product of its extents is too large");
  }
  tensor.bytes = bytes;
  return tensor;
}

std::string byte_range(const GgufTensor& tensor) {
  return "bytes " + std::to_string(tensor.offset) + " to " + std::to_string(tensor.offset + tensor.bytes);
}

std::string type_mismatch(std::string_view found, std::string_view wanted) {
  return "is of type " + std::string(found) + ", wanted " + std::string(wanted);
}

bool is_integer(GgufType type) {
  return scalar_bytes(type) != 0 && type != GgufType::float32 && type != GgufType::float64 && type != GgufType::bool8;
}
bool is_float(GgufType type) { return type == GgufType::float32 || type == GgufType::float64; }

// Nothing for a finite value outside f32's range.
std::optional<float> to_f32(double value) {
  if (std::isfinite(value) && std::fabs(value) > std::numeric_limits<float>::max()) return std::nullopt;
  return static_cast<float>(value);
}

std::string integer_text(const GgufValue& value) {
  if (const auto unsigned_value = value.as_u64()) return std::to_string(*unsigned_value);
  return std::to_string(value.as_i64().value_or(0));
}

}  // namespace

std::string_view name(GgufType type) {
  constexpr std::array<std::string_view, kGgufTypeCount> kNames = {
      "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

std::string GgufValue::type_name() const {
  if (type_ != GgufType::array) return std::string(name(type_));
  return "array of " + std::string(name(element_type_));
}

std::optional<uint64_t> GgufValue::as_u64() const {
  if (type_ == GgufType::uint64) return load<uint64_t>(payload_.data());
  const auto value = as_i64();
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<int64_t> GgufValue::as_i64() const {
  const uint8_t* from = payload_.data();
  switch (type_) {
    case GgufType::uint8: return load<uint8_t>(from);
    case GgufType::int8: return load<int8_t>(from);
    case GgufType::uint16: return load<uint16_t>(from);
    case GgufType::int16: return load<int16_t>(from);
    case GgufType::uint32: return load<uint32_t>(from);
    case GgufType::int32: return load<int32_t>(from);
    case GgufType::int64: return load<int64_t>(from);
    case GgufType::uint64: {
      const auto value = load<uint64_t>(from);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default: return std::nullopt;
  }
}

std::optional<double> GgufValue::as_f64() const {
  if (type_ == GgufType::float32) return load<float>(payload_.data());
  if (type_ == GgufType::float64) return load<double>(payload_.data());
  return std::nullopt;
}

std::optional<bool> GgufValue::as_bool() const {
  if (type_ != GgufType::bool8) return std::nullopt;
  return payload_[0] != 0;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type_ != GgufType::string) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(payload_.data()), payload_.size());
}

template <class Visit>
void GgufValue::visit_elements(uint64_t limit, Visit visit) const {
  if (type_ != GgufType::array) return;
  // Checked already; the cursor checks again, because a mapped file may change while we read it. The header of the
  // array (element type and count) takes 12 bytes.
  Cursor cursor("GGUF metadata", payload_, offset_ + 12);
  const uint64_t count = std::min(count_, limit);
  for (uint64_t i = 0; i < count; ++i) visit(read_value(cursor, element_type_, 1));
}

std::vector<GgufValue> GgufValue::elements(size_t limit) const {
  std::vector<GgufValue> values;
  visit_elements(limit, [&](const GgufValue& element) { values.push_back(element); });
  return values;
}

size_t GgufTensor::elements() const {
  return std::accumulate(extents.begin(), extents.end(), size_t{1}, std::multiplies<>());
}

GgufFile::GgufFile(const std::filesystem::path& path) {
  auto mapped = std::make_shared<const MappedFile>(path);
  const MappedFile& file = *mapped;
  parts_.push_back({std::move(mapped), 0});
  Cursor cursor(file.path(), file.bytes(), 0);
  if (!file.text().starts_with(kMagic)) {
    const std::string kind = describe_foreign(file.text());
    if (!kind.empty()) cursor.fail_at(0, kind);
    cursor.fail_at(
        0, "not a GGUF file: it starts with " + in_quotes(file.text().substr(0, kMagic.size())) + ", wanted 'GGUF'");
  }
  cursor.take(kMagic.size(), "magic");
  version_ = cursor.read<uint32_t>("version");
  if (version_ == 1 || (version_ != 0 && (version_ & 0xffffu) == 0)) {
    cursor.fail_at(4, describe_foreign(file.text()));
  }
  if (version_ < 2 || version_ > 3) {
    cursor.fail_at(4, "GGUF version " + std::to_string(version_) + ", wanted 2 or 3");
  }
  const auto tensor_count = cursor.read<uint64_t>("tensor count");
  const auto metadata_count = cursor.read<uint64_t>("metadata count");
  constexpr uint64_t kMaxCount = std::numeric_limits<uint32_t>::max();  // of the indices
  if (tensor_count > std::min(cursor.remaining() / kMinTensorBytes, kMaxCount)) {
    cursor.fail_at(8, "a tensor count of " + std::to_string(tensor_count) + " does not fit into the file");
  }
  if (metadata_count > std::min(cursor.remaining() / kMinEntryBytes, kMaxCount)) {
    cursor.fail_at(16, "a metadata count of " + std::to_string(metadata_count) + " does not fit into the file");
  }

  metadata_ = read_metadata(cursor, metadata_count);
  metadata_by_key_ = index_by_name(metadata_, key_of, [&](uint32_t entry, uint32_t) {
    cursor.set_subject("key", metadata_[entry].key);
    cursor.fail_at(metadata_[entry].value.offset(), "occurs twice");
  });
  alignment_ = get_u32(kAlignmentKey, kUsualAlignment);
  if (!std::has_single_bit(alignment_) || alignment_ < kMinAlignment || alignment_ > kMaxAlignment) {
    fail(kAlignmentKey, "an alignment of " + std::to_string(alignment_) + ", wanted a power of two from 8 to " +
                            std::to_string(kMaxAlignment));
  }

  tensors_.reserve(tensor_count);
  offset_fields_.reserve(tensor_count);
  for (uint64_t i = 0; i < tensor_count; ++i) {
    tensors_.push_back(read_tensor(cursor));
    offset_fields_.push_back(cursor.offset());
    tensors_.back().offset = cursor.read<uint64_t>("offset");
    tensors_.back().file = &file;
  }
  parts_.front().tensors = tensors_.size();
  index_tensors();
  place_tensors(cursor.offset());
  check_overlaps();
}

// Turns the tensors' offsets, which count from the beginning of the data, into positions in the file.
void GgufFile::place_tensors(uint64_t header_bytes) {
  const MappedFile& file = *parts_.front().file;
  // No overflow: the header is inside the file, whose size is an off_t.
  data_offset_ = align_up(header_bytes, alignment_);
  const uint64_t data_bytes = file.size() - std::min<uint64_t>(file.size(), data_offset_);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    GgufTensor& tensor = tensors_[i];
    const std::string place = std::to_string(tensor.offset) + " of the data";
    if (tensor.offset % alignment_ != 0) {
      fail_tensor(i, "offset " + place + " is not a multiple of " + std::to_string(alignment_) +
                         (find(kAlignmentKey) != nullptr ? ", which key 'general.alignment' declares"
                                                         : ", the alignment where key 'general.alignment' is absent"));
    }
    if (tensor.bytes == 0) {
      // After the last byte, whose padding may be missing.
      if (tensor.offset > align_up(data_bytes, alignment_)) {
        fail_tensor(i, "is at offset " + place + ", which has " + std::to_string(data_bytes) + " bytes");
      }
    } else if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset) {
      fail_tensor(i, "takes " + std::to_string(tensor.bytes) + " bytes at offset " + place + ", which has " +
                         std::to_string(data_bytes) + " bytes: the file is damaged or incomplete (a download cut " +
                         "short, or one of several pieces to be joined with `cat`)");
    }
    tensor.offset = std::min<uint64_t>(tensor.offset + data_offset_, file.size());
    tensor.data = file.data() + tensor.offset;
  }
  // A file that was laid out for the usual alignment but declares a larger one has data where there should be
  // padding.
  for (uint64_t at = align_up(header_bytes, kUsualAlignment); data_bytes != 0 && at < data_offset_; ++at) {
    if (file.data()[at] == 0) continue;
    const auto first = std::min_element(tensors_.begin(), tensors_.end(),
                                        [](const GgufTensor& a, const GgufTensor& b) { return a.offset < b.offset; });
    if (first == tensors_.end()) break;
    fail_tensor(static_cast<size_t>(first - tensors_.begin()),
                "begins at byte " + std::to_string(first->offset) + " as key 'general.alignment' of " +
                    std::to_string(alignment_) + " has it, but byte " + std::to_string(at) +
                    " before it is not padding: the data are laid out for another alignment");
  }
}

void GgufFile::check_overlaps() const {
  std::vector<uint32_t> by_offset;
  for (uint32_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].bytes != 0) by_offset.push_back(i);
  }
  std::sort(by_offset.begin(), by_offset.end(), [this](uint32_t a, uint32_t b) {
    return std::pair(tensors_[a].offset, a) < std::pair(tensors_[b].offset, b);
  });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor& before = tensors_[by_offset[i - 1]];
    const GgufTensor& after = tensors_[by_offset[i]];
    if (before.offset + before.bytes > after.offset) {
      fail_tensor(by_offset[i],
                  byte_range(after) + " overlap tensor " + in_quotes(before.name) + ", " + byte_range(before));
    }
  }
}

void GgufFile::index_tensors() {
  tensors_by_name_ = index_by_name(tensors_, name_of_tensor, [&](uint32_t i, uint32_t earlier) {
    const MappedFile* other = tensors_[earlier].file;
    fail_tensor(i, other == tensors_[i].file ? "occurs twice" : "is also in " + other->path());
  });
}

void GgufFile::fail_tensor(size_t i, const std::string& reason) const {
  throw Error(tensors_[i].file->path() + ": byte " + std::to_string(offset_fields_[i]) + ": tensor " +
              in_quotes(tensors_[i].name) + ": " + reason);
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile named(path);
  const uint32_t count = named.get_u32(kSplitCount, 0);
  if (count == 0) return named;  // llama.cpp marks files that it has joined like this
  const uint32_t no = count == 1 ? named.get_u32(kSplitNo, 0) : named.get_u32(kSplitNo);
  if (no >= count) {
    named.fail(kSplitNo, "is " + std::to_string(no) + ", but the parts are numbered from 0, and key 'split.count' is " +
                             std::to_string(count));
  }
  SplitName name{{}, no, count};
  if (count > 1) name.prefix = named.split_prefix(no, count);
  std::vector<GgufFile> parts;
  for (name.no = 0; name.no < count; ++name.no) {
    if (name.no == no) {
      parts.push_back(std::move(named));  // NOLINT(bugprone-use-after-move): `no` comes once
    } else {
      const std::filesystem::path part = split_path(name);
      if (!is_there(part)) {
        throw Error(part.string() + ": is missing: it is part " + std::to_string(name.no + 1) + " of " +
                    std::to_string(count) + " of the model to which " + path.filename().string() + " belongs");
      }
      parts.push_back(GgufFile(part));
    }
    if (count > 1) parts.back().check_part(parts.front(), count, name.no);
  }
  GgufFile whole = std::move(parts.front());
  for (size_t i = 1; i < parts.size(); ++i) whole.append(std::move(parts[i]));
  whole.index_tensors();
  if (whole.find(kSplitTensors) != nullptr && whole.get_u32(kSplitTensors) != whole.tensors_.size()) {
    whole.fail(kSplitTensors, "is " + std::to_string(whole.get_u32(kSplitTensors)) + ", but " + std::to_string(count) +
                                  (count == 1 ? " file has " : " files have ") + std::to_string(whole.tensors_.size()) +
                                  " tensors");
  }
  return whole;
}

// The common prefix of the names of all parts. Links are followed until one is named like a part: a link to a part
// may have any name, and parts may be links to files with any name.
std::filesystem::path GgufFile::split_prefix(uint32_t no, uint32_t count) const {
  constexpr int kMaxLinks = 40;
  std::filesystem::path path = this->path();
  for (int links = 0; links < kMaxLinks; ++links) {
    if (const auto name = parse_split_name(path)) {
      if (name->no == no && name->count == count) return name->prefix;
      fail(name->count == count ? kSplitNo : kSplitCount,
           "says part " + std::to_string(no + 1) + " of " + std::to_string(count) + ", but the file's name says part " +
               std::to_string(name->no + 1) + " of " + std::to_string(name->count));
    }
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (error) break;
    path = path.parent_path() / target;  // just the target if it is absolute
  }
  fail(kSplitCount, "says part " + std::to_string(no + 1) + " of " + std::to_string(count) +
                        ": the file's name must end in '" + split_suffix(no, count) +
                        "', and the other parts lie beside it");
}

// Checks that this is the part with that number of the model to which `first` belongs.
void GgufFile::check_part(const GgufFile& first, uint32_t count, uint32_t no) const {
  const auto expect = [&](std::string_view key, uint32_t wanted, const std::string& why) {
    const uint32_t found = get_u32(key);
    if (found != wanted) fail(key, "is " + std::to_string(found) + ", expected " + std::to_string(wanted) + why);
  };
  expect(kSplitCount, count, " as in the other parts");
  expect(kSplitNo, no, ", counted from 0, for part " + std::to_string(no + 1) + " of " + std::to_string(count));
  for (const GgufEntry& entry : metadata_) {
    // Each file has its own number and layout; all else is in the first part and may be repeated.
    if (&first == this || entry.key == kSplitNo || entry.key == kSplitCount || entry.key == kAlignmentKey) continue;
    const GgufValue* other = first.find(entry.key);
    if (other == nullptr) continue;
    if (entry.key == kSplitTensors) {
      expect(kSplitTensors, first.get_u32(kSplitTensors), " as in " + first.path());
      continue;
    }
    const auto one = entry.value.payload(), two = other->payload();
    if (entry.value.type() != other->type() || entry.value.element_type() != other->element_type() ||
        !std::equal(one.begin(), one.end(), two.begin(), two.end())) {
      fail(entry.key, "is not what it is in " + first.path() + ": these are not parts of one model");
    }
  }
}

void GgufFile::append(GgufFile part) {
  parts_.push_back(std::move(part.parts_.front()));
  tensors_.insert(tensors_.end(), part.tensors_.begin(), part.tensors_.end());
  offset_fields_.insert(offset_fields_.end(), part.offset_fields_.begin(), part.offset_fields_.end());
}

uint64_t GgufFile::bytes() const {
  uint64_t bytes = 0;
  for (const GgufPart& part : parts_) bytes += part.file->size();
  return bytes;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const GgufEntry* entry = find_by_name(metadata_, metadata_by_key_, key_of, key);
  return entry != nullptr ? &entry->value : nullptr;
}

void GgufFile::fail(std::string_view key, std::string_view reason) const {
  const GgufValue* value = find(key);
  const std::string place = value != nullptr ? "byte " + std::to_string(value->offset()) + ": " : std::string();
  throw Error(path() + ": " + place + "key " + in_quotes(key) + ": " + std::string(reason));
}

const GgufValue& GgufFile::require(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) fail(key, "is absent");
  return *value;
}

uint32_t GgufFile::get_u32(std::string_view key) const {
  const GgufValue& value = require(key);
  if (const auto whole = whole_number(value.as_f64().value_or(-1)); whole && *whole >= 0 && *whole <= UINT32_MAX) {
    return static_cast<uint32_t>(*whole);
  }
  if (!is_integer(value.type())) fail(key, type_mismatch(value.type_name(), "an integer of 32 bits, unsigned"));
  const auto number = value.as_u64();
  if (!number || *number > std::numeric_limits<uint32_t>::max()) {
    fail(key, "is of type " + value.type_name() + " and value " + integer_text(value) + ", wanted a u32");
  }
  return static_cast<uint32_t>(*number);
}

float GgufFile::get_f32(std::string_view key) const {
  const GgufValue& value = require(key);
  const auto number = value.as_f64();
  if (!number) fail(key, type_mismatch(value.type_name(), "f32"));
  const auto narrowed = to_f32(*number);
  if (!narrowed) fail(key, "is of type f64 and too large for f32");
  return *narrowed;
}

bool GgufFile::get_bool(std::string_view key) const {
  const GgufValue& value = require(key);
  const auto flag = value.as_bool();
  if (!flag) fail(key, type_mismatch(value.type_name(), "bool"));
  return *flag;
}

std::string_view GgufFile::get_string(std::string_view key) const {
  const GgufValue& value = require(key);
  const auto text = value.as_string();
  if (!text) fail(key, type_mismatch(value.type_name(), "string"));
  return *text;
}

std::vector<std::string_view> GgufFile::get_string_array(std::string_view key) const {
  const GgufValue& value = require(key);
  if (value.type() != GgufType::array || value.element_type() != GgufType::string) {
    fail(key, type_mismatch(value.type_name(), "array of string"));
  }
  std::vector<std::string_view> texts;
  texts.reserve(value.count());
  value.visit_elements(value.count(), [&](const GgufValue& element) { texts.push_back(*element.as_string()); });
  return texts;
}

std::vector<float> GgufFile::get_f32_array(std::string_view key) const {
  const GgufValue& value = require(key);
  if (value.type() != GgufType::array || !is_float(value.element_type())) {
    fail(key, type_mismatch(value.type_name(), "array of f32"));
  }
  std::vector<float> numbers;
  numbers.reserve(value.count());
  value.visit_elements(value.count(), [&](const GgufValue& element) {
    const auto number = to_f32(*element.as_f64());
    if (!number) fail(key, "element " + std::to_string(numbers.size()) + " is too large for f32");
    numbers.push_back(*number);
  });
  return numbers;
}

std::vector<int32_t> GgufFile::get_i32_array(std::string_view key) const {
  const GgufValue& value = require(key);
  if (value.type() != GgufType::array || !is_integer(value.element_type())) {
    fail(key, type_mismatch(value.type_name(), "array of i32"));
  }
  std::vector<int32_t> numbers;
  numbers.reserve(value.count());
  value.visit_elements(value.count(), [&](const GgufValue& element) {
    const auto number = element.as_i64();
    if (!number || *number < std::numeric_limits<int32_t>::min() || *number > std::numeric_limits<int32_t>::max()) {
      fail(key, "element " + std::to_string(numbers.size()) + " is " + integer_text(element) + ", wanted an i32");
    }
    numbers.push_back(static_cast<int32_t>(*number));
  });
  return numbers;
}

uint32_t GgufFile::get_u32(std::string_view key, uint32_t fallback) const {
  return find(key) != nullptr ? get_u32(key) : fallback;
}
float GgufFile::get_f32(std::string_view key, float fallback) const {
  return find(key) != nullptr ? get_f32(key) : fallback;
}
bool GgufFile::get_bool(std::string_view key, bool fallback) const {
  return find(key) != nullptr ? get_bool(key) : fallback;
}
std::string_view GgufFile::get_string(std::string_view key, std::string_view fallback) const {
  return find(key) != nullptr ? get_string(key) : fallback;
}
std::vector<std::string_view> GgufFile::get_string_array(std::string_view key,
                                                         std::vector<std::string_view> fallback) const {
  return find(key) != nullptr ? get_string_array(key) : std::move(fallback);
}
std::vector<float> GgufFile::get_f32_array(std::string_view key, std::vector<float> fallback) const {
  return find(key) != nullptr ? get_f32_array(key) : std::move(fallback);
}
std::vector<int32_t> GgufFile::get_i32_array(std::string_view key, std::vector<int32_t> fallback) const {
  return find(key) != nullptr ? get_i32_array(key) : std::move(fallback);
}

const GgufTensor* GgufFile::find_tensor(std::string_view tensor_name) const {
  return find_by_name(tensors_, tensors_by_name_, name_of_tensor, tensor_name);
}

const GgufTensor& GgufFile::tensor(std::string_view tensor_name) const {
  const GgufTensor* found = find_tensor(tensor_name);
  if (found == nullptr) throw Error(path() + ": there is no tensor " + in_quotes(tensor_name));
  return *found;
}

Format GgufFile::format(const GgufTensor& tensor) const {
  const GgmlType* type = find_ggml_type(tensor.type);
  if (type == nullptr || !type->format) {
    throw Error(tensor.file->path() + ": tensor " + in_quotes(tensor.name) + " is stored as " +
                std::string(tensor.type_name) + ", which this build does not read");
  }
  return *type->format;
}

}  // namespace weft
