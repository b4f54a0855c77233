// tokenizer.json, the format of Hugging Face tokenizers. Reference: https://github.com/huggingface/tokenizers
#pragma once

#include <filesystem>
#include <memory>

#include "runtime/text/tokenizer/bpe_tokenizer.h"

namespace weft {

// What the file describes, without what only tokenizer_config.json states: bos, eos, ends. Model "BPE" in all its
// forms; normalizers NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend; pre-tokenizers Split, ByteLevel (as the
// last one), Metaspace, Digits; post-processors TemplateProcessing, ByteLevel; decoders ByteLevel, Metaspace,
// Replace, ByteFallback, Fuse, Strip; sequences of each. Truncation and padding do not concern a tokenizer here
// and are ignored. Throws Error, naming file and JSON path, for anything else and for contradictions.
//
// Texts decode as in that library, except where byte tokens do not form UTF-8 (here U+FFFD per maximal subpart,
// there per byte of the run), and where an added token of a byte-level vocabulary has characters outside ASCII
// (here unchanged).
BpeParts read_tokenizer_json(const std::filesystem::path& path);

}  // namespace weft
