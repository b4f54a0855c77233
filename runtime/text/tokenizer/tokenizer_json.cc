#include "runtime/text/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/json_node.h"
#include "runtime/text/tokenizer/unicode.h"

namespace weft {
namespace {

[[noreturn]] void fail_type(const JsonNode& type) {
  type.fail("is " + in_quotes(type.text()) + ", which this build does not support");
}

// Runs `make`, prefixing its error with file and path.
template <class Make>
auto located(const JsonNode& node, Make make) {
  try {
    return make();
  } catch (const Error& error) {
    node.fail(error.what());
  }
}

// One character, in UTF-8.
const std::string& character(const JsonNode& node) {
  const std::string& text = node.text();
  if (text.empty() || first_utf8_sequence(text).length != text.size()) {
    node.fail("is " + in_quotes(text) + ", wanted one character");
  }
  return text;
}

// {"String": ...} or {"Regex": ...}: calls use(std::string) or use(Regex).
template <class Use>
auto with_pattern(const JsonNode& pattern, Use use) {
  if (const JsonNode text = pattern.at("String"); !text.is_null()) return use(text.text());
  const JsonNode regex = pattern.at("Regex");
  if (regex.is_null()) pattern.fail("is neither a String nor a Regex");
  return use(located(regex, [&] { return Regex(regex.text()); }));
}

// Members `list` of a Sequence, or the node itself.
template <class Read>
void each_step(const JsonNode& node, std::string_view list, Read read) {
  if (node.is_null()) return;
  if (node.at("type").text() == "Sequence") {
    node.at(list).each([&](const JsonNode& step) { each_step(step, list, read); });
  } else {
    read(node);
  }
}

void read_normalizer(const JsonNode& node, std::vector<Normalizer>& out) {
  const JsonNode type = node.at("type");
  const auto form = [&](NormalForm f) { out.push_back([f](std::string_view text) { return normalize(text, f); }); };
  if (type.text() == "NFC") return form(NormalForm::nfc);
  if (type.text() == "NFD") return form(NormalForm::nfd);
  if (type.text() == "NFKC") return form(NormalForm::nfkc);
  if (type.text() == "NFKD") return form(NormalForm::nfkd);
  if (type.text() == "Lowercase") {
    out.push_back(lowercase);
  } else if (type.text() == "Prepend") {
    out.push_back(prepend(node.at("prepend").text()));
  } else if (type.text() == "Replace") {
    const std::string& content = node.at("content").text();
    out.push_back(with_pattern(node.at("pattern"), [&](auto pattern) { return replace(std::move(pattern), content); }));
  } else {
    fail_type(type);
  }
}

SplitBehavior split_behavior(const JsonNode& node) {
  constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
      {"Removed", SplitBehavior::removed},
      {"Isolated", SplitBehavior::isolated},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next},
      {"Contiguous", SplitBehavior::contiguous}};
  for (const auto& [name, behavior] : kNames) {
    if (node.text() == name) return behavior;
  }
  fail_type(node);
}

PrependScheme prepend_scheme(const JsonNode& node) {
  // Older files, without schemes, have add_prefix_space.
  const bool prefix = node.at("add_prefix_space").flag(true);
  const JsonNode scheme = node.at("prepend_scheme");
  if (scheme.is_null()) return prefix ? PrependScheme::always : PrependScheme::never;
  if (scheme.text() == "never") return PrependScheme::never;
  if (!prefix) scheme.fail("contradicts add_prefix_space");
  if (scheme.text() == "first") return PrependScheme::first;
  if (scheme.text() == "always") return PrependScheme::always;
  fail_type(scheme);
}

