// Text to token ids and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/checkpoint.h"
#include "runtime/text/tokenizer/vocabulary.h"

namespace weft {

struct TokenizerOptions {
  // How byte-level BPE cuts text into words, overriding the file: one of pre_tokenizer_names(). Empty: as the file
  // says. Other kinds of tokenizers, and tokenizer.json, ignore it with a warning.
  std::string pre_tokenizer;
};

// The known values of tokenizer.ggml.pre.
std::vector<std::string> pre_tokenizer_names();

// Common to all tokenizers: special tokens, BOS and EOS, decoding. A kind of tokenizer adds how plain text becomes
// ids, and which bytes a token stands for. Immutable, so threads may share one.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // The ids of `text`. With `add_special`, BOS first and EOS last where the model expects them. User-defined
  // tokens in the text are matched whole; control tokens ("</s>") only with `parse_special`, so that text from
  // users cannot forge them. Empty text gives no ids except BOS and EOS. Any bytes are accepted. Throws Error for
  // a character that has no token if there is no unknown token either, and for 2^31 bytes or more.
  std::vector<int32_t> encode(std::string_view text, bool add_special, bool parse_special = false) const;

  // The text of `ids`: always UTF-8, see StreamDecoder, which produces the same text piece by piece. `at_start`:
  // ids begin the text (with or without BOS), so a leading space that `encode` added is removed; pass false for
  // ids that continue earlier ones.
  std::string decode(std::span<const int32_t> ids, bool at_start = true) const;

  std::optional<int32_t> bos() const { return vocabulary_.bos; }
  std::optional<int32_t> eos() const { return vocabulary_.eos; }
  // All tokens that end generation, sorted by id: eos and, in chat models, <|eot_id|>, <|im_end|> and the like.
  std::span<const int32_t> end_of_generation() const { return vocabulary_.ends; }
  bool ends_generation(int32_t id) const;
  // One line each, with the file's name: what the file leaves open, so that ids may not be those of training; what
  // the file or an option says that has no effect.
  const std::vector<std::string>& warnings() const { return vocabulary_.warnings; }
  size_t vocab_size() const { return vocabulary_.size(); }

  // These throw Error for an id outside [0, vocab_size()).
  const std::string& token_text(int32_t id) const;  // as the file has it: "\u2581the", "<0x0A>", "</s>"
  std::string_view token_bytes(int32_t id) const;   // the raw bytes it decodes to; empty for control tokens
  bool is_control(int32_t id) const;

 protected:
  // `bytes`: for each token, what it decodes to.
  Tokenizer(Vocabulary vocabulary, std::vector<std::string> bytes);

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  friend class StreamDecoder;

  // Appends the ids of the text.
  virtual void encode_text(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const = 0;

  // What a token decodes to as the first token of a nonempty text: without the space that encode added.
  virtual std::string bytes_at_start(int32_t id) const = 0;

  size_t index(int32_t id) const;

  Vocabulary vocabulary_;
  std::vector<std::string> bytes_;
};

// Decodes ids one at a time into UTF-8. Bytes of a character that later ids may complete are held back; bytes
// that no continuation can make valid become U+FFFD, one per maximal subpart (Unicode 15, section 3.9). All
// pushes and the flush together give exactly Tokenizer::decode of the ids. For one thread at a time.
class StreamDecoder {
 public:
  // The tokenizer must outlive the decoder. `at_start` as for Tokenizer::decode.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool at_start = true)
      : tokenizer_(&tokenizer), at_start_(at_start) {}

  // The text that became complete; often empty. Throws Error for an id out of range.
  std::string push(int32_t id);

  // The end of the text: an incomplete character becomes U+FFFD. Pushing may go on after it.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool at_start_;
  std::string pending_;  // an incomplete sequence, at most 3 bytes
};

// The tokenizer that the file's metadata describes: tokenizer.ggml.model "llama" is SentencePiece BPE, "gpt2" is
// byte-level BPE with the pattern that tokenizer.ggml.pre names, or a guess and a warning where it is absent. The
// result does not refer to the file. Throws Error, naming file and key, for other models and bad metadata.
std::unique_ptr<Tokenizer> load_tokenizer(const GgufFile& file, const TokenizerOptions& options = {});

// The tokenizer at a path: a GGUF file; a directory with tokenizer.json, else tokenizer.model (SentencePiece, or
// Llama-3's list of base64 tokens), else vocab.json and merges.txt, else one GGUF model; or one of those files
// itself. tokenizer_config.json, generation_config.json and config.json beside them are read for BOS, EOS, tokens
// that end generation, and added tokens. tokenizer.json encodes exactly as Hugging Face tokenizers do, with
// parse_special; the others follow SentencePiece, llama.cpp and tiktoken. Throws Error, naming file and place.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path, const TokenizerOptions& options = {});

// The tokenizer in a checkpoint's GGUF file or directory.
std::unique_ptr<Tokenizer> load_tokenizer(const Checkpoint& checkpoint, const TokenizerOptions& options = {});

}  // namespace weft
