#include "runtime/files/safetensors.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/json.h"

namespace weft {
namespace {

struct DType {
  std::string_view name;
  uint64_t bits;
  std::optional<Format> format;
};
constexpr DType kTypes[] = {
    {"F32", 32, Format::f32},
    {"F16", 16, Format::f16},
    {"BF16", 16, Format::bf16},
    {"I32", 32, Format::i32},
    {"BOOL", 8, {}},
    {"U8", 8, {}},
    {"I8", 8, {}},
    {"U16", 16, {}},
    {"I16", 16, {}},
    {"U32", 32, {}},
    {"U64", 64, {}},
    {"I64", 64, {}},
    {"F64", 64, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
    {"C64", 64, {}},
};

class Header {
 public:
  explicit Header(const MappedFile& file) : file_(file) {
    if (!file.text().substr(std::min(file.size(), sizeof length_)).starts_with('{')) {
      const std::string kind = describe_foreign(file.text());
      if (!kind.empty()) throw Error(file.path() + ": " + kind);
    }
    if (file.size() < sizeof length_)
      fail(0, "the file has " + std::to_string(file.size()) + " bytes, fewer than a header");
    std::memcpy(&length_, file.data(), sizeof length_);
    if (length_ > SafetensorsFile::kMaxHeader || length_ > file.size() - sizeof length_) {
      fail(0, "a header of " + std::to_string(length_) + " bytes does not fit (file of " + std::to_string(file.size()) +
                  " bytes, headers of at most " + std::to_string(SafetensorsFile::kMaxHeader) + ")");
    }
  }

  uint64_t data_offset() const { return sizeof length_ + length_; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(file_.data()) + sizeof length_, static_cast<size_t>(length_)};
  }

  [[noreturn]] void fail(uint64_t byte, const std::string& reason) const {
    throw Error(file_.path() + ": byte " + std::to_string(byte) + ": " + reason);
  }
  // Byte positions in the header are unknown once it is parsed: errors name the tensor and where its data begin.
  [[noreturn]] void fail(const std::string& tensor, const std::string& reason) const {
    fail(sizeof length_, "header: tensor " + in_quotes(tensor) + ": " + reason);
  }

  SafetensorsTensor read(const std::string& name, const Json& entry) const {
    if (!entry.is_object()) fail(name, "is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        fail(name, "has an unknown field " + in_quotes(key));
    }
    SafetensorsTensor tensor;
    tensor.name = name;
    const Json* type = find(entry, "dtype");
    if (type == nullptr || !type->is_string()) fail(name, "dtype is missing or not a string");
    const auto& type_name = type->get_ref<const std::string&>();
    const auto known =
        std::find_if(std::begin(kTypes), std::end(kTypes), [&](const DType& t) { return t.name == type_name; });
    if (known == std::end(kTypes)) fail(name, "dtype " + in_quotes(type_name) + " is not known");
    tensor.type_name = known->name;
    tensor.format = known->format;

    const Json* shape = find(entry, "shape");
    if (shape == nullptr || !shape->is_array()) fail(name, "shape is missing or not a list");
    if (shape->size() > kMaxDims) fail(name, "shape has more than " + std::to_string(kMaxDims) + " extents");
    uint64_t bits = known->bits;
    for (const Json& extent : *shape) {
      if (!extent.is_number_unsigned()) fail(name, "shape holds something that is not an extent");
      const uint64_t value = extent.get<uint64_t>();
      if (value > uint64_t{1} << 62 || __builtin_mul_overflow(bits, value, &bits)) fail(name, "shape overflows");
      tensor.extents.push_back(static_cast<int64_t>(value));
    }
    if (bits % 8 != 0) fail(name, "shape does not fill whole bytes");

    const Json* offsets = find(entry, "data_offsets");
    if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
        !(*offsets)[1].is_number_unsigned()) {
      fail(name, "data_offsets is missing or not a pair of offsets");
    }
    const uint64_t begin = (*offsets)[0].get<uint64_t>(), end = (*offsets)[1].get<uint64_t>();
    if (begin > end || end > file_.size() - data_offset()) {
      fail(name, "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + ") are outside the data of " +
                     std::to_string(file_.size() - data_offset()) + " bytes");
    }
    if (end - begin != bits / 8) {
      fail(name, "data_offsets hold " + std::to_string(end - begin) + " bytes, but the shape has " +
                     std::to_string(bits / 8));
    }
    tensor.offset = data_offset() + begin;
    tensor.bytes = static_cast<size_t>(end - begin);
    tensor.data = file_.data() + tensor.offset;
    return tensor;
  }

 private:
  static constexpr size_t kMaxDims = 8;
  const MappedFile& file_;
  uint64_t length_ = 0;
};

}  // namespace

SafetensorsFile::SafetensorsFile(MappedFile file) : file_(std::move(file)) {
  const Header header(file_);
  const Json json = parse_json(header.text(), file_.path() + ": header");
  if (!json.is_object()) header.fail(sizeof(uint64_t), "the header is not an object");
  for (const auto& [name, entry] : json.items()) {
    if (name != "__metadata__") {
      tensors_.push_back(header.read(name, entry));
      continue;
    }
    if (!entry.is_object()) header.fail(name, "is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) header.fail(name, in_quotes(key) + " is not a string");
      metadata_[key] = value.get<std::string>();
    }
  }

  std::sort(tensors_.begin(), tensors_.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  uint64_t end = header.data_offset();
  for (const SafetensorsTensor& tensor : tensors_) {
    if (tensor.offset != end) {
      header.fail(end, "tensor " + in_quotes(tensor.name) + " begins at byte " + std::to_string(tensor.offset) +
                           (tensor.offset < end ? " and overlaps the one before it" : ", after a gap"));
    }
    end += tensor.bytes;
  }
  if (end != file_.size()) header.fail(end, "the file has data that belong to no tensor");

  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [this](uint32_t a, uint32_t b) { return tensors_[a].name < tensors_[b].name; });
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) { return SafetensorsFile(MappedFile(path)); }

const SafetensorsTensor* SafetensorsFile::find_tensor(std::string_view name) const {
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [this](uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

}  // namespace weft
