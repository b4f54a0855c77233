#include "runtime/text/tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace weft {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";

std::string element(size_t i) { return "element " + std::to_string(i); }

void check_length(const GgufFile& file, std::string_view key, size_t length, size_t wanted) {
  if (length == wanted) return;
  file.fail(key, "has " + std::to_string(length) + " elements, but there are " + std::to_string(wanted) + " tokens");
}

std::vector<std::string> read_texts(const GgufFile& file) {
  const std::vector<std::string_view> views = file.get_string_array(kTokens);
  if (views.empty()) file.fail(kTokens, "is empty");
  if (views.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    file.fail(kTokens, "has more than 2^31 - 1 elements");
  }
  for (size_t i = 0; i < views.size(); ++i) {
    if (!is_utf8(views[i])) file.fail(kTokens, element(i) + ", " + in_quotes(views[i]) + ", is not UTF-8");
  }
  return {views.begin(), views.end()};
}

std::vector<float> read_scores(const GgufFile& file, size_t vocab) {
  if (file.find(kScores) == nullptr) return {};
  std::vector<float> scores = file.get_f32_array(kScores);
  check_length(file, kScores, scores.size(), vocab);
  for (size_t i = 0; i < vocab; ++i) {
    if (std::isnan(scores[i])) file.fail(kScores, element(i) + " is NaN");
  }
  return scores;
}

std::vector<TokenType> read_types(const GgufFile& file, const std::vector<std::string>& texts) {
  std::vector<TokenType> types(texts.size(), TokenType::normal);
  if (file.find(kTypes) == nullptr) {
    for (size_t i = 0; i < texts.size(); ++i) {
      if (byte_token_value(texts[i])) types[i] = TokenType::byte;
    }
    return types;
  }
  const std::vector<int32_t> numbers = file.get_i32_array(kTypes);
  check_length(file, kTypes, numbers.size(), texts.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    // 0 is "undefined", which does not contradict a normal token.
    if (numbers[i] < 0 || numbers[i] > 6) {
      file.fail(kTypes, element(i) + " is " + std::to_string(numbers[i]) + ", wanted 0 to 6");
    }
    if (numbers[i] != 0) types[i] = static_cast<TokenType>(numbers[i]);
    if (types[i] == TokenType::byte && !byte_token_value(texts[i])) {
      file.fail(kTypes, element(i) + " says byte, but the token is " + in_quotes(texts[i]) + ", not like '<0x0A>'");
    }
  }
  return types;
}

// The id that `key` names; if the file lacks it, `usual` if that token has type `type`.
std::optional<int32_t> read_id(const GgufFile& file, std::string_view key, std::optional<int32_t> usual, TokenType type,
                               const std::vector<TokenType>& types) {
  if (file.find(key) == nullptr) {
    const bool holds =
        usual && static_cast<size_t>(*usual) < types.size() && types[static_cast<size_t>(*usual)] == type;
    return holds ? usual : std::nullopt;
  }
  const GgufValue& value = *file.find(key);
  if (value.as_i64() == -1 || value.as_f64() == -1) return std::nullopt;
  const uint32_t id = file.get_u32(key);
  if (id == std::numeric_limits<uint32_t>::max()) return std::nullopt;
  if (id >= types.size()) {
    file.fail(key, "is " + std::to_string(id) + ", but there are " + std::to_string(types.size()) + " tokens");
  }
  return static_cast<int32_t>(id);
}

// tokenizer.ggml.eos_token_ids, which some converters write: all tokens that end generation.
void read_ends(const GgufFile& file, Vocabulary& vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.eos_token_ids";
  if (file.find(kKey) == nullptr) return;
  for (const int32_t id : file.get_i32_array(kKey)) {
    if (id < 0 || static_cast<size_t>(id) >= vocabulary.size()) {
      file.fail(kKey, "names token " + std::to_string(id) + ", but there are " + std::to_string(vocabulary.size()) +
                          " tokens");
    }
    vocabulary.ends.push_back(id);
  }
}

// Whether a merge, "LEFT RIGHT", makes the token of that text.
bool is_merged(const GgufFile& file, std::string_view text) {
  constexpr std::string_view kMerges = "tokenizer.ggml.merges";
  if (file.find(kMerges) == nullptr) return false;
  const std::vector<std::string_view> merges = file.get_string_array(kMerges);
  return std::any_of(merges.begin(), merges.end(), [&](std::string_view merge) {
    const size_t space = merge.find(' ', 1);
    return space != merge.npos && merge.size() == text.size() + 1 && text.starts_with(merge.substr(0, space)) &&
           text.ends_with(merge.substr(space + 1));
  });
}

// Whether to add the token `id`; the file must not request it without having it.
bool read_add(const GgufFile& file, std::string_view key, bool usual, std::optional<int32_t> id) {
  const bool add = file.get_bool(key, usual);
  if (add && !id && file.find(key) != nullptr) file.fail(key, "is true, but the file names no such token");
  return add && id;
}

}  // namespace

