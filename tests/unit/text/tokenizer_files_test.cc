// Tokenizers from tokenizer.json, tokenizer.model, vocab.json with merges.txt, and what lies beside them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/utf8.h"
#include "runtime/files/checkpoint.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "runtime/text/tokenizer/tokenizer_model.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

// A folder that goes with the object.
class Folder {
 public:
  Folder() {
    static int folders = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("weft-tokenizer-" + std::to_string(::getpid()) + "-" + std::to_string(folders++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  Folder& put(const std::string& name, const std::string& content) {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return *this;
  }
  Folder& put(const std::string& name, const char* content) { return put(name, std::string(content)); }
  Folder& put(const std::string& name, const Json& content) { return put(name, content.dump()); }
  std::unique_ptr<Tokenizer> load() const { return load_tokenizer(path_); }
  std::string error() const {
    return error_of([&] { load(); });
  }

 private:
  std::filesystem::path path_;
};

// A tokenizer.json: <unk>, <s>, </s> and a few letters.
Json letters() {
  return Json::parse(R"({
    "version": "1.0",
    "added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "▁": 3, "a": 4, "b": 5,
      "ab": 6, "▁ab": 7}, "merges": ["a b", ["▁", "ab"]]}
  })");
}

TEST(TokenizerJson, SmallFile) {
  const auto tokenizer = Folder().put("tokenizer.json", letters()).load();
  EXPECT_EQ(tokenizer->vocab_size(), 8u);
  EXPECT_EQ(tokenizer->encode("ab ab", true), (Ids{1, 7, 7}));
  EXPECT_EQ(tokenizer->encode("ab</s>ab", false, true), (Ids{7, 2, 6}));
  EXPECT_EQ(tokenizer->encode("z", false), (Ids{3, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 7, 7}), "ab ab");
  EXPECT_EQ(tokenizer->decode(Ids{7, 7}, false), " ab ab");
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), std::nullopt);
  EXPECT_TRUE(tokenizer->ends_generation(2));  // by its name
  EXPECT_FALSE(tokenizer->ends_generation(1));
}

TEST(TokenizerJson, NamesWhatItDoesNotHave) {
  const auto error = [](const char* path, const Json& value) {
    Json json = letters();
    json[Json::json_pointer(path)] = value;
    return Folder().put("tokenizer.json", json).error();
  };
  EXPECT_CONTAINS(error("/model/type", "Unigram"),
                  "tokenizer.json: model.type: is 'Unigram', which this build does not");
  EXPECT_CONTAINS(error("/normalizer", {{"type", "Nmt"}}), "normalizer.type: is 'Nmt'");
  EXPECT_CONTAINS(error("/normalizer", Json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {}]})")),
                  "normalizer.normalizers[1].type: is absent");
  EXPECT_CONTAINS(error("/pre_tokenizer/type", "Whitespace"), "pre_tokenizer.type: is 'Whitespace'");
  EXPECT_CONTAINS(error("/pre_tokenizer/prepend_scheme", "last"), "pre_tokenizer.prepend_scheme: is 'last'");
  EXPECT_CONTAINS(error("/pre_tokenizer/add_prefix_space", false), "prepend_scheme: contradicts add_prefix_space");
  EXPECT_CONTAINS(error("/pre_tokenizer/replacement", "ab"),
                  "pre_tokenizer.replacement: is 'ab', wanted one character");
  EXPECT_CONTAINS(error("/pre_tokenizer", Json::parse(R"({"type": "Split", "pattern": {"Regex": "[a&&b]"},
      "behavior": "Isolated", "invert": false})")),
                  "pre_tokenizer.pattern.Regex: pattern '[a&&b]': an intersection");
  EXPECT_CONTAINS(error("/pre_tokenizer", Json::parse(R"({"type": "Sequence", "pretokenizers":
      [{"type": "ByteLevel"}, {"type": "Digits"}]})")),
                  "pre_tokenizer.pretokenizers[1].type: follows ByteLevel");
  EXPECT_CONTAINS(error("/post_processor/type", "BertProcessing"), "post_processor.type: is 'BertProcessing'");
  EXPECT_CONTAINS(error("/post_processor/special_tokens/<s>/ids", {99}), "there are 8 tokens");
  EXPECT_CONTAINS(error("/post_processor/single", Json::array()), "post_processor.single: leaves the text out");
  EXPECT_CONTAINS(error("/decoder", nullptr), "decoder: is absent");
  EXPECT_CONTAINS(error("/decoder/decoders/3/stop", 1), "decoder.decoders[3].stop: is not 0");
  EXPECT_CONTAINS(error("/decoder/decoders/0/type", "WordPiece"), "decoder.decoders[0].type: is 'WordPiece'");
  EXPECT_CONTAINS(error("/model/dropout", 0.1), "model.dropout: is not 0");
  EXPECT_CONTAINS(error("/model/end_of_word_suffix", "</w>"), "model.end_of_word_suffix: is not empty");
  EXPECT_CONTAINS(error("/model/unk_token", "?"), "model.unk_token: is '?', which is not a token");
  EXPECT_CONTAINS(error("/version", "2.0"), "version: is '2.0', wanted '1.0'");
}