void read_pre_tokenizer(const JsonNode& node, BpeParts& parts) {
  const JsonNode type = node.at("type");
  std::vector<PreTokenizer>& out = parts.pre_tokenizers;
  // Later steps would see the byte alphabet, not the text.
  if (parts.options.byte_level) type.fail("follows ByteLevel, which must be the last one");
  if (type.text() == "ByteLevel") {
    parts.options.byte_level = true;
    if (node.at("add_prefix_space").flag(true)) out.push_back(prefix_space());
    if (node.at("use_regex").flag(true)) out.push_back(split_at(Regex(kGpt2Pattern), SplitBehavior::isolated, false));
  } else if (type.text() == "Split") {
    const SplitBehavior behavior = split_behavior(node.at("behavior"));
    const bool invert = node.at("invert").flag(false);
    out.push_back(
        with_pattern(node.at("pattern"), [&](auto pattern) { return split_at(std::move(pattern), behavior, invert); }));
  } else if (type.text() == "Metaspace") {
    out.push_back(metaspace(character(node.at("replacement")), prepend_scheme(node), node.at("split").flag(true)));
  } else if (type.text() == "Digits") {
    out.push_back(split_digits(node.at("individual_digits").flag(false)));
  } else {
    fail_type(type);
  }
}

// The ids that a template puts around the text.
void read_template(const JsonNode& node, Vocabulary& vocabulary) {
  std::vector<int32_t> before, after;
  bool text = false;
  node.at("single").each([&](const JsonNode& piece) {
    if (const JsonNode sequence = piece.at("Sequence"); !sequence.is_null()) {
      if (sequence.at("id").text() != "A" || text) sequence.fail("is not the one text");
      text = true;
      return;
    }
    const JsonNode name = piece.at("SpecialToken").at("id");
    const JsonNode ids = node.at("special_tokens").at(name.text()).at("ids");
    if (ids.is_null()) name.fail("is " + in_quotes(name.text()) + ", which special_tokens does not explain");
    ids.each([&](const JsonNode& id) {
      if (static_cast<size_t>(id.id()) >= vocabulary.size()) {
        id.fail("is " + std::to_string(id.id()) + ", but there are " + std::to_string(vocabulary.size()) + " tokens");
      }
      (text ? after : before).push_back(id.id());
    });
  });
  if (!text) node.at("single").fail("leaves the text out");
  vocabulary.prefix.insert(vocabulary.prefix.begin(), before.begin(), before.end());
  vocabulary.suffix.insert(vocabulary.suffix.end(), after.begin(), after.end());
}

void read_post_processor(const JsonNode& node, Vocabulary& vocabulary) {
  const JsonNode type = node.at("type");
  if (type.text() == "TemplateProcessing") {
    read_template(node, vocabulary);
  } else if (type.text() != "ByteLevel") {  // ByteLevel changes offsets only
    fail_type(type);
  }
}

// What tokens decode to, step by step.
struct Decoding {
  BpeParts& parts;
  std::vector<std::string>& texts;  // of tokens that are neither special nor bytes; in the end their bytes
  bool byte_level = false;
  bool byte_fallback = false;
  bool fused = false;  // whether further steps act on the whole text

  void read(const JsonNode& node);
  void read_strip(const JsonNode& node);
};

void Decoding::read(const JsonNode& node) {
  const JsonNode type = node.at("type");
  const std::string& name = type.text();
  if (name == "Fuse") {
    fused = true;
    return;
  }
  if (name == "Strip") return read_strip(node);
  if (fused || byte_level)
    type.fail("is " + in_quotes(name) + " after Fuse or ByteLevel, which this build does not support");
  if (name == "ByteLevel") {
    byte_level = fused = true;
  } else if (name == "ByteFallback") {
    byte_fallback = true;
  } else if (name == "Replace") {
    const std::string& content = node.at("content").text();
    const Normalizer change =
        with_pattern(node.at("pattern"), [&](auto pattern) { return replace(std::move(pattern), content); });
    for (std::string& text : texts) text = located(node, [&] { return apply_all({change}, text); });
  } else if (name == "Metaspace") {
    const std::string& mark = character(node.at("replacement"));
    for (std::string& text : texts) text = replace_all(text, mark, " ");
    if (prepend_scheme(node) != PrependScheme::never) {
      // Marks have become spaces here; a space in the token itself is removed too, but no vocabulary has one.
      parts.start = BpeParts::Start::drop;
      parts.mark = " ";
    }
  } else {
    fail_type(type);
  }
}

void Decoding::read_strip(const JsonNode& node) {
  const int32_t start = node.at("start").id();
  if (node.at("stop").id() != 0) node.at("stop").fail("is not 0, which this build does not support");
  if (start == 0) return;
  if (start != 1) node.at("start").fail("is neither 0 nor 1, which this build does not support");
  if (!fused) node.fail("takes from every token, which this build does not support");
  parts.start = BpeParts::Start::strip;
  parts.mark = character(node.at("content"));
}