std::optional<uint8_t> byte_token_value(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : text.substr(3, 2)) {
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<unsigned>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = value * 16 + static_cast<unsigned>(c - 'A') + 10;
    } else if (c >= 'a' && c <= 'f') {
      value = value * 16 + static_cast<unsigned>(c - 'a') + 10;
    } else {
      return std::nullopt;
    }
  }
  return static_cast<uint8_t>(value);
}

bool is_known_end(std::string_view text) {
  constexpr std::string_view kEnds[] = {"<|im_end|>",
                                        "<|eot_id|>",
                                        "<|eom_id|>",
                                        "<|end_of_text|>",
                                        "<|endoftext|>",
                                        "</s>",
                                        "<|end|>",
                                        "<end_of_turn>",
                                        "<|return|>",
                                        "<|call|>",
                                        "<|eot|>",
                                        "<|eom|>",
                                        "<|EOT|>",
                                        "<EOT>",
                                        "_<EOT>",
                                        "\u2581<EOT>",
                                        "[EOT]",
                                        "[EOS]",
                                        "<eos>",
                                        "<|eos|>",
                                        "<|end_of_turn|>",
                                        "<|endofturn|>",
                                        "[|endofturn|]",
                                        "<turn|>",
                                        "<|tool_response>",
                                        "<|END_OF_TURN_TOKEN|>",
                                        "<end_of_utterance>",
                                        "<|end_of_sentence|>",
                                        "<|endofresponse|>",
                                        "<|assistant_end|>",
                                        "<|role_end|>",
                                        "<|separator|>",
                                        "<|calls|>",
                                        "<|flush|>",
                                        "<seed:eos>",
                                        "<|plamo:eos|>",
                                        "[e~[",
                                        "<eoa>",
                                        "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"};
  return std::find(std::begin(kEnds), std::end(kEnds), text) != std::end(kEnds);
}

void add_known_ends(Vocabulary& vocabulary, const std::function<bool(std::string_view)>& is_merged) {
  const auto has = [&](std::string_view text) {
    return std::find(vocabulary.texts.begin(), vocabulary.texts.end(), text) != vocabulary.texts.end();
  };
  // Two texts have other meanings in some vocabularies: where a message ends with a call or a return, "<|end|>"
  // separates the messages of one turn; and among other HTML tags, "</s>" is one too.
  const bool is_parted = (has("<|return|>") && has("<|call|>")) || (has("<|calls|>") && has("<|flush|>"));
  const bool has_tags = has("</b>") && has("</i>");
  const auto means_other = [&](std::string_view text, TokenType type) {
    return (text == "<|end|>" && is_parted) || (text == "</s>" && has_tags && type != TokenType::control);
  };
  std::map<std::string_view, bool> merged;  // by text, which many tokens may have
  const auto is_ordinary = [&](std::string_view text) {
    const auto [at, is_new] = merged.try_emplace(text, false);
    if (is_new && is_merged) at->second = is_merged(text);
    return at->second;
  };
  std::vector<int32_t>& ends = vocabulary.ends;
  if (vocabulary.eos) ends.push_back(*vocabulary.eos);
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const std::string& text = vocabulary.texts[i];
    TokenType& type = vocabulary.types[i];
    if (!is_known_end(text) || means_other(text, type)) continue;
    if (type == TokenType::normal && is_ordinary(text)) continue;
    if (type != TokenType::unknown) type = TokenType::control;
    ends.push_back(static_cast<int32_t>(i));
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
}

Vocabulary read_vocabulary(const GgufFile& file, const VocabularyDefaults& defaults) {
  Vocabulary vocabulary;
  vocabulary.source = file.path();
  vocabulary.texts = read_texts(file);
  vocabulary.scores = read_scores(file, vocabulary.size());
  vocabulary.types = read_types(file, vocabulary.texts);
  std::vector<TokenType>& types = vocabulary.types;
  vocabulary.bos = read_id(file, "tokenizer.ggml.bos_token_id", defaults.bos, TokenType::control, types);
  vocabulary.eos = read_id(file, "tokenizer.ggml.eos_token_id", defaults.eos, TokenType::control, types);
  vocabulary.unknown = read_id(file, "tokenizer.ggml.unknown_token_id", defaults.unknown, TokenType::unknown, types);
  if (file.find(kTypes) == nullptr) {
    if (vocabulary.unknown) types[static_cast<size_t>(*vocabulary.unknown)] = TokenType::unknown;
    if (vocabulary.bos) types[static_cast<size_t>(*vocabulary.bos)] = TokenType::control;
    if (vocabulary.eos) types[static_cast<size_t>(*vocabulary.eos)] = TokenType::control;
  }
  if (read_add(file, "tokenizer.ggml.add_bos_token", defaults.add_bos, vocabulary.bos)) {
    vocabulary.prefix = {*vocabulary.bos};
  }
  if (read_add(file, "tokenizer.ggml.add_eos_token", defaults.add_eos, vocabulary.eos)) {
    vocabulary.suffix = {*vocabulary.eos};
  }
  for (const std::string_view key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = read_id(file, key, std::nullopt, TokenType::control, types)) vocabulary.ends.push_back(*id);
  }
  read_ends(file, vocabulary);
  add_known_ends(vocabulary, [&](std::string_view text) { return is_merged(file, text); });
  return vocabulary;
}

}  // namespace weft