TEST(TokenizerJson, ContradictionsNameTheEntry) {
  const auto error = [](const char* path, const Json& value) {
    Json json = letters();
    json[Json::json_pointer(path)] = value;
    return Folder().put("tokenizer.json", json).error();
  };
  EXPECT_CONTAINS(error("/model/merges/0", "a c"), "model.merges[0]: there is no token 'c'");
  EXPECT_CONTAINS(error("/model/merges/1", Json::array({"a"})), "model.merges[1]: is not a pair of tokens");
  EXPECT_CONTAINS(error("/model/vocab/ab", 4), "with id 4, which 'a' has");
  EXPECT_CONTAINS(error("/model/vocab/ab", -1), "model.vocab['ab']: is -1, wanted 0 to 2^31 - 1");
  EXPECT_CONTAINS(error("/model/vocab/ab", 4000000000u), "model.vocab['ab']: is 4000000000");
  EXPECT_CONTAINS(error("/model/vocab/ab", 1000000), "model.vocab['ab']: has id 1000000, but there are 10 tokens");
  EXPECT_CONTAINS(error("/model/vocab/ab", "6"), "model.vocab['ab']: is not a whole number");
  EXPECT_CONTAINS(error("/added_tokens/1/id", "5"), "added_tokens[1].id: is not a whole number");
  EXPECT_CONTAINS(error("/added_tokens/1/content", std::string(5000, 'x')), "added_tokens[1].content: has 5000 bytes");
  EXPECT_CONTAINS(error("/model/vocab", Json::array()), "model.vocab: is not an object");
  EXPECT_CONTAINS(Folder().put("tokenizer.json", Json::array()).error(), "tokenizer.json: is not an object");
  EXPECT_CONTAINS(Folder().put("tokenizer.json", std::string("{")).error(), "is not JSON");
}

// Ids as Hugging Face's library gives them (tokenizers 0.23): a text that the vocabulary has keeps that id, others
// follow one another; what the file says is not looked at.
TEST(TokenizerJson, AddedTokensHaveTheIdsOfHuggingFace) {
  const auto load = [](const char* added) {
    Json json = letters();
    for (const Json& token : Json::parse(added)) json["added_tokens"].push_back(token);
    return Folder().put("tokenizer.json", json).load();
  };
  // 'ab' is token 6 of the vocabulary, so '<x>' is the first new one.
  const auto known = load(R"([{"id": 8, "content": "ab"}, {"id": 9, "content": "<x>"}])");
  EXPECT_EQ(known->encode("ab ab<x>", false, true), (Ids{6, 3, 6, 8}));
  EXPECT_EQ(known->vocab_size(), 9u);
  EXPECT_EQ(known->decode(Ids{6, 8}), "ab<x>");
  ASSERT_EQ(known->warnings().size(), 1u);
  EXPECT_CONTAINS(known->warnings()[0],
                  "tokenizer.json: added_tokens[2]: 'ab' has id 6, as Hugging Face's library "
                  "numbers tokens, and not 8; so for 1 more");
  // The order of the file, holes, ids that others have, the same text twice.
  EXPECT_EQ(load(R"([{"id": 9, "content": "<y>"}, {"id": 8, "content": "<x>"}])")->encode("<x><y>", false),
            (Ids{9, 8}));
  EXPECT_EQ(load(R"([{"id": 700000, "content": "<x>"}])")->encode("<x>", false), (Ids{8}));
  EXPECT_EQ(load(R"([{"id": 4, "content": "<x>"}])")->encode("a<x>", false), (Ids{3, 4, 8}));
  EXPECT_EQ(load(R"([{"id": 8, "content": "<x>"}, {"id": 8, "content": "<y>"}])")->encode("<x><y>", false),
            (Ids{8, 9}));
  const auto twice = load(R"([{"id": 8, "content": "<x>"}, {"id": 9, "content": "<x>", "special": true},
                              {"id": 10, "content": ""}, {"id": 10, "content": "<y>"}])");
  EXPECT_EQ(twice->encode("<x><y>", false, true), (Ids{8, 9}));
  EXPECT_TRUE(twice->is_control(8));
  EXPECT_TRUE(load(R"([{"id": 8, "content": "<x>"}])")->warnings().empty());
  // Where the vocabulary has a hole, the next id may be taken.
  Json hole = letters();
  hole["model"]["merges"].erase(1);
  hole["model"]["vocab"].erase("▁ab");
  hole["model"]["vocab"]["y"] = 8;
  hole["model"]["vocab"]["z"] = 9;
  hole["added_tokens"] = Json::parse(R"([{"id": 7, "content": "<x>"}])");
  EXPECT_CONTAINS(Folder().put("tokenizer.json", hole).error(), "added_tokens[0]: is '<x>' with id 9, which 'z' has");
}