// Ids of tokens are dense except for a few gaps, or a file could demand any amount of memory.
constexpr size_t kHoles = 1 << 16;

void place(BpeParts& parts, const JsonNode& node, const std::string& text, int32_t id, TokenType type, size_t tokens) {
  Vocabulary& vocabulary = parts.vocabulary;
  const auto i = static_cast<size_t>(id);
  if (i >= 2 * tokens + kHoles) {
    node.fail("has id " + std::to_string(id) + ", but there are " + std::to_string(tokens) + " tokens");
  }
  if (i >= vocabulary.size()) {
    vocabulary.texts.resize(i + 1);
    vocabulary.types.resize(i + 1, TokenType::unused);
  }
  const bool free = vocabulary.texts[i].empty() && vocabulary.types[i] == TokenType::unused;
  if (!free && vocabulary.texts[i] != text) {
    node.fail("is " + in_quotes(text) + " with id " + std::to_string(id) + ", which " + in_quotes(vocabulary.texts[i]) +
              " has");
  }
  vocabulary.texts[i] = text;
  vocabulary.types[i] = type;
}

void read_model(const JsonNode& model, BpeParts& parts, TextIndex& ids, size_t tokens) {
  if (const JsonNode type = model.at("type"); !type.is_null() && type.text() != "BPE") fail_type(type);
  const JsonNode vocab = model.at("vocab");
  if (vocab.is_null()) vocab.fail("is absent");
  vocab.each_member([&](const std::string& text, const JsonNode& id) {
    place(parts, id, text, id.id(), TokenType::normal, tokens);
    ids.emplace(text, id.id());
  });
  const JsonNode merges = model.at("merges");
  if (merges.is_null()) merges.fail("is absent");
  merges.each([&](const JsonNode& merge) {
    located(merge, [&] {
      if (merge.value().is_string()) {
        if (!merge.text().starts_with("#version")) add_merge(merge.text(), ids, parts.merges);
      } else {
        if (!merge.value().is_array() || merge.value().size() != 2 || !merge.value()[0].is_string() ||
            !merge.value()[1].is_string()) {
          throw Error("is not a pair of tokens");
        }
        add_merge(merge.value()[0].get_ref<const std::string&>(), merge.value()[1].get_ref<const std::string&>(), ids,
                  parts.merges);
      }
    });
  });

  BpeOptions& options = parts.options;
  options.byte_fallback = model.at("byte_fallback").flag(false);
  options.ignore_merges = model.at("ignore_merges").flag(false);
  options.fuse_unknown = model.at("fuse_unk").flag(false);
  if (const JsonNode unknown = model.at("unk_token"); !unknown.is_null()) {
    const auto found = ids.find(unknown.text());
    if (found == ids.end()) unknown.fail("is " + in_quotes(unknown.text()) + ", which is not a token");
    options.unknown = parts.vocabulary.unknown = found->second;
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const JsonNode affix = model.at(key);
    if (!affix.is_null() && !affix.text().empty()) affix.fail("is not empty, which this build does not support");
  }
  const JsonNode dropout = model.at("dropout");
  if (!dropout.is_null() && dropout.value() != 0) dropout.fail("is not 0, which this build does not support");
  if (options.byte_level && options.byte_fallback) {
    model.at("byte_fallback").fail("is true for a byte-level vocabulary, which this build does not support");
  }
}

