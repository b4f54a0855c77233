// Arbitrary bytes as a file of packed weights: it is refused with an Error, or holds exactly what was asked for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "runtime/plan/packed_file.h"
#include "tests/fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  // What the whole file of the corpus holds.
  static const PackedFileContent content{"source\n", {{"a", "form", 100}, {"empty", "form", 0}, {"b", "form", 5000}}};
  const fuzz::InputFile input(data, size);
  try {
    const auto file = PackedFile::open(input.path(), content, 1);
    for (size_t i = 0; i < content.weights.size(); ++i) {
      for (const std::byte byte : file->weight(i)) {
        if (byte != std::byte{7}) std::abort();
      }
      if (file->weight(i).size() != content.weights[i].bytes) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