TEST(TokenizerJson, SharedAddedTokens) {
  WEFT_SHARED_OR_SKIP(folder, "data/field/added");
  const auto tokenizer = load_tokenizer(folder);
  const Json texts = Json::parse(read_file(folder / "added_texts.json"));
  const Json ids = Json::parse(read_file(folder / "added_ids.json"));
  ASSERT_EQ(texts.size(), ids.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer->encode(texts[i].get<std::string>(), true, true), ids[i].get<Ids>()) << texts[i];
  }
}

TEST(TokenizerConfig, TokensBesideTheTokenizer) {
  Folder folder;
  folder.put("tokenizer.json", letters());
  folder.put("config.json", Json::parse(R"({"bos_token_id": 0, "eos_token_id": 4})"));
  EXPECT_EQ(folder.load()->bos(), 0);
  EXPECT_EQ(folder.load()->eos(), 4);
  folder.put("generation_config.json", Json::parse(R"({"bos_token_id": 1, "eos_token_id": [5, 6]})"));
  EXPECT_EQ(folder.load()->eos(), 5);
  // Some programs write integers as floats.
  folder.put("generation_config.json", Json::parse(R"({"bos_token_id": 1.0, "eos_token_id": [6.0, 5e0]})"));
  EXPECT_EQ(folder.load()->bos(), 1);
  EXPECT_EQ(folder.load()->eos(), 6);
  folder.put("generation_config.json", Json::parse(R"({"bos_token_id": 1, "eos_token_id": [5, 6]})"));
  folder.put("tokenizer_config.json", Json::parse(R"({"bos_token": "a", "eos_token": {"content": "</s>"},
      "added_tokens_decoder": {"1": {"content": "<s>", "special": true}, "9": {"content": "<|im_end|>", "special": true},
                               "10": {"content": "<t>", "special": false}}})"));
  const auto tokenizer = folder.load();
  EXPECT_EQ(tokenizer->bos(), 4);
  EXPECT_EQ(tokenizer->eos(), 2);
  const auto ends = tokenizer->end_of_generation();
  EXPECT_EQ(Ids(ends.begin(), ends.end()), (Ids{2, 5, 6, 8}));
  EXPECT_EQ(tokenizer->vocab_size(), 10u);  // the new ones follow, as in Hugging Face's library
  EXPECT_EQ(tokenizer->encode("<t><|im_end|>", false, true), (Ids{9, 8}));
  EXPECT_EQ(tokenizer->decode(Ids{9, 8}), "<t>");
  // Tokens of the vocabulary keep their ids, and become added ones.
  folder.put("tokenizer_config.json", Json::parse(R"({"added_tokens_decoder": {"3": {"content": "x"},
      "7": {"content": "ab"}, "900000": {"content": "y"}}})"));
  EXPECT_EQ(folder.load()->encode("xaby", false), (Ids{8, 6, 9}));

  const auto error = [&](const char* name, const char* json) {
    return Folder().put("tokenizer.json", letters()).put(name, std::string(json)).error();
  };
  EXPECT_CONTAINS(error("tokenizer_config.json", R"({"eos_token": "<x>"})"),
                  "tokenizer_config.json: eos_token: is '<x>', which is not a token");
  EXPECT_CONTAINS(error("tokenizer_config.json", R"({"eos_token": 3})"),
                  "tokenizer_config.json: eos_token: is not a string");
  EXPECT_CONTAINS(error("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "x"}}})"),
                  "added_tokens_decoder['x']: is not a token id");
  EXPECT_CONTAINS(error("generation_config.json", R"({"eos_token_id": 8})"), "names token 8, but there are 8 tokens");
  EXPECT_CONTAINS(error("generation_config.json", R"({"eos_token_id": ["a"]})"),
                  "generation_config.json: eos_token_id[0]: is not a whole number");
  EXPECT_CONTAINS(error("config.json", R"({"eos_token_id": 2.5})"),
                  "config.json: eos_token_id: is 2.5, not a whole number");
  EXPECT_CONTAINS(error("config.json", R"({"eos_token_id": 1e30})"),
                  "config.json: eos_token_id: is 1e+30, wanted 0 to");
  EXPECT_CONTAINS(error("config.json", R"({"bos_token_id": -1.0})"), "config.json: bos_token_id: is -1.0, wanted 0 to");
}

