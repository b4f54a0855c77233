#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/file_kind.h"
#include "runtime/text/tokenizer/byte_alphabet.h"
#include "runtime/text/tokenizer/tokenizer_model.h"

namespace weft {
namespace {

// Merges are found by cutting tokens at every position, so their length is limited; Llama-3's longest has 128
// bytes.
constexpr size_t kMaxToken = 512;

std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t digit = i < text.size() - padding ? kDigits.find(text[i]) : 0;
    if (digit == kDigits.npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4 == 3) {
      for (const int shift : {16, 8, 0}) bytes += static_cast<char>(bits >> shift);
      bits = 0;
    }
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

// The names in the tokenizer.json of Llama 3.1 and later, in the order of ids.
std::vector<std::string> llama3_special_tokens() {
  std::vector<std::string> names = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|finetune_right_pad_id|>",
                                    "<|reserved_special_token_2|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eom_id|>",
                                    "<|eot_id|>",
                                    "<|python_tag|>"};
  for (int i = 3; names.size() < 256; ++i) names.push_back("<|reserved_special_token_" + std::to_string(i) + "|>");
  return names;
}

// Every way to form a token from two others, ranked by the token: what tiktoken finds while it merges.
std::vector<BpeModel::Merge> merges_of(const std::vector<std::string>& tokens, const TextIndex& ids) {
  std::vector<BpeModel::Merge> merges;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view token = tokens[i];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(token.substr(cut));
      if (right == ids.end()) continue;
      merges.push_back({left->second, right->second, static_cast<int32_t>(i), static_cast<uint32_t>(i)});
    }
  }
  return merges;
}

}  // namespace

BpeParts read_tiktoken(std::string_view text, const std::string& source) {
  refuse_lfs_pointer(text, source);
  BpeParts parts;
  std::vector<std::string> tokens;  // their bytes
  for (size_t line = 1; !text.empty(); ++line) {
    const auto fail = [&](const std::string& reason) {
      throw Error(source + ": line " + std::to_string(line) + ": " + reason);
    };
    const std::string_view row = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(row.size() + 1, text.size()));
    if (row.empty()) continue;
    const size_t space = row.find(' ');
    if (space == row.npos) fail(in_quotes(row) + " is not a token in base64 and its rank");
    const auto token = from_base64(row.substr(0, space));
    if (!token || token->empty()) fail(in_quotes(row.substr(0, space)) + " is not base64");
    if (token->size() > kMaxToken) fail("a token of " + std::to_string(token->size()) + " bytes");
    size_t rank = 0;
    const auto [end, error] = std::from_chars(row.data() + space + 1, row.data() + row.size(), rank);
    if (error != std::errc() || end != row.data() + row.size() || rank != tokens.size()) {
      fail("rank " + in_quotes(row.substr(space + 1)) + ", wanted " + std::to_string(tokens.size()));
    }
    if (!parts.ids.emplace(*token, static_cast<int32_t>(rank)).second)
      fail("the token " + in_quotes(*token) + " again");
    tokens.push_back(*token);
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!parts.ids.contains(std::string_view(std::string(1, static_cast<char>(byte))))) {
      throw Error(source + ": has no token for byte " + std::to_string(byte));
    }
  }

  parts.merges = merges_of(tokens, parts.ids);
  Vocabulary& vocabulary = parts.vocabulary;
  vocabulary.source = source;
  for (const std::string& token : tokens) {
    vocabulary.texts.push_back(to_byte_alphabet(token));
    vocabulary.types.push_back(TokenType::normal);
  }
  parts.bytes = std::move(tokens);
  const auto first = static_cast<int32_t>(vocabulary.size());
  for (const std::string& name : llama3_special_tokens()) {
    parts.added.push_back({.text = name, .id = static_cast<int32_t>(vocabulary.size()), .special = true});
    vocabulary.texts.push_back(name);
    vocabulary.types.push_back(TokenType::control);
    parts.bytes.emplace_back();
  }
  vocabulary.bos = first;
  vocabulary.eos = first + 1;
  parts.options.byte_level = true;
  parts.options.ignore_merges = true;
  parts.pre_tokenizers.push_back(split_at(Regex(kLlama3Pattern), SplitBehavior::isolated, false));
  return parts;
}

}  // namespace weft