// Added tokens have the ids that Hugging Face's library gives them, whatever the file says: that of the token in
// the vocabulary, or of an earlier added token, with the same text; otherwise the next one after all others.
void read_added(const JsonNode& list, BpeParts& parts, const TextIndex& ids, size_t vocab, size_t tokens) {
  TextIndex added;
  auto next = static_cast<int32_t>(vocab);
  std::string first_other;  // of the tokens that have a different id in the file
  size_t others = 0;
  list.each([&](const JsonNode& node) {
    AddedToken token;
    token.text = node.at("content").text();
    token.id = node.at("id").id();
    token.special = node.at("special").flag(false);
    token.normalized = node.at("normalized").flag(!token.special);
    token.single_word = node.at("single_word").flag(false);
    token.lstrip = node.at("lstrip").flag(false);
    token.rstrip = node.at("rstrip").flag(false);
    if (token.text.empty()) return;  // matches nothing
    if (token.text.size() > kMaxAddedToken) {
      node.at("content").fail("has " + std::to_string(token.text.size()) + " bytes, wanted at most " +
                              std::to_string(kMaxAddedToken));
    }
    const int32_t in_file = token.id;
    if (const auto again = added.find(token.text); again != added.end()) {
      token.id = again->second;
      token.special |= parts.vocabulary.types[static_cast<size_t>(token.id)] == TokenType::control;
    } else if (const auto known = ids.find(token.text); known != ids.end()) {
      token.id = known->second;
    } else {
      token.id = next;
    }
    if (token.id != in_file && others++ == 0) {
      first_other = node.message(in_quotes(token.text) + " has id " + std::to_string(token.id) +
                                 ", as Hugging Face's library numbers tokens, and not " + std::to_string(in_file));
    }
    added.emplace(token.text, token.id);
    next = std::max(next, token.id + 1);
    place(parts, node, token.text, token.id, token.special ? TokenType::control : TokenType::user_defined, tokens);
    parts.added.push_back(std::move(token));
  });
  if (others > 1) first_other += "; so for " + std::to_string(others - 1) + " more";
  if (others > 0) parts.vocabulary.warnings.push_back(std::move(first_other));
}

void read_decoder(const JsonNode& node, BpeParts& parts) {
  if (node.is_null()) node.fail("is absent");
  Vocabulary& vocabulary = parts.vocabulary;
  parts.bytes = vocabulary.texts;
  for (const AddedToken& token : parts.added) {
    if (token.normalized) parts.bytes[static_cast<size_t>(token.id)] = apply_all(parts.normalizers, token.text);
  }
  Decoding decoding{parts, parts.bytes};
  each_step(node, "decoders", [&](const JsonNode& step) { decoding.read(step); });

  std::vector<std::string> alphabet;
  if (decoding.byte_level) alphabet = byte_level_bytes(vocabulary);
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    TokenType& type = vocabulary.types[i];
    if (decoding.byte_fallback && type == TokenType::normal && byte_token_value(vocabulary.texts[i])) {
      type = TokenType::byte;
    }
    if (type == TokenType::control) {
      parts.bytes[i].clear();
    } else if (type == TokenType::byte) {
      parts.bytes[i] = static_cast<char>(*byte_token_value(vocabulary.texts[i]));
    } else if (decoding.byte_level && type != TokenType::user_defined) {
      parts.bytes[i] = std::move(alphabet[i]);
    }
  }
}

size_t size_of(const JsonNode& node) { return node.value().is_structured() ? node.value().size() : 0; }

}  // namespace

BpeParts read_tokenizer_json(const std::filesystem::path& path) {
  const std::string source = path.string();
  const Json json = read_json(path);
  const JsonNode root(json, source);
  BpeParts parts;
  parts.vocabulary.source = source;

  if (const JsonNode version = root.at("version"); !version.is_null() && version.text() != "1.0") {
    version.fail("is " + in_quotes(version.text()) + ", wanted '1.0'");
  }
  each_step(root.at("normalizer"), "normalizers",
            [&](const JsonNode& step) { read_normalizer(step, parts.normalizers); });
  each_step(root.at("pre_tokenizer"), "pretokenizers", [&](const JsonNode& step) { read_pre_tokenizer(step, parts); });
  const JsonNode model = root.at("model");
  const size_t tokens = size_of(model.at("vocab")) + size_of(root.at("added_tokens"));
  TextIndex ids;
  read_model(model, parts, ids, tokens);
  read_added(root.at("added_tokens"), parts, ids, size_of(model.at("vocab")), tokens);
  if (parts.vocabulary.size() == 0) root.fail("has no tokens");
  each_step(root.at("post_processor"), "processors",
            [&](const JsonNode& step) { read_post_processor(step, parts.vocabulary); });
  read_decoder(root.at("decoder"), parts);
  parts.ids = parts.options.byte_level ? byte_level_ids(ids) : std::move(ids);
  return parts;
}

}  // namespace weft