// A clone without Git LFS has pointers for files.
TEST(TokenizerFiles, GitLfsPointersAreNamed) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 500\n";
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    EXPECT_CONTAINS(Folder().put(name, pointer).error(),
                    std::string(name) + ": is a Git LFS pointer to a file of 500 bytes");
  }
  for (const char* name : {"tokenizer_config.json", "generation_config.json", "config.json"}) {
    EXPECT_CONTAINS(Folder().put("tokenizer.json", letters()).put(name, pointer).error(),
                    std::string(name) + ": is a Git LFS pointer");
  }
  Folder folder;
  folder.put("vocab.json", Json::parse(R"({"a": 0})")).put("merges.txt", pointer);
  EXPECT_CONTAINS(folder.error(), "merges.txt: is a Git LFS pointer");
  folder.put("vocab.json", pointer);
  EXPECT_CONTAINS(folder.error(), "vocab.json: is a Git LFS pointer");
}

// Whether the vocabulary has it, or an added token that is not special: it ends a turn, and is not text.
TEST(TokenizerConfig, KnownEndsOfATurnOfEveryType) {
  const auto check = [](const Folder& folder, int32_t id) {
    const auto tokenizer = folder.load();
    EXPECT_TRUE(tokenizer->ends_generation(id));
    EXPECT_EQ(tokenizer->decode(Ids{4, id, 5}), "ab");
    EXPECT_EQ(tokenizer->encode("a<|im_end|>", false, true).back(), id);
    EXPECT_NE(tokenizer->encode("a<|im_end|>", false).back(), id);
  };
  Json json = letters();
  json["model"]["vocab"]["<|im_end|>"] = 8;
  check(Folder().put("tokenizer.json", json), 8);
  json = letters();
  json["added_tokens"].push_back(Json{{"id", 8}, {"content", "<|im_end|>"}, {"special", false}});
  check(Folder().put("tokenizer.json", json), 8);
  const Json beside = Json::parse(R"({"added_tokens_decoder": {"8": {"content": "<|im_end|>", "special": false}}})");
  check(Folder().put("tokenizer.json", letters()).put("tokenizer_config.json", beside), 8);
  // A text that merges make is ordinary.
  json = letters();
  json["model"]["vocab"] = Json::parse(R"({"<unk>": 0, "<": 1, "eos": 2, "<eos": 3, ">": 4, "<eos>": 5})");
  json["model"]["merges"] = Json::parse(R"(["< eos", "<eos >"])");
  json["added_tokens"] = Json::array();
  json["post_processor"] = nullptr;
  EXPECT_FALSE(Folder().put("tokenizer.json", json).load()->ends_generation(5));
}

TEST(VocabJson, ClassChoosesThePattern) {
  Folder folder;
  folder.put("vocab.json", Json::parse(R"({"a": 0, "1": 1, "11": 2, "e": 3, "Ã": 4, "©": 5, "Ã©": 6, "Ġ": 7})"));
  folder.put("merges.txt", "#version: 0.2\n1 1\r\nÃ ©\n");
  EXPECT_EQ(folder.load()->encode("11", false), (Ids{2}));
  ASSERT_EQ(folder.load()->warnings().size(), 1u);
  EXPECT_CONTAINS(folder.load()->warnings()[0], "tokenizer_class: is absent, so how text is cut into words is a guess");
  EXPECT_EQ(load_tokenizer(folder.path(), {.pre_tokenizer = "qwen2"})->encode("11", false), (Ids{1, 1}));
  EXPECT_TRUE(load_tokenizer(folder.path(), {.pre_tokenizer = "qwen2"})->warnings().empty());
  folder.put("tokenizer_config.json", Json{{"tokenizer_class", "XTokenizer"}});
  EXPECT_CONTAINS(folder.error(),
                  "tokenizer_class: is 'XTokenizer'; for vocab.json and merges.txt this build knows "
                  "Qwen2Tokenizer and GPT2Tokenizer (--pre-tokenizer NAME says how text is cut)");
  EXPECT_EQ(load_tokenizer(folder.path(), {.pre_tokenizer = "gpt-2"})->encode("11", false), (Ids{2}));
  folder.put("tokenizer_config.json", Json{{"tokenizer_class", "GPT2Tokenizer"}});
  EXPECT_EQ(folder.load()->encode("11e\u0301", false), (Ids{2, 3}));  // no tokens for the accent's bytes
  folder.put("tokenizer_config.json", Json{{"tokenizer_class", "Qwen2Tokenizer"}, {"add_prefix_space", true}});
  EXPECT_EQ(folder.load()->encode("11e\u0301", false), (Ids{7, 1, 1, 6}));  // NFC, digits one by one
  EXPECT_EQ(folder.load()->decode(Ids{1, 6}), "1é");
  folder.put("merges.txt", "1 1\n1 x\n");
  EXPECT_CONTAINS(folder.error(), "merges.txt: line 2: there is no token 'x'");
  folder.put("vocab.json", Json::parse(R"({"a": 0, "b": 2})"));
  EXPECT_CONTAINS(folder.error(), "vocab.json: ['b']: is 2, but there are 2 tokens");
  folder.put("vocab.json", Json::parse(R"({"a": 0, "b": 0})"));
  EXPECT_CONTAINS(folder.error(), "vocab.json: ['b']: is 0, as that of 'a' is");
}

