// Tokenizers against ids that others computed: llama.cpp's vectors and Hugging Face's samples.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/stream_text.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

using Ids = std::vector<int32_t>;

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
    EXPECT_EQ(test::stream_text(tokenizer, wanted), text);
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

// The directory or file that holds the vocabulary, without BOS.
void check_vectors_of(const std::string& vocabulary, const std::string& name) {
  WEFT_SHARED_OR_SKIP(path, "data/tokenizers/" + vocabulary);
  check_vectors(*load_tokenizer(path), name);
}

TEST(LlamaCppVectors, LlamaSpmFromModel) { check_vectors_of("llama2", "llama-spm"); }
TEST(LlamaCppVectors, LlamaBpeFromTiktoken) { check_vectors_of("llama3/tokenizer.model", "llama-bpe"); }
TEST(LlamaCppVectors, Qwen2FromVocabJson) { check_vectors_of("qwen2.5", "qwen2"); }

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

TEST(GoldenSamples, TokenizerJson) {
  size_t directories = 0;
  for (const char* name : {"llama2-mha/hf", "llama3-gqa/hf", "llama-linear/hf", "llama-yarn/hf", "llama-fused/hf",
                           "llama-fused/hf-fused", "mistral/hf", "mistral-window/hf", "mixtral/hf", "qwen2/hf"}) {
    SCOPED_TRACE(name);
    WEFT_SHARED_OR_SKIP(path, "data/golden/" + std::string(name));
    const auto tokenizer = load_tokenizer(path);
    const bool normalizes = std::string_view(name).starts_with("qwen2");
    for (const Sample& sample : read_samples(path.parent_path() / "tokenizer_samples.json")) {
      const Ids ids = tokenizer->encode(sample.text, true, true);
      EXPECT_EQ(ids, sample.ids) << in_quotes(sample.text);
      EXPECT_EQ(test::stream_text(*tokenizer, ids), tokenizer->decode(ids));
      // Lossless except for normalization, special tokens, and a space that counts as the leading one.
      const bool lossless = !normalizes && !sample.text.starts_with(' ') && without_special(sample.text) == sample.text;
      if (lossless) {
        EXPECT_EQ(tokenizer->decode(ids), sample.text);
      }
    }
    ++directories;
  }
  EXPECT_EQ(directories, 10u);
}

// The same texts as from GGUF differ between SentencePiece and Hugging Face's files.
TEST(GoldenSamples, TokenizerModel) {
  for (const char* name : {"llama2-mha", "llama-linear", "mistral", "mistral-window", "mixtral"}) {
    SCOPED_TRACE(name);
    WEFT_SHARED_OR_SKIP(path, "data/golden/" + std::string(name) + "/hf/tokenizer.model");
    const auto tokenizer = load_tokenizer(path);
    size_t checked = 0;
    for (const Sample& sample : read_samples(path.parent_path().parent_path() / "tokenizer_samples.json")) {
      if (sample.text.starts_with(' ') || without_special(sample.text) != sample.text) continue;
      EXPECT_EQ(tokenizer->encode(sample.text, true), sample.ids) << in_quotes(sample.text);
      ++checked;
    }
    EXPECT_EQ(checked, 14u);
  }
}

// Small tokenizers with every option that tokenizer.json has, made by tools/tokenizer_samples.py.
TEST(HuggingFaceSamples, OptionsOfTokenizerJson) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("weft-samples-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "tests/golden/tokenizer_samples")) {
    SCOPED_TRACE(entry.path().filename());
    const auto json = nlohmann::json::parse(read_file(entry.path()));
    std::ofstream(folder / "tokenizer.json") << json["tokenizer"].dump();
    const auto tokenizer = load_tokenizer(folder);
    for (const auto& sample : json["samples"]) {
      const std::string text = sample["text"];
      const Ids ids = sample["ids"];
      EXPECT_EQ(tokenizer->encode(text, true, true), ids) << in_quotes(text);
      EXPECT_EQ(tokenizer->decode(ids), sample["decoded"].get<std::string>());
      EXPECT_EQ(test::stream_text(*tokenizer, ids), sample["decoded"].get<std::string>());
    }
    ++files;
  }
  std::filesystem::remove_all(folder);
  EXPECT_EQ(files, 18u);
}

// Random texts by tools/compare_tokenizers.py --sample, for vocabularies of real models.
TEST(HuggingFaceSamples, RealVocabularies) {
  for (const auto& [samples, vocabulary] : {std::pair{"tinyllama", "tinyllama"},
                                            {"qwen2.5", "qwen2.5"},
                                            {"llama3", "llama3/tokenizer.model"},
                                            {"llama2", "llama2/tokenizer.model"},
                                            {"gpt-2", "ggml-vocab-gpt-2.gguf"}}) {
    SCOPED_TRACE(vocabulary);
    WEFT_SHARED_OR_SKIP(path, "data/tokenizers/" + std::string(vocabulary));
    const auto tokenizer = load_tokenizer(path);
    const auto file = source_dir() / "tests/golden/tokenizer_random" / (std::string(samples) + ".json");
    size_t checked = 0;
    for (const Sample& sample : read_samples(file)) {
      EXPECT_EQ(tokenizer->encode(sample.text, true, true), sample.ids) << in_quotes(sample.text);
      ++checked;
    }
    EXPECT_EQ(checked, 100u);
  }
}

// Quadratic work on a megabyte of one letter would take an hour. What merging does is counted in bpe_test and
// tokenizer_test; this sees the rest of the way, and the patterns.
TEST(LongTexts, RunsOfOneThing) {
  struct Case {
    const char* vocabulary;
    std::vector<std::string> parts;
  };
  const Case cases[] = {{"tinyllama/tokenizer.json", {"a", " "}},
                        {"llama2/tokenizer.model", {"a", "\U0001F600"}},
                        {"llama3/tokenizer.model", {"a", " ", "\n", "e\u0301\u0316", "'"}}};
  for (const auto& [vocabulary, parts] : cases) {
    WEFT_SHARED_OR_SKIP(path, "data/tokenizers/" + std::string(vocabulary));
    const auto tokenizer = load_tokenizer(path);
    for (const std::string& part : parts) {
      const size_t bytes = part == "a" ? 1 << 20 : 1 << 17;
      std::string text;
      while (text.size() < bytes) text += part;
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false)), text) << vocabulary << ' ' << in_quotes(part);
    }
  }
}

}  // namespace
}  // namespace weft::test
