// Arbitrary bytes as a tokenizer.json: a tokenizer whose texts and ids hold together, or an Error.
#include <cstddef>
#include <cstdint>

#include "core/error.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/tokenizer_json.h"
#include "tests/fuzz/input_file.h"
#include "tests/fuzz/tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  const fuzz::InputFile input(data, size);
  try {
    fuzz::check(*make_bpe_tokenizer(read_tokenizer_json(input.path())));
  } catch (const Error&) {
  }
  return 0;
}