TEST(LoadTokenizer, WhatADirectoryHolds) {
  Folder folder;
  EXPECT_CONTAINS(folder.error(), "holds no tokenizer: neither tokenizer.json nor");
  folder.put("tokenizer.json", letters());
  EXPECT_EQ(load_tokenizer(folder.path() / "tokenizer.json")->vocab_size(), 8u);
  EXPECT_CONTAINS(error_of([&] { load_tokenizer(folder.path() / "none.model"); }), "none.model");
}

// --- tokenizer.model ---

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string number_field(int field, uint64_t value) {
  return varint(static_cast<uint64_t>(field) << 3) + varint(value);
}
std::string bytes_field(int field, const std::string& value) {
  return varint(static_cast<uint64_t>(field) << 3 | 2) + varint(value.size()) + value;
}
std::string piece(const std::string& text, float score, int type = 1) {
  return bytes_field(
      1, bytes_field(1, text) + varint(2 << 3 | 5) + pod(score) + number_field(3, static_cast<uint64_t>(type)));
}
std::string spec(const std::string& trainer = "", const std::string& normalizer = "") {
  return bytes_field(2, number_field(3, 2) + trainer) + bytes_field(3, number_field(4, 0) + normalizer);
}
const std::string kPieces =
    piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("▁", -3) + piece("a", -4) + piece("▁a", -1);

TEST(SentencePiece, SmallModel) {
  Folder folder;
  folder.put("tokenizer.model", kPieces + spec());
  const auto tokenizer = folder.load();
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->encode("a a z", true), (Ids{1, 5, 5, 3, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 5, 5}), "a a");
  EXPECT_EQ(Folder().put("tokenizer.model", kPieces + spec("", number_field(3, 0))).load()->encode("a", false),
            (Ids{4}));
  folder.put("tokenizer_config.json", Json{{"add_bos_token", false}, {"add_eos_token", true}});
  EXPECT_EQ(folder.load()->encode("a", true), (Ids{5, 2}));
  folder.put("tokenizer_config.json",
             Json::parse(R"({"added_tokens_decoder": {"7": {"content": "<x>", "special": true}}})"));
  EXPECT_EQ(folder.load()->encode("a<x>", false, true), (Ids{5, 7}));
  EXPECT_EQ(folder.load()->decode(Ids{5, 7, 6}), "a");  // the hole before it
  const auto error = [&](const char* added) {
    return folder.put("tokenizer_config.json", Json{{"added_tokens_decoder", Json::parse(added)}}).error();
  };
  EXPECT_CONTAINS(error(R"({"3": {"content": "x"}})"), "added_tokens_decoder['3']: is 'x', but that token is '▁'");
  EXPECT_CONTAINS(error(R"({"900000": {"content": "x"}})"), "added_tokens_decoder['900000']: there are 6 tokens");
  EXPECT_EQ(error(R"({"9": {"content": "a"}})"), "(no error)");  // a text that the model has keeps its id
  EXPECT_EQ(folder.load()->vocab_size(), 6u);
  EXPECT_EQ(folder.load()->encode("a a", false), (Ids{4, 3, 3, 4}));
  const std::string no_bos = spec(number_field(41, ~uint64_t{0}));
  EXPECT_EQ(Folder().put("tokenizer.model", kPieces + no_bos).load()->encode("a", true), (Ids{5}));
}

