// Arbitrary bytes as a GGUF file with a tokenizer: one whose texts and ids hold together, or an Error.
#include <cstddef>
#include <cstdint>

#include "core/error.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/fuzz/input_file.h"
#include "tests/fuzz/tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  const fuzz::InputFile input(data, size);
  try {
    fuzz::check(*load_tokenizer(GgufFile::open(input.path())));
  } catch (const Error&) {
  }
  return 0;
}
