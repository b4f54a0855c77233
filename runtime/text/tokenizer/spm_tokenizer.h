// SentencePiece's byte-pair encoding: tokenizer.model, and GGUF vocabularies ("llama") as llama.cpp applies it.
#pragma once

#include <memory>

#include "runtime/files/gguf.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "runtime/text/tokenizer/vocabulary.h"

namespace weft {

// A space becomes U+2581, and one is put before text that begins the input or follows a special token (unless
// tokenizer.ggml.add_space_prefix is false). Then neighbours merge: the pair whose token scores best first; for
// equal scores, the leftmost. A character without a token becomes the tokens "<0xXX>" of its bytes, or else the
// unknown token. Merges never produce control, unknown or byte tokens, as in SentencePiece: text that spells
// "</s>" does not make one.
std::unique_ptr<Tokenizer> load_spm_tokenizer(const GgufFile& file, const TokenizerOptions& options);

// The same for a vocabulary with scores, from any file. `space_prefix`: text begins with a space that decoding
// removes.
std::unique_ptr<Tokenizer> make_spm_tokenizer(Vocabulary vocabulary, bool space_prefix);

}  // namespace weft