TEST(SentencePiece, NamesWhatIsWrong) {
  const auto error = [](const std::string& data) { return error_of([&] { read_sentencepiece(data, "file"); }); };
  EXPECT_CONTAINS(error(kPieces + bytes_field(2, "") + bytes_field(3, number_field(4, 0))),
                  "the model is of type unigram; this build has bpe");
  EXPECT_CONTAINS(error(kPieces + bytes_field(2, number_field(3, 2)) + bytes_field(3, "")), "remove_extra_whitespaces");
  EXPECT_CONTAINS(error(kPieces + spec("", bytes_field(1, "nmt_nfkc") + bytes_field(2, "xx"))),
                  "normalization 'nmt_nfkc' with a charsmap of 2 bytes");
  EXPECT_CONTAINS(error(kPieces + spec("", number_field(5, 0))), "no escape_whitespaces");
  EXPECT_CONTAINS(error(kPieces + spec(number_field(24, 1))), "treat_whitespace_as_suffix");
  EXPECT_CONTAINS(error(kPieces + spec(number_field(41, 4))), "file: bos_id is 4, which is not a piece of that type");
  EXPECT_CONTAINS(error(kPieces + spec() + bytes_field(5, bytes_field(2, "x"))), "a denormalizer");
  EXPECT_CONTAINS(error(kPieces), "has no trainer_spec or no normalizer_spec");
  EXPECT_CONTAINS(error(spec()), "has no pieces");
  EXPECT_CONTAINS(error(kPieces + piece("a", 0) + spec()), "piece 6 is 'a', as piece 4 is");
  EXPECT_CONTAINS(error(piece("", 0)), "file: byte 9: piece 0 is empty");
  EXPECT_CONTAINS(error(piece("\xFF", 0)), "is not UTF-8");
  EXPECT_CONTAINS(error(piece("a", NAN)), "has a score that is NaN");
  EXPECT_CONTAINS(error(piece("a", 0, 7)), "has type 7");
  EXPECT_CONTAINS(error(piece("a", 0, 6)), "piece 0 is of type byte, but 'a' is not like '<0x0A>'");
  EXPECT_CONTAINS(error("\x0A\x7F"), "file: byte 0: a field of 127 bytes, where 0 are left");
  EXPECT_CONTAINS(error("\x0A"), "the data ends inside a number");
  EXPECT_CONTAINS(error("\x0B"), "has wire type 3");
  EXPECT_CONTAINS(error(std::string("\x02\x00", 2)), "has field number 0");
  EXPECT_CONTAINS(error(number_field(1, 1)), "field 1 has wire type 0, wanted 2");
  EXPECT_CONTAINS(error(std::string(11, '\xFF')), "a number of more than 64 bits");
}

