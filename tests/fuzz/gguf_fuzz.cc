// Arbitrary bytes as a GGUF file: opening it, and reading its metadata and the first rows of its tensors, gives values
// or an Error, and never reads outside the file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/error.h"
#include "core/format/format.h"
#include "runtime/files/gguf.h"
#include "tests/fuzz/input_file.h"

namespace {

using namespace weft;

constexpr size_t kElements = 64;  // of an array
constexpr size_t kRows = 4;       // of a tensor
constexpr int kDepth = 10;        // of nested arrays: more than a file may have

uint64_t checksum = 0;  // so that no read is dropped

void require(bool condition) {
  if (!condition) std::abort();
}

void read(const GgufValue& value, int depth) {
  require(depth < kDepth);
  checksum += value.type_name().size() + value.offset();
  if (const auto text = value.as_string()) {
    for (const char character : *text) checksum += static_cast<uint8_t>(character);
  }
  checksum += value.as_u64().value_or(1) + static_cast<uint64_t>(value.as_i64().value_or(1)) +
              static_cast<uint64_t>(value.as_f64().has_value()) + static_cast<uint64_t>(value.as_bool().value_or(true));
  const std::vector<GgufValue> elements = value.elements(kElements);
  require(elements.size() <= kElements && elements.size() <= std::max<uint64_t>(value.count(), 1));
  for (const GgufValue& element : elements) read(element, depth + 1);
}

void look_up(const GgufFile& file, std::string_view key) {
  const auto attempt = [](auto get) {
    try {
      checksum += static_cast<uint64_t>(get());
    } catch (const Error&) {  // a value of another type
    }
  };
  attempt([&] { return file.get_u32(key); });
  attempt([&] { return file.get_f32(key, 0) > 0; });
  attempt([&] { return file.get_bool(key, true); });
  attempt([&] { return file.get_string(key, "none").size(); });
  attempt([&] { return file.get_string_array(key).size(); });
  attempt([&] { return file.get_f32_array(key).size(); });
  attempt([&] { return file.get_i32_array(key).size(); });
}

void read(const GgufFile& file, const GgufTensor& tensor) {
  require(file.find_tensor(tensor.name) != nullptr);
  require(tensor.offset <= tensor.file->size() && tensor.bytes <= tensor.file->size() - tensor.offset);
  require(tensor.data == tensor.file->data() + tensor.offset);
  Format format;
  try {
    format = file.format(tensor);
  } catch (const Error&) {  // a type that is not read, or a row that cuts a block
    return;
  }
  if (!info(format).is_float || tensor.bytes == 0) return;
  const size_t row = tensor.extents[0], bytes = row_bytes(format, row);
  std::vector<float> values(row);
  for (size_t i = 0; i < kRows && (i + 1) * bytes <= tensor.bytes; ++i) {
    decode_row(format, tensor.data + i * bytes, row, values.data());
    checksum += static_cast<uint64_t>(values[row - 1] > 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const weft::fuzz::InputFile input(data, size);
  try {
    const GgufFile file = GgufFile::open(input.path());
    checksum += file.version() + file.alignment() + file.data_offset();
    for (const GgufEntry& entry : file.metadata()) {
      read(entry.value, 0);
      look_up(file, entry.key);
    }
    for (const GgufTensor& tensor : file.tensors()) read(file, tensor);
  } catch (const Error&) {
  }
  return 0;
}
