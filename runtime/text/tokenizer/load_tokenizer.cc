// Tokenizers from the files that models come with.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "runtime/files/checkpoint.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/gguf_split.h"
#include "runtime/files/json_node.h"
#include "runtime/files/mapped_file.h"
#include "runtime/files/model_family.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/pre_tokenizer_names.h"
#include "runtime/text/tokenizer/spm_tokenizer.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "runtime/text/tokenizer/tokenizer_config.h"
#include "runtime/text/tokenizer/tokenizer_json.h"
#include "runtime/text/tokenizer/tokenizer_model.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

// BOS and EOS around the text, as tokenizer_config.json says.
void add_ends(const TokenizerConfig& config, bool usual_bos, Vocabulary& vocabulary) {
  if (config.add_bos.value_or(usual_bos) && vocabulary.bos) vocabulary.prefix = {*vocabulary.bos};
  if (config.add_eos.value_or(false) && vocabulary.eos) vocabulary.suffix = {*vocabulary.eos};
}

std::unique_ptr<Tokenizer> from_tokenizer_json(const fs::path& file, const TokenizerOptions& options) {
  BpeParts parts = read_tokenizer_json(file);
  apply_config(read_tokenizer_config(file.parent_path()), parts, AddedIds::next);
  Vocabulary& vocabulary = parts.vocabulary;
  if (!vocabulary.bos && vocabulary.prefix.size() == 1) vocabulary.bos = vocabulary.prefix[0];
  warn_of_pre_tokenizer(options, "says itself how text is cut", vocabulary);
  return make_bpe_tokenizer(std::move(parts));
}

std::unique_ptr<Tokenizer> from_tokenizer_model(const fs::path& path, const TokenizerOptions& options) {
  const MappedFile file(path);
  const TokenizerConfig config = read_tokenizer_config(path.parent_path());
  if (is_sentencepiece(file.text())) {
    SentencePieceModel model = read_sentencepiece(file.text(), file.path());
    apply_config(config, model.vocabulary);
    add_ends(config, true, model.vocabulary);
    warn_of_pre_tokenizer(options, "is SentencePiece's, which cuts no words", model.vocabulary);
    return make_spm_tokenizer(std::move(model.vocabulary), model.space_prefix);
  }
  BpeParts parts = read_tiktoken(file.text(), file.path());
  if (!options.pre_tokenizer.empty()) {
    set_pre_tokenizer(wanted_pre_tokenizer(options), parts);
    parts.options.ignore_merges = true;  // whole words have ranks too
  }
  apply_config(config, parts);
  add_ends(config, true, parts.vocabulary);
  return make_bpe_tokenizer(std::move(parts));
}

// vocab.json says nothing about the pattern: the class of the tokenizer or of the model does.
std::string_view pre_tokenizer_of(const TokenizerConfig& config, std::vector<std::string>& warnings) {
  const std::string& kind = config.tokenizer_class;
  if (kind.starts_with("Qwen2")) return "qwen2";
  const ModelFamily* family = kind.empty() ? family_of_model_type(config.model_type) : nullptr;
  if (family != nullptr && !family->pre_tokenizer.empty()) return family->pre_tokenizer;
  if (kind.starts_with("GPT2") || (kind.empty() && config.model_type == "gpt2")) return "gpt-2";
  if (kind.empty() && config.model_type.empty()) {
    warnings.push_back(config.source +
                       ": tokenizer_class: is absent, so how text is cut into words is a guess; "
                       "--pre-tokenizer NAME says how (" +
                       listed_pre_tokenizers(false) + ")");
    return "gpt-2";
  }
  throw Error(config.source + ": tokenizer_class: is " + in_quotes(kind) +
              "; for vocab.json and merges.txt this build knows Qwen2Tokenizer and GPT2Tokenizer (--pre-tokenizer "
              "NAME says how text is cut)");
}