std::string base64(const std::string& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

std::string tiktoken(const std::vector<std::string>& more) {
  std::string text;
  size_t rank = 0;
  for (int byte = 0; byte < 256; ++byte) {
    text += base64(std::string(1, static_cast<char>(byte))) + " " + std::to_string(rank++) + "\n";
  }
  for (const std::string& token : more) text += base64(token) + " " + std::to_string(rank++) + "\n";
  return text;
}

TEST(Tiktoken, SmallModel) {
  const auto tokenizer = Folder().put("tokenizer.model", tiktoken({"bc", "ab", "abc", "xyz"})).load();
  EXPECT_EQ(tokenizer->vocab_size(), 260u + 256u);
  EXPECT_EQ(tokenizer->bos(), 260);
  EXPECT_EQ(tokenizer->token_text(260 + 9), "<|eot_id|>");
  EXPECT_TRUE(tokenizer->ends_generation(260 + 9));
  EXPECT_EQ(tokenizer->encode("abc abcd", true), (Ids{260, 258, ' ', 258, 'd'}));  // a bc
  EXPECT_EQ(tokenizer->encode("xyz", false), (Ids{259}));                          // whole, though no merge makes it
  EXPECT_EQ(tokenizer->encode("<|eot_id|>", false, true), (Ids{269}));
  EXPECT_EQ(tokenizer->decode(Ids{260, 258, 0xC3, 0xA9, 269}), "abcé");
  EXPECT_EQ(tokenizer->token_text(' '), "\u0120");
}

TEST(Tiktoken, APreTokenizerCanBeSaid) {
  Folder folder;
  folder.put("tokenizer.model", tiktoken({"11", "xyz"}));
  EXPECT_EQ(folder.load()->encode("11", false), (Ids{256}));
  const auto other = load_tokenizer(folder.path(), {.pre_tokenizer = "qwen2"});
  EXPECT_EQ(other->encode("11xyz", false), (Ids{'1', '1', 257}));
  EXPECT_TRUE(other->warnings().empty());
}

TEST(Tiktoken, NamesTheLine) {
  const auto error = [](const std::string& text) { return error_of([&] { read_tiktoken(text, "file"); }); };
  EXPECT_CONTAINS(error("IQ==\n"), "file: line 1: 'IQ==' is not a token in base64 and its rank");
  EXPECT_CONTAINS(error("IQ= 0\n"), "'IQ=' is not base64");
  EXPECT_CONTAINS(error("I*== 0\n"), "is not base64");
  EXPECT_CONTAINS(error("IQ== 1\n"), "line 1: rank '1', wanted 0");
  EXPECT_CONTAINS(error("IQ== 0x\n"), "rank '0x'");
  EXPECT_CONTAINS(error("IQ== 0\nIQ== 1\n"), "line 2: the token '!' again");
  EXPECT_CONTAINS(error("IQ== 0\n"), "file: has no token for byte 0");
  EXPECT_CONTAINS(error(base64(std::string(1000, 'a')) + " 0\n"), "a token of 1000 bytes");
}

// --- byte-level vocabularies in GGUF ---

GgufWriter byte_level(const std::string& pre, std::vector<std::string> more = {}) {
  std::vector<std::string> tokens = {"a", "b", "ab", "1", "\u0120", "\u0120a", "<e>", "<u>"};
  tokens.insert(tokens.end(), more.begin(), more.end());
  std::vector<int32_t> types(tokens.size(), 1);
  types[6] = 3;
  types[7] = 4;
  GgufWriter writer;
  writer.string("tokenizer.ggml.model", "gpt2");
  if (!pre.empty()) writer.string("tokenizer.ggml.pre", pre);
  writer.add("tokenizer.ggml.tokens", GgufType::array, array(tokens))
      .add("tokenizer.ggml.token_type", GgufType::array, array(GgufType::int32, types))
      .u32("tokenizer.ggml.bos_token_id", 6);
  return writer;
}

std::unique_ptr<Tokenizer> load(const GgufWriter& writer) {
  const TempFile file(writer.bytes());
  return load_tokenizer(GgufFile::open(file.path()));
}

TEST(GgufBpe, FamiliesByName) {
  const std::string merges = array({"a b", "\u0120 a"});
  const auto ids = [&](const std::string& pre, const std::string& text) {
    GgufWriter writer = byte_level(pre);
    return load(writer.add("tokenizer.ggml.merges", GgufType::array, merges))->encode(text, true, true);
  };
  EXPECT_EQ(ids("gpt-2", "ab a<e><u>"), (Ids{2, 5, 6, 7}));
  EXPECT_EQ(ids("llama-bpe", "ab"), (Ids{6, 2}));  // BOS unless the file says otherwise
  EXPECT_EQ(ids("qwen2", "111"), (Ids{3, 3, 3}));
  EXPECT_EQ(ids("", "ab"), (Ids{2}));  // with a warning, see below
  EXPECT_EQ(ids("default", "ab"), (Ids{2}));
  for (const char* name : {"llama3", "llama-v3", "gpt2", "phi-2", "deepseek-r1-qwen", "smaug-bpe", "tekken"}) {
    EXPECT_EQ(ids(name, "ab").back(), 2) << name;
  }
  EXPECT_CONTAINS(error_of([&] { ids("poro-chat", "a"); }),
                  "key 'tokenizer.ggml.pre': is 'poro-chat', which this build does not know; it knows default, gpt-2");
}

TEST(GgufBpe, AnAbsentFamilyIsAGuessThatIsSaid) {
  const auto load_as = [&](const std::string& pre, const std::string& wanted) {
    GgufWriter writer = byte_level(pre);
    const TempFile file(writer.add("tokenizer.ggml.merges", GgufType::array, array({"a b"})).bytes());
    return load_tokenizer(std::filesystem::path(file.path()), {.pre_tokenizer = wanted});
  };
  for (const auto& guessed :
       {load_as("", ""), [&] {
          GgufWriter writer = byte_level("");
          return load(
              writer.string("tokenizer.ggml.pre", "").add("tokenizer.ggml.merges", GgufType::array, array({"a b"})));
        }()}) {
    ASSERT_EQ(guessed->warnings().size(), 1u);
    EXPECT_CONTAINS(guessed->warnings()[0],
                    "key 'tokenizer.ggml.pre': is absent, so how text is cut into words is a "
                    "guess; --pre-tokenizer NAME says how (default, gpt-2, llama-bpe,");
  }
  for (const char* said : {"default", "gpt-2", "qwen2"}) EXPECT_TRUE(load_as(said, "")->warnings().empty()) << said;
  // What is wanted counts, whatever the file says: known, unknown or nothing.
  for (const char* said : {"", "gpt-2", "poro-chat"}) {
    const auto tokenizer = load_as(said, "llama-bpe");
    EXPECT_TRUE(tokenizer->warnings().empty()) << said;
    EXPECT_EQ(tokenizer->encode("ab", true), (Ids{6, 2})) << said;  // BOS, as if the file said so
    EXPECT_EQ(load_as(said, "qwen2")->encode("ab", true), (Ids{2})) << said;
  }
  EXPECT_CONTAINS(error_of([&] { load_as("gpt-2", "nosuch"); }),
                  "the pre-tokenizer wanted is 'nosuch', which this build does not know; it knows default, gpt-2");
  EXPECT_CONTAINS(error_of([&] { load_as("poro-chat", ""); }), "tekken (--pre-tokenizer NAME takes one of these)");
  const std::vector<std::string> names = pre_tokenizer_names();
  for (const std::string& name : names) EXPECT_NO_THROW(load_as("", name)) << name;
  EXPECT_EQ(std::count(names.begin(), names.end(), "llama-bpe"), 1);
}

// Other kinds have no use for it, and say so.
TEST(LoadTokenizer, APreTokenizerThatHasNoEffectIsSaid) {
  GgufWriter spm;
  const TempFile gguf(add_spm_vocabulary(spm, {{"a", -1}}).bytes());
  const TokenizerOptions options{.pre_tokenizer = "qwen2"};
  const auto warning = [&](const std::filesystem::path& path) {
    const auto tokenizer = load_tokenizer(path, options);
    EXPECT_TRUE(load_tokenizer(path)->warnings().empty());
    return tokenizer->warnings().size() == 1 ? tokenizer->warnings()[0] : "(not one warning)";
  };
  EXPECT_CONTAINS(warning(gguf.path()), "is SentencePiece's, which cuts no words: --pre-tokenizer has no effect");
  Folder json, model;
  EXPECT_CONTAINS(warning(json.put("tokenizer.json", letters()).path()),
                  "says itself how text is cut: --pre-tokenizer has");
  EXPECT_CONTAINS(warning(model.put("tokenizer.model", kPieces + spec()).path()), "is SentencePiece's");
  EXPECT_CONTAINS(error_of([&] { load_tokenizer(json.path(), {.pre_tokenizer = "nosuch"}); }), "is 'nosuch'");
}

TEST(GgufBpe, KnownEndsOfATurnOfEveryType) {
  for (const int type : {1, 3, 4}) {
    std::vector<std::string> tokens = {"a", "b", "<", "|", "<|", "<|im_end|>", "\u0120"};
    GgufWriter writer;
    writer.string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "llama-bpe")
        .add("tokenizer.ggml.tokens", GgufType::array, array(tokens))
        .add("tokenizer.ggml.token_type", GgufType::array, array<int32_t>(GgufType::int32, {1, 1, 1, 1, 1, type, 1}))
        .add("tokenizer.ggml.merges", GgufType::array, array({"< |"}));
    const auto tokenizer = load(writer);
    EXPECT_TRUE(tokenizer->ends_generation(5)) << type;
    EXPECT_EQ(tokenizer->decode(Ids{0, 5, 1}), "ab") << type;
    EXPECT_EQ(tokenizer->encode("a<|im_end|>b", false, true), (Ids{0, 5, 1})) << type;
    EXPECT_EQ(tokenizer->encode("<|im_end|>", false).front(), 4) << type;
  }
  // What merges make of ordinary text is ordinary text.
  const auto learned = [](int type) {
    GgufWriter writer;
    writer.string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "gpt-2")
        .add("tokenizer.ggml.tokens", GgufType::array, array({"<", "/", "s", ">", "</", "s>", "</s>"}))
        .add("tokenizer.ggml.token_type", GgufType::array, array<int32_t>(GgufType::int32, {1, 1, 1, 1, 1, 1, type}))
        .add("tokenizer.ggml.merges", GgufType::array, array({"< /", "s >", "</ s>"}));
    return writer;
  };
  EXPECT_FALSE(load(learned(1))->ends_generation(6));
  EXPECT_EQ(load(learned(1))->decode(Ids{6}), "</s>");
}

