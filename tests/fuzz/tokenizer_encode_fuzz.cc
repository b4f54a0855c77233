// Arbitrary bytes as text and as ids, for small tokenizers of every kind: what they make of text gives the text back.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/utf8.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/byte_alphabet.h"
#include "runtime/text/tokenizer/spm_tokenizer.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "runtime/text/tokenizer/unicode.h"
#include "tests/fuzz/tokenizer_checks.h"

namespace {

using namespace weft;
using fuzz::require;

const std::vector<std::string> kWords = {
    "th",       "he", "the", " t",   " the",     "  ",       "    ",     "aa",           "aaaa",
    "aaaaaaaa", "12", "'s",  "\n\n", "\xC3\xA9", "\xCC\x81", "\xF0\x9F", "\xF0\x9F\x98", "\xF0\x9F\x98\x80"};

std::string byte_token(unsigned byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

void add(Vocabulary& vocabulary, std::string text, TokenType type, float score = 0) {
  vocabulary.texts.push_back(std::move(text));
  vocabulary.types.push_back(type);
  vocabulary.scores.push_back(score);
}

std::unique_ptr<Tokenizer> sentencepiece() {
  Vocabulary vocabulary;
  vocabulary.source = "sentencepiece";
  add(vocabulary, "<unk>", TokenType::unknown);
  add(vocabulary, "<s>", TokenType::control);
  add(vocabulary, "<x y>", TokenType::user_defined);
  for (unsigned byte = 0; byte < 256; ++byte) add(vocabulary, byte_token(byte), TokenType::byte);
  float score = 0;
  for (const char* letter : {"\u2581", "t", "h", "e", "a", "\u00e9", "\u0301"}) {
    add(vocabulary, letter, TokenType::normal, --score);
  }
  for (const std::string& word : kWords) {
    const std::string text = replace_all(word, " ", "\u2581");
    if (is_utf8(text) && text != "\u00e9" && text != "\u0301") add(vocabulary, text, TokenType::normal, --score);
  }
  vocabulary.unknown = 0;
  vocabulary.bos = 1;
  vocabulary.prefix = {1};
  return make_spm_tokenizer(std::move(vocabulary), true);
}

// Every way to cut a word in two tokens is a merge, words in the order of the list.
std::unique_ptr<Tokenizer> byte_level(std::string_view pattern, std::vector<Normalizer> normalizers) {
  BpeParts parts;
  parts.vocabulary.source = "byte level";
  parts.options.byte_level = true;
  const auto put = [&](const std::string& bytes, TokenType type) {
    const auto id = static_cast<int32_t>(parts.bytes.size());
    add(parts.vocabulary, type == TokenType::normal ? to_byte_alphabet(bytes) : bytes, type);
    parts.bytes.push_back(type == TokenType::control ? "" : bytes);
    if (type == TokenType::normal) {
      parts.ids.emplace(bytes, id);
    } else {
      parts.added.push_back({.text = bytes, .id = id, .special = type == TokenType::control});
    }
  };
  for (unsigned byte = 0; byte < 256; ++byte) put(std::string(1, static_cast<char>(byte)), TokenType::normal);
  for (const std::string& word : kWords) put(word, TokenType::normal);
  for (const std::string& word : kWords) {
    const auto rank = static_cast<uint32_t>(parts.merges.size());
    for (size_t cut = 1; cut < word.size(); ++cut) {
      const auto left = parts.ids.find(word.substr(0, cut)), right = parts.ids.find(word.substr(cut));
      if (left == parts.ids.end() || right == parts.ids.end()) continue;
      parts.merges.push_back({left->second, right->second, parts.ids.find(word)->second, rank});
    }
  }
  put("<s>", TokenType::control);
  put("<x y>", TokenType::user_defined);
  parts.vocabulary.bos = static_cast<int32_t>(parts.bytes.size()) - 2;
  parts.vocabulary.prefix = {*parts.vocabulary.bos};
  parts.normalizers = std::move(normalizers);
  parts.pre_tokenizers = {split_at(Regex(pattern), SplitBehavior::isolated, false)};
  return make_bpe_tokenizer(std::move(parts));
}

Normalizer form(NormalForm form) {
  return [form](std::string_view text) { return normalize(text, form); };
}

struct Case {
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<Normalizer> normalizers;  // what decoding does not undo
};

std::vector<Case> cases() {
  std::vector<Case> out;
  out.push_back({sentencepiece(), {replace(std::string("\u2581"), " ")}});
  for (const std::string_view pattern : {kGpt2Pattern, kLlama3Pattern, kTekkenPattern}) {
    out.push_back({byte_level(pattern, {}), {}});
  }
  for (const auto& normalizers : {std::vector{form(NormalForm::nfc)},
                                  {form(NormalForm::nfd)},
                                  {form(NormalForm::nfkc)},
                                  {form(NormalForm::nfkd)}}) {
    out.push_back({byte_level(kQwen2Pattern, normalizers), normalizers});
  }
  return out;
}

}  // namespace

// The first byte chooses the tokenizer and whether special tokens are read; the others are the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Case> all = cases();
  if (size == 0) return 0;
  const auto& [tokenizer, normalizers] = all[(data[0] & 0x7F) % all.size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool parse_special = data[0] >= 0x80;
  const std::string valid = make_utf8(text);
  const std::vector<int32_t> ids = fuzz::check_encode(*tokenizer, text, parse_special);
  // Control tokens are not text, and between added tokens characters do not combine.
  if (!parse_special && (normalizers.empty() || valid.find("<x y>") == valid.npos)) {
    require(tokenizer->decode(ids) == apply_all(normalizers, valid));
  }
  for (const Normalizer& normalizer : normalizers) {
    const std::string once = normalizer(valid);
    require(is_utf8(once) && normalizer(once) == once);
  }

  std::vector<int32_t> any;
  for (size_t i = 1; i + 1 < size; i += 2) {
    any.push_back(static_cast<int32_t>((data[i] | static_cast<unsigned>(data[i + 1]) << 8) % tokenizer->vocab_size()));
  }
  fuzz::check_decode(*tokenizer, any);
  return 0;
}
