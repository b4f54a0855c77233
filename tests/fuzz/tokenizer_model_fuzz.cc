// Arbitrary bytes as a tokenizer.model, SentencePiece's or tiktoken's: a tokenizer whose texts and ids hold together,
// or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/spm_tokenizer.h"
#include "runtime/text/tokenizer/tokenizer_model.h"
#include "tests/fuzz/tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    if (is_sentencepiece(bytes)) {
      SentencePieceModel model = read_sentencepiece(bytes, "input");
      fuzz::check(*make_spm_tokenizer(std::move(model.vocabulary), model.space_prefix));
    } else {
      fuzz::check(*make_bpe_tokenizer(read_tiktoken(bytes, "input")));
    }
  } catch (const Error&) {
  }
  return 0;
}