TextIndex read_vocab_json(const fs::path& path, Vocabulary& vocabulary) {
  const std::string source = path.string();
  const Json json = read_json(path);
  const JsonNode root(json, source);
  if (json.empty() || !json.is_object()) root.fail("is not an object with tokens");
  vocabulary.source = source;
  vocabulary.texts.resize(json.size());
  vocabulary.types.resize(json.size(), TokenType::normal);
  TextIndex ids;
  ids.reserve(json.size());
  root.each_member([&](const std::string& text, const JsonNode& node) {
    const auto id = static_cast<size_t>(node.id());
    if (id >= json.size()) {
      node.fail("is " + std::to_string(id) + ", but there are " + std::to_string(json.size()) + " tokens");
    }
    if (text.empty()) node.fail("is an empty token");
    if (!vocabulary.texts[id].empty()) {
      node.fail("is " + std::to_string(id) + ", as that of " + in_quotes(vocabulary.texts[id]) + " is");
    }
    vocabulary.texts[id] = text;
    ids.emplace(text, node.id());
  });
  return ids;
}

std::vector<BpeModel::Merge> read_merges_txt(const fs::path& path, const TextIndex& ids) {
  const MappedFile file(path);
  refuse_lfs_pointer(file.text(), file.path());
  std::vector<BpeModel::Merge> merges;
  std::string_view text = file.text();
  for (size_t line = 1; !text.empty(); ++line) {
    std::string_view row = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(row.size() + 1, text.size()));
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty() || row.starts_with("#version")) continue;
    try {
      add_merge(row, ids, merges);
    } catch (const Error& error) {
      throw Error(file.path() + ": line " + std::to_string(line) + ": " + error.what());
    }
  }
  return merges;
}

std::unique_ptr<Tokenizer> from_vocab_json(const fs::path& directory, const TokenizerOptions& options) {
  const TokenizerConfig config = read_tokenizer_config(directory);
  BpeParts parts;
  const TextIndex ids = read_vocab_json(directory / "vocab.json", parts.vocabulary);
  parts.merges = read_merges_txt(directory / "merges.txt", ids);
  parts.ids = byte_level_ids(ids);
  parts.options.byte_level = true;
  set_pre_tokenizer(options.pre_tokenizer.empty()
                        ? *find_pre_tokenizer(pre_tokenizer_of(config, parts.vocabulary.warnings))
                        : wanted_pre_tokenizer(options),
                    parts);
  if (config.add_prefix_space) parts.pre_tokenizers.insert(parts.pre_tokenizers.begin(), prefix_space());
  parts.bytes = byte_level_bytes(parts.vocabulary);
  apply_config(config, parts);
  add_ends(config, false, parts.vocabulary);
  return make_bpe_tokenizer(std::move(parts));
}

std::unique_ptr<Tokenizer> from_directory(const fs::path& directory, const TokenizerOptions& options) {
  if (is_there(directory / "tokenizer.json")) return from_tokenizer_json(directory / "tokenizer.json", options);
  if (is_there(directory / "tokenizer.model")) return from_tokenizer_model(directory / "tokenizer.model", options);
  if (is_there(directory / "vocab.json") && is_there(directory / "merges.txt")) {
    return from_vocab_json(directory, options);
  }
  if (const fs::path gguf = gguf_in(directory); !gguf.empty()) return load_tokenizer(GgufFile::open(gguf), options);
  throw Error(directory.string() +
              ": holds no tokenizer: neither tokenizer.json nor tokenizer.model nor vocab.json "
              "and merges.txt");
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path, const TokenizerOptions& options) {
  std::error_code error;
  if (fs::is_directory(path, error)) return from_directory(path, options);
  if (path.filename() == "vocab.json" || path.filename() == "merges.txt") {
    return from_vocab_json(path.parent_path(), options);
  }
  if (path.extension() == ".json") return from_tokenizer_json(path, options);
  if (path.extension() == ".gguf" || MappedFile(path).text().starts_with("GGUF")) {
    return load_tokenizer(GgufFile::open(path), options);
  }
  return from_tokenizer_model(path, options);
}

std::unique_ptr<Tokenizer> load_tokenizer(const Checkpoint& checkpoint, const TokenizerOptions& options) {
  if (const GgufFile* file = checkpoint.gguf()) return load_tokenizer(*file, options);
  return from_directory(checkpoint.directory(), options);
}

}  // namespace weft