TEST(GgufBpe, NamesWhatIsWrong) {
  const auto error = [](const std::string& merges) {
    GgufWriter writer = byte_level("gpt-2");
    writer.add("tokenizer.ggml.merges", GgufType::array, merges);
    return error_of([&] { load(writer); });
  };
  EXPECT_CONTAINS(error(array({"a b", "b a"})),
                  "key 'tokenizer.ggml.merges': element 1, 'b a': there is no token 'ba'");
  EXPECT_CONTAINS(error(array({"ab"})), "element 0, 'ab': 'ab' is not two tokens with a space between them");
  EXPECT_CONTAINS(error_of([] { load(byte_level("gpt-2")); }), "key 'tokenizer.ggml.merges': is absent");
}

// Bytes that are not UTF-8 are read as U+FFFD, as Hugging Face's library would get them.
TEST(GgufBpe, InvalidUtf8) {
  GgufWriter writer = byte_level("gpt-2", {"\u00EF", "\u00BF", "\u00BD"});
  const auto tokenizer = load(writer.add("tokenizer.ggml.merges", GgufType::array, array({"a b"})));
  EXPECT_EQ(tokenizer->encode("a\xFF", false), (Ids{0, 8, 9, 10}));
  EXPECT_EQ(tokenizer->decode(Ids{0, 8, 9, 10}), "a\uFFFD");
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push(8), "");
  EXPECT_EQ(decoder.push(9), "");
  EXPECT_EQ(decoder.push(10), "\uFFFD");
}

}  // namespace
}  // namespace weft::test
