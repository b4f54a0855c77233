// Arbitrary bytes as a safetensors file: its tensors lie in the file, next to each other, and what a recording
// says of tokens and axes can be read; or an Error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "runtime/trace/recording.h"
#include "tests/fuzz/input_file.h"

namespace {

using namespace weft;

double checksum = 0;  // so that no read is dropped

void require(bool condition) {
  if (!condition) std::abort();
}

// Returns the byte after the tensor.
uint64_t check(const SafetensorsFile& file, const SafetensorsTensor& tensor) {
  require(file.find_tensor(tensor.name) == &tensor);
  require(tensor.offset <= file.file().size() && tensor.bytes <= file.file().size() - tensor.offset);
  require(tensor.data == file.file().data() + tensor.offset);
  bool empty = false;
  uint64_t elements = 1;
  for (const int64_t extent : tensor.extents) require(extent >= 0), empty |= extent == 0;
  if (empty) elements = 0;
  else
    for (const int64_t extent : tensor.extents) elements *= static_cast<uint64_t>(extent);
  require(elements <= tensor.bytes * 8);
  if (!is_readable(tensor) || elements == 0) return tensor.offset + tensor.bytes;
  for (const uint64_t at : {uint64_t{0}, elements / 2, elements - 1}) {
    checksum += read_number(tensor, static_cast<int64_t>(at));
  }
  return tensor.offset + tensor.bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::InputFile input(data, size);
  try {
    const Recording recording = Recording::open(input.path());
    const SafetensorsFile& file = recording.file();
    uint64_t end = file.tensors().empty() ? size : file.tensors().front().offset;
    for (const SafetensorsTensor& tensor : file.tensors()) {
      require(tensor.offset == end);
      end = check(file, tensor);
      for (const std::string& axis : recording.axes(tensor.name)) checksum += static_cast<double>(axis.size());
      checksum += static_cast<double>(recording.pairs(tensor.name).axis.size());
    }
    require(end == size);
    require(file.find_tensor("\xff none") == nullptr);
    for (const int32_t token : recording.tokens()) require(token >= 0);
  } catch (const Error&) {
  }
  return 0;
}
