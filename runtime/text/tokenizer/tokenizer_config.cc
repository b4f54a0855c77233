#include "runtime/text/tokenizer/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/json_node.h"
#include "runtime/files/mapped_file.h"
#include "runtime/text/tokenizer/text_hash.h"

namespace weft {
namespace {

// "</s>" or {"content": "</s>", ...}
std::optional<std::string> token_name(const JsonNode& node) {
  if (node.is_null()) return std::nullopt;
  if (node.value().is_object()) return node.at("content").text();
  return node.text();
}

std::optional<bool> optional_flag(const JsonNode& node) {
  return node.is_null() ? std::nullopt : std::optional(node.flag(false));
}

int32_t number(const std::string& text, const JsonNode& node) {
  int32_t id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 0) node.fail("is not a token id");
  return id;
}

void read_tokenizer(const JsonNode& root, TokenizerConfig& config) {
  config.bos = token_name(root.at("bos_token"));
  config.eos = token_name(root.at("eos_token"));
  config.add_bos = optional_flag(root.at("add_bos_token"));
  config.add_eos = optional_flag(root.at("add_eos_token"));
  config.add_prefix_space = root.at("add_prefix_space").flag(false);
  if (const JsonNode name = root.at("tokenizer_class"); !name.is_null()) config.tokenizer_class = name.text();
  root.at("added_tokens_decoder").each_member([&](const std::string& id, const JsonNode& node) {
    AddedToken token;
    token.text = node.at("content").text();
    token.id = number(id, node);
    token.special = node.at("special").flag(false);
    token.normalized = node.at("normalized").flag(!token.special);
    token.single_word = node.at("single_word").flag(false);
    token.lstrip = node.at("lstrip").flag(false);
    token.rstrip = node.at("rstrip").flag(false);
    if (token.text.size() > kMaxAddedToken) {
      node.fail("has " + std::to_string(token.text.size()) + " bytes, wanted at most " +
                std::to_string(kMaxAddedToken));
    }
    if (!token.text.empty()) config.added.push_back(std::move(token));
  });
}

// bos_token_id, and eos_token_id, which may be a list.
void read_ids(const JsonNode& root, TokenizerConfig& config) {
  if (const JsonNode bos = root.at("bos_token_id"); !config.bos_id && !bos.is_null()) config.bos_id = bos.id();
  if (!config.eos_ids.empty()) return;
  const JsonNode eos = root.at("eos_token_id");
  if (eos.value().is_array()) {
    eos.each([&](const JsonNode& id) { config.eos_ids.push_back(id.id()); });
  } else if (!eos.is_null()) {
    config.eos_ids.push_back(eos.id());
  }
}

template <class Read>
void read_if_there(const std::filesystem::path& path, Read read) {
  if (!is_there(path)) return;
  const std::string source = path.string();
  const Json json = read_json(path);
  read(JsonNode(json, source));
}

// Ids may leave gaps, but not so large that memory becomes a problem.
constexpr size_t kHoles = 1 << 16;

void put(const AddedToken& token, const std::string& source, Vocabulary& vocabulary) {
  const auto i = static_cast<size_t>(token.id);
  const auto fail = [&](const std::string& reason) {
    throw Error(source + ": added_tokens_decoder['" + std::to_string(token.id) + "']: " + reason);
  };
  if (i >= vocabulary.size() + kHoles) fail("there are " + std::to_string(vocabulary.size()) + " tokens");
  if (i >= vocabulary.size()) {
    vocabulary.texts.resize(i + 1);
    vocabulary.types.resize(i + 1, TokenType::unused);
    if (!vocabulary.scores.empty()) vocabulary.scores.resize(i + 1);
  }
  std::string& text = vocabulary.texts[i];
  if (!text.empty() && text != token.text) {
    fail("is " + in_quotes(token.text) + ", but that token is " + in_quotes(text));
  }
  text = token.text;
  TokenType& type = vocabulary.types[i];
  if (type != TokenType::unknown) type = token.special ? TokenType::control : TokenType::user_defined;
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory) {
  TokenizerConfig config;
  config.source = (directory / "tokenizer_config.json").string();
  read_if_there(directory / "tokenizer_config.json", [&](const JsonNode& root) { read_tokenizer(root, config); });
  read_if_there(directory / "generation_config.json", [&](const JsonNode& root) { read_ids(root, config); });
  read_if_there(directory / "config.json", [&](const JsonNode& root) {
    read_ids(root, config);
    if (const JsonNode type = root.at("model_type"); !type.is_null()) config.model_type = type.text();
  });
  return config;
}

std::vector<AddedToken> apply_config(const TokenizerConfig& config, Vocabulary& vocabulary, AddedIds added,
                                     const std::function<bool(std::string_view)>& is_merged) {
  std::vector<AddedToken> fresh;
  TextIndex ids;
  for (size_t i = 0; i < vocabulary.size(); ++i) ids.emplace(vocabulary.texts[i], static_cast<int32_t>(i));
  std::vector<AddedToken> tokens = config.added;
  std::stable_sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (AddedToken& token : tokens) {
    const auto known = ids.find(token.text);
    if (known != ids.end()) {
      token.id = known->second;
      const TokenType type = vocabulary.types[static_cast<size_t>(token.id)];
      const bool was_added = type == TokenType::control || type == TokenType::user_defined;
      if (was_added && added == AddedIds::of_file) continue;
      token.special |= type == TokenType::control;
    } else if (added == AddedIds::next) {
      token.id = static_cast<int32_t>(vocabulary.size());
    }
    put(token, config.source, vocabulary);
    ids.emplace(token.text, token.id);
    fresh.push_back(token);
  }

  const auto id_of = [&](const char* key, const std::string& name) {
    const auto found = ids.find(name);
    if (found == ids.end())
      throw Error(config.source + ": " + key + ": is " + in_quotes(name) + ", which is not a token");
    return found->second;
  };
  const auto check = [&](int32_t id) {
    if (static_cast<size_t>(id) < vocabulary.size()) return id;
    throw Error(config.source + ": beside it, generation_config.json or config.json names token " + std::to_string(id) +
                ", but there are " + std::to_string(vocabulary.size()) + " tokens");
  };
  if (config.bos) {
    vocabulary.bos = id_of("bos_token", *config.bos);
  } else if (!vocabulary.bos && config.bos_id) {
    vocabulary.bos = check(*config.bos_id);
  }
  if (config.eos) {
    vocabulary.eos = id_of("eos_token", *config.eos);
  } else if (!vocabulary.eos && !config.eos_ids.empty()) {
    vocabulary.eos = check(config.eos_ids.front());
  }
  for (const int32_t id : config.eos_ids) vocabulary.ends.push_back(check(id));
  add_known_ends(vocabulary, is_merged);
  return fresh;
}

void apply_config(const TokenizerConfig& config, BpeParts& parts, AddedIds added) {
  const auto is_merged = [&](std::string_view text) {
    return std::any_of(parts.merges.begin(), parts.merges.end(), [&](const BpeModel::Merge& merge) {
      return parts.vocabulary.texts[static_cast<size_t>(merge.result)] == text;
    });
  };
  for (AddedToken& token : apply_config(config, parts.vocabulary, added, is_merged)) {
    const auto i = static_cast<size_t>(token.id);
    parts.bytes.resize(parts.vocabulary.size());
    if (token.special) parts.bytes[i].clear();
    else if (parts.bytes[i].empty()) parts.bytes[i] = token.text;
    parts.added.push_back(std::move(token));
  }
  // Whatever type the tokens that end generation had, they are not text.
  std::set<int32_t> ends;
  for (const int32_t id : parts.vocabulary.ends) {
    if (parts.vocabulary.types[static_cast<size_t>(id)] == TokenType::control) ends.insert(id);
  }
  for (const int32_t id : ends) parts.bytes[static_cast<size_t>(id)].clear();
  std::set<int32_t> absent = ends;
  for (AddedToken& token : parts.added) {
    token.special |= ends.contains(token.id);
    absent.erase(token.id);
  }
  for (const int32_t id : absent) {
    parts.added.push_back({.text = parts.vocabulary.texts[static_cast<size_t>(id)], .id = id, .special = true});
  }
}

}  // namespace weft
