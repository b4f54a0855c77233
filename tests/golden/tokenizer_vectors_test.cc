// Tokenizers against ids that others computed: llama.cpp's vectors and Hugging Face's samples.
#include <gtest/gtest.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/tokenizer.h"
#include "runtime/utf8.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

using Ids = std::vector<int32_t>;

std::string stream(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const int32_t id : ids) {
    const std::string piece = decoder.push(id);
    EXPECT_TRUE(is_utf8(piece));
    text += piece;
  }
  return text + decoder.flush();
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
    if (end == std::string::npos) return parts;
    begin = end + separator.size();
  }
}

// data/tokenizers/ggml-vocab-NAME.gguf.{inp,out}: no special tokens are read or added.
void check_vectors(const Tokenizer& tokenizer, const std::string& name) {
  WEFT_SHARED_OR_SKIP(inputs, "data/tokenizers/ggml-vocab-" + name + ".gguf.inp");
  WEFT_SHARED_OR_SKIP(outputs, "data/tokenizers/ggml-vocab-" + name + ".gguf.out");
  const std::vector<std::string> texts = split(read_file(inputs), "\n__ggml_vocab_test__\n");
  std::istringstream lines(read_file(outputs));
  size_t checked = 0;
  for (std::string line; checked < texts.size() && std::getline(lines, line); ++checked) {
    std::istringstream numbers(line);
    const Ids wanted{std::istream_iterator<int32_t>(numbers), {}};
    const std::string& text = texts[checked];
    EXPECT_EQ(tokenizer.encode(text, false), wanted) << "text " << checked << ": " << in_quotes(text);
    EXPECT_EQ(tokenizer.decode(wanted), text);
    EXPECT_EQ(stream(tokenizer, wanted), text);
  }
  EXPECT_EQ(checked, 46u);
}

TEST(LlamaCppVectors, LlamaSpmFromGguf) {
  WEFT_SHARED_OR_SKIP(file, "data/tokenizers/ggml-vocab-llama-spm.gguf");
  const auto tokenizer = load_tokenizer(GgufFile::open(file));
  EXPECT_EQ(tokenizer->vocab_size(), 32000u);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  check_vectors(*tokenizer, "llama-spm");
}

TEST(LlamaCppVectors, Gpt2FromGguf) {
  WEFT_SHARED_OR_SKIP(file, "data/tokenizers/ggml-vocab-gpt-2.gguf");
  const auto tokenizer = load_tokenizer(GgufFile::open(file));
  EXPECT_EQ(tokenizer->vocab_size(), 50257u);
  check_vectors(*tokenizer, "gpt-2");
}

struct Sample {
  std::string text;
  Ids ids;
};

std::vector<Sample> read_samples(const std::filesystem::path& path) {
  std::vector<Sample> samples;
  for (const auto& sample : nlohmann::json::parse(read_file(path))) {
    samples.push_back({sample["text"], sample["ids"].get<Ids>()});
  }
  EXPECT_GE(samples.size(), 18u);
  return samples;
}

std::string without_special(std::string text) {
  for (const std::string_view special : {"<s>", "</s>"}) {
    for (size_t at; (at = text.find(special)) != std::string::npos;) text.erase(at, special.size());
  }
  return text;
}

// Byte-level BPE does not depend on who reads the file. (Of many files of a model one is tried.)
TEST(GoldenSamples, ByteLevelGguf) {
  for (const char* name : {"llama3-gqa/llama3-gqa-BF16", "qwen2/qwen2-BF16", "llama-yarn/llama-yarn-BF16"}) {
    SCOPED_TRACE(name);
    WEFT_SHARED_OR_SKIP(path, "data/golden/" + std::string(name) + ".gguf");
    const auto tokenizer = load_tokenizer(GgufFile::open(path));
    for (const Sample& sample : read_samples(path.parent_path() / "tokenizer_samples.json")) {
      EXPECT_EQ(tokenizer->encode(sample.text, true, true), sample.ids) << in_quotes(sample.text);
    }
  }
}

// SentencePiece and llama.cpp put a space before text that has one already, and before text that follows a special
// token; Hugging Face's files of these models do neither. Such samples are left out.
TEST(GoldenSamples, SentencePieceGguf) {
  for (const char* name : {"llama2-mha/llama2-mha-F16", "llama-linear/llama-linear-BF16", "mistral/mistral-BF16",
                           "mixtral/mixtral-Q8_0"}) {
    SCOPED_TRACE(name);
    WEFT_SHARED_OR_SKIP(path, "data/golden/" + std::string(name) + ".gguf");
    const auto tokenizer = load_tokenizer(GgufFile::open(path));
    size_t checked = 0;
    for (const Sample& sample : read_samples(path.parent_path() / "tokenizer_samples.json")) {
      if (sample.text.starts_with(' ') || without_special(sample.text) != sample.text) continue;
      EXPECT_EQ(tokenizer->encode(sample.text, true), sample.ids) << in_quotes(sample.text);
      EXPECT_EQ(tokenizer->decode(sample.ids), sample.text);
      ++checked;
    }
    EXPECT_EQ(checked, 14u);  // of 18
  }
}

}  // namespace
}  // namespace weft::test
