#include "runtime/text/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "core/utf8.h"
#include "runtime/text/tokenizer/special_text.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/stream_text.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

using Ids = std::vector<int32_t>;

constexpr int32_t kFirstPiece = 259;  // of add_spm_vocabulary
constexpr int32_t byte_id(int byte) { return byte + 3; }

std::unique_ptr<Tokenizer> load(const GgufWriter& writer) {
  const TempFile file(writer.bytes());
  return load_tokenizer(GgufFile::open(file.path()));
}

std::unique_ptr<Tokenizer> load(const std::vector<Piece>& pieces) {
  GgufWriter writer;
  return load(add_spm_vocabulary(writer, pieces));
}

// "▁" is U+2581, the space mark.
const std::vector<Piece> kLetters = {{"▁", -9}, {"a", -9}, {"b", -9}, {"c", -9}};

std::vector<Piece> letters_and(std::vector<Piece> more) {
  more.insert(more.begin(), kLetters.begin(), kLetters.end());
  return more;
}

constexpr int32_t kSpace = kFirstPiece, kA = kFirstPiece + 1, kB = kFirstPiece + 2, kC = kFirstPiece + 3;
constexpr int32_t kMore = kFirstPiece + 4;  // the first of letters_and's own

TEST(Utf8, WellFormedSequences) {
  for (const char* text : {"", "a", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(text)) << in_quotes(text);
  }
  for (const char* text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80",
                           "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "a\xE2\x96"}) {
    EXPECT_FALSE(is_utf8(text)) << in_quotes(text);
  }
}

TEST(Utf8, QuotingEscapes) {
  EXPECT_EQ(in_quotes("a\xC3\xA9\n'\\\xFF\x7F"), "'a\xC3\xA9\\x0a\\x27\\x5c\\xff\\x7f'");
  EXPECT_EQ(in_quotes("\xC2\x9B"), "'\\xc2\\x9b'");
  EXPECT_EQ(in_quotes(std::string(200, 'x')), "'" + std::string(80, 'x') + "...'");
}

TEST(SpecialText, LongestThenLeftmost) {
  const SpecialText special({{"ab", 1}, {"bcd", 2}, {"abc", 3}, {"x", 4}, {"ab", 7}});
  const auto ids = [&](std::string_view text) {
    std::string out;
    for (const TextFragment& f : special.split(text)) {
      out += std::string(f.text) + ":" + std::to_string(f.id) + " ";
    }
    return out;
  };
  EXPECT_EQ(ids(""), "");
  EXPECT_EQ(ids("zz"), "zz:-1 ");
  EXPECT_EQ(ids("ab"), "ab:7 ");
  EXPECT_EQ(ids("xxab"), "x:4 x:4 ab:7 ");
  EXPECT_EQ(ids("abcd"), "a:-1 bcd:2 ");  // both have 3 bytes, the smaller id wins
  EXPECT_EQ(ids("zabcz"), "z:-1 abc:3 z:-1 ");
  EXPECT_EQ(ids("abab"), "ab:7 ab:7 ");
  EXPECT_EQ(SpecialText().split("ab").size(), 1u);
}

TEST(Spm, MergesByScoreThenLeftmost) {
  const auto tokenizer = load(letters_and({{"ab", -3}, {"bc", -2}, {"abc", -1}, {"aa", -4}, {"aaa", -1}}));
  const int32_t ab = kMore, bc = kMore + 1, abc = kMore + 2, aa = kMore + 3, aaa = kMore + 4;
  EXPECT_EQ(tokenizer->encode("ab", false), (Ids{kSpace, ab}));
  EXPECT_EQ(tokenizer->encode("bc", false), (Ids{kSpace, bc}));
  EXPECT_EQ(tokenizer->encode("abc", false), (Ids{kSpace, abc}));
  EXPECT_EQ(tokenizer->encode("abab", false), (Ids{kSpace, ab, ab}));
  // Leftmost first: (aa)aaa, then aaa of (aa)a, then what remains.
  EXPECT_EQ(tokenizer->encode("aaaaa", false), (Ids{kSpace, aaa, aa}));
  EXPECT_EQ(tokenizer->encode("a b", false), (Ids{kSpace, kA, kSpace, kB}));
  EXPECT_EQ(tokenizer->encode("", false), Ids{});
  EXPECT_EQ(tokenizer->encode("", true), Ids{1});
  EXPECT_EQ(tokenizer->encode("c", true), (Ids{1, kSpace, kC}));
}

TEST(Spm, BytesForUnknownCharacters) {
  const auto tokenizer = load(kLetters);
  EXPECT_EQ(tokenizer->encode("\xC3\xA9", false), (Ids{kSpace, byte_id(0xC3), byte_id(0xA9)}));
  EXPECT_EQ(tokenizer->encode(std::string_view("\0", 1), false), (Ids{kSpace, byte_id(0)}));
  // Not UTF-8: every byte survives.
  EXPECT_EQ(tokenizer->encode("\xFF\xE2\x80", false), (Ids{kSpace, byte_id(0xFF), byte_id(0xE2), byte_id(0x80)}));
  // A byte that promises more than follows leaves what follows alone.
  EXPECT_EQ(tokenizer->encode("\xF0 z", false), (Ids{kSpace, byte_id(0xF0), kSpace, byte_id('z')}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("\xC3\xA9", true)), "\xC3\xA9");
}

TEST(Spm, UnknownTokenWithoutBytes) {
  GgufWriter writer;
  writer.string("tokenizer.ggml.model", "llama")
      .add("tokenizer.ggml.tokens", GgufType::array, array({"<unk>", "▁", "a", "<0xC3>"}))
      .add("tokenizer.ggml.scores", GgufType::array, array<float>(GgufType::float32, {0, 0, 0, 0}));
  const auto without_types = load(writer);
  EXPECT_EQ(without_types->bos(), std::nullopt);
  writer.add("tokenizer.ggml.token_type", GgufType::array, array<int32_t>(GgufType::int32, {2, 1, 1, 6}));
  const auto tokenizer = load(writer);
  EXPECT_EQ(tokenizer->encode("a\xC3\xA9z", false), (Ids{1, 2, 0, 0}));  // one byte token is not enough
  EXPECT_EQ(tokenizer->decode(Ids{1, 2, 0, 0}), "a");
  EXPECT_CONTAINS(error_of([&] { without_types->encode("z", false); }), "no token for 'z'");
}

TEST(Spm, UserDefinedAndControlTokens) {
  const auto tokenizer = load(letters_and({{"<x>", 0, 4}, {"<s>a", 0, 4}, {"<|c|>", 0, 3}}));
  const int32_t x = kMore, control = kMore + 2;
  EXPECT_EQ(tokenizer->encode("a<x>b", false), (Ids{kSpace, kA, x, kSpace, kB}));
  EXPECT_EQ(tokenizer->encode("<x><x>", false), (Ids{x, x}));
  EXPECT_EQ(tokenizer->encode("a<|c|>", false, true), (Ids{kSpace, kA, control}));
  EXPECT_EQ(tokenizer->encode("<s>b</s>", true, true), (Ids{1, 1, kSpace, kB, 2}));
  const Ids plain = tokenizer->encode("<|c|></s>", false);
  for (const int32_t id : plain) EXPECT_FALSE(tokenizer->is_control(id));
  EXPECT_EQ(tokenizer->decode(plain), "<|c|></s>");
  EXPECT_TRUE(tokenizer->is_control(control));
  EXPECT_FALSE(tokenizer->is_control(x));
  EXPECT_EQ(tokenizer->decode(Ids{1, x, control, kA, 2}), "<x>a");
}

Ids ends(const Tokenizer& tokenizer) {
  const auto all = tokenizer.end_of_generation();
  return {all.begin(), all.end()};
}

// The texts that are known to end a turn do so whatever the file calls them, and are not text.
TEST(Spm, KnownEndsOfATurnOfEveryType) {
  for (const char* text : {"<|im_end|>",
                           "<|eot_id|>",
                           "<|eom_id|>",
                           "<|end_of_text|>",
                           "<|endoftext|>",
                           "<end_of_turn>",
                           "<|end|>",
                           "<|return|>",
                           "<|call|>",
                           "<|eot|>",
                           "<|EOT|>",
                           "<EOT>",
                           "▁<EOT>",
                           "[EOT]",
                           "[EOS]",
                           "<eos>",
                           "<turn|>",
                           "<|end_of_turn|>",
                           "[|endofturn|]",
                           "<|END_OF_TURN_TOKEN|>",
                           "<|end_of_sentence|>",
                           "<｜end▁of▁sentence｜>"}) {
    for (const int type : {1, 3, 4, 5, 0}) {  // normal, control, user-defined, unused, not said
      const auto tokenizer = load(letters_and({{text, -5, type}}));
      EXPECT_EQ(ends(*tokenizer), (Ids{2, kMore})) << text << type;
      EXPECT_TRUE(tokenizer->is_control(kMore)) << text << type;
      EXPECT_EQ(tokenizer->decode(Ids{kA, kMore, kB}), "ab") << text << type;
      const std::string whole = "a" + std::string(text);
      EXPECT_EQ(tokenizer->encode(whole, false, true), (Ids{kSpace, kA, kMore})) << text << type;
      for (const int32_t id : tokenizer->encode(whole, false)) EXPECT_NE(id, kMore) << text << type;
    }
  }
  const auto both = load(letters_and({{"<|im_end|>", -5, 1}, {"<|im_end|>", -5, 4}}));
  EXPECT_EQ(ends(*both), (Ids{2, kMore, kMore + 1}));
}

TEST(Spm, WhatEndsNoTurn) {
  for (const char* text :
       {"<|im_start|>", "<end>", "<|end", "end", "<|user|>", "<|eot_id|> ", "<|end_of_role|>", "s>"}) {
    for (const int type : {1, 3, 4}) {
      EXPECT_EQ(ends(*load(letters_and({{text, -5, type}}))), (Ids{2})) << text << type;
    }
  }
  // Among tags of HTML it is one; what the file calls a control token, or the end of text, is that.
  const std::vector<Piece> html = letters_and({{"<b>", 0, 4}, {"</b>", 0, 4}, {"</i>", 0, 4}});
  const auto with_s = [&](int type, std::optional<uint32_t> eos) {
    std::vector<Piece> pieces = html;
    pieces.push_back({"</s>", 0, type});
    GgufWriter writer;
    add_spm_vocabulary(writer, pieces).u32("tokenizer.ggml.eos_token_id", eos.value_or(1));
    return load(writer);
  };
  const int32_t s = kMore + 3;
  for (const int type : {1, 4}) {
    EXPECT_EQ(ends(*with_s(type, {})), (Ids{1, 2}));
    EXPECT_EQ(with_s(type, {})->decode(Ids{kA, s}), "a</s>");
  }
  EXPECT_EQ(ends(*with_s(3, {})), (Ids{1, 2, s}));
  EXPECT_EQ(ends(*with_s(4, static_cast<uint32_t>(s))), (Ids{2, s}));
}

// A message ends with <|return|> or <|call|> where there are both; then <|end|> only parts the messages of a turn.
TEST(Spm, ATurnOfSeveralMessages) {
  const auto of = [](std::vector<Piece> pieces) { return ends(*load(letters_and(std::move(pieces)))); };
  EXPECT_EQ(of({{"<|return|>", 0, 3}, {"<|call|>", 0, 3}, {"<|end|>", 0, 3}}), (Ids{2, kMore, kMore + 1}));
  EXPECT_EQ(of({{"<|flush|>", 0, 1}, {"<|calls|>", 0, 4}, {"<|end|>", 0, 1}}), (Ids{2, kMore, kMore + 1}));
  EXPECT_EQ(of({{"<|return|>", 0, 3}, {"<|end|>", 0, 3}}), (Ids{2, kMore, kMore + 1}));
}

TEST(Spm, EndsThatTheFileNames) {
  GgufWriter writer;
  add_spm_vocabulary(writer, kLetters)
      .u32("tokenizer.ggml.eot_token_id", static_cast<uint32_t>(kA))
      .u32("tokenizer.ggml.eom_token_id", static_cast<uint32_t>(kB))
      .add("tokenizer.ggml.eos_token_ids", GgufType::array, array<int32_t>(GgufType::int32, {kC, 2}));
  EXPECT_EQ(ends(*load(writer)), (Ids{2, kA, kB, kC}));
  EXPECT_EQ(load(writer)->decode(Ids{kA, kB}), "ab");  // they are text as well
  GgufWriter outside;
  add_spm_vocabulary(outside, kLetters)
      .add("tokenizer.ggml.eos_token_ids", GgufType::array, array<int32_t>(GgufType::int32, {-1}));
  EXPECT_CONTAINS(error_of([&] { load(outside); }),
                  "key 'tokenizer.ggml.eos_token_ids': names token -1, but there are 263 tokens");
}

// "<s" would merge with ">" into the control token by its score.
TEST(Spm, MergesNeverMakeControlTokens) {
  const auto tokenizer = load({{"▁", 0}, {"<", 0}, {"s", 0}, {">", 0}, {"<s", 0}});
  EXPECT_EQ(tokenizer->encode("<s>", false), (Ids{kFirstPiece, kFirstPiece + 4, kFirstPiece + 3}));
}

TEST(Spm, SpacePrefixAndAdding) {
  GgufWriter writer;
  add_spm_vocabulary(writer, kLetters).flag("tokenizer.ggml.add_space_prefix", false);
  const auto bare = load(writer);
  EXPECT_EQ(bare->encode("a", true), (Ids{1, kA}));
  EXPECT_EQ(bare->decode(Ids{1, kSpace, kA}), " a");
  writer.flag("tokenizer.ggml.add_bos_token", false).flag("tokenizer.ggml.add_eos_token", true);
  EXPECT_EQ(load(writer)->encode("a", true), (Ids{kA, 2}));
  EXPECT_EQ(load(writer)->encode("a", false), (Ids{kA}));
}

TEST(Spm, DecodeStripsOneLeadingSpaceAtTheStart) {
  const auto tokenizer = load(letters_and({{"▁a", -1}, {"▁▁", -1}}));
  const int32_t space_a = kMore, two = kMore + 1;
  EXPECT_EQ(tokenizer->decode(Ids{1, space_a, space_a}), "a a");
  EXPECT_EQ(tokenizer->decode(Ids{space_a}), "a");
  EXPECT_EQ(tokenizer->decode(Ids{space_a}, false), " a");
  EXPECT_EQ(tokenizer->decode(Ids{two}), " ");
  EXPECT_EQ(tokenizer->decode(Ids{kSpace, space_a}), " a");
  EXPECT_EQ(tokenizer->decode(Ids{byte_id(' '), kA}), " a");  // not a space that encode puts
  EXPECT_EQ(tokenizer->decode(Ids{}), "");
  for (const char* text : {" ", "  ", " a", "a ", "  a  b  ", "a\nb"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, true)), text);
  }
}

TEST(StreamDecoder, HoldsBackIncompleteCharacters) {
  const auto tokenizer = load(kLetters);
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push(1), "");
  EXPECT_EQ(decoder.push(byte_id(0xF0)), "");
  EXPECT_EQ(decoder.push(byte_id(0x9F)), "");
  EXPECT_EQ(decoder.push(byte_id(0x98)), "");
  EXPECT_EQ(decoder.push(byte_id(0x80)), "\xF0\x9F\x98\x80");
  EXPECT_EQ(decoder.push(kA), "a");
  EXPECT_EQ(decoder.flush(), "");
  EXPECT_EQ(decoder.push(byte_id(0xE2)), "");
  EXPECT_EQ(decoder.push(1), "");  // a control token ends nothing
  EXPECT_EQ(decoder.push(kA),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(decoder.push(byte_id(0xFF)), "\xEF\xBF\xBD");
  EXPECT_EQ(decoder.push(byte_id(0xE2)), "");
  EXPECT_EQ(decoder.push(byte_id(0x96)), "");
  EXPECT_EQ(decoder.flush(), "\xEF\xBF\xBD");  // one for the maximal subpart
  EXPECT_EQ(decoder.flush(), "");
  EXPECT_CONTAINS(error_of([&] { decoder.push(-1); }), "token id -1 is outside the vocabulary of 263 tokens");
  EXPECT_CONTAINS(error_of([&] { decoder.push(263); }), "token id 263");
  EXPECT_CONTAINS(error_of([&] { (void)tokenizer->token_text(263); }), "token id 263");
}

TEST(StreamDecoder, EqualsDecodeForRandomIds) {
  const auto tokenizer = load(letters_and({{"▁é", -1}, {"<u>", 0, 4}, {"\xF0\x9F\x98\x80", -1}, {"", 0}}));
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    Ids ids(random() % 12);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % tokenizer->vocab_size());
    const bool at_start = random() % 2 != 0;
    const std::string whole = tokenizer->decode(ids, at_start);
    EXPECT_TRUE(is_utf8(whole));
    EXPECT_EQ(test::stream_text(*tokenizer, ids, at_start), whole);
  }
}

TEST(Spm, AMegabyteOfOneLetterIsFast) {
  std::vector<Piece> pieces = kLetters;
  for (std::string run = "aa"; run.size() <= 64; run += run) {
    pieces.push_back({run, -1.0f / static_cast<float>(run.size())});
  }
  const auto tokenizer = load(pieces);
  const std::string text(1 << 20, 'a');
  const auto start = std::chrono::steady_clock::now();
  const Ids ids = tokenizer->encode(text, false);
  EXPECT_LT(std::chrono::steady_clock::now() - start,
            std::chrono::seconds(20));  // quadratic would take hours
  EXPECT_EQ(ids.size(), 1 + text.size() / 64);
  EXPECT_EQ(tokenizer->decode(ids), text);
}

TEST(LoadTokenizer, BadMetadata) {
  const auto message = [](auto change) {
    GgufWriter writer;
    change(writer);
    return error_of([&] { load(writer); });
  };
  const std::string tokens = array({"<unk>", "a"});
  const std::string scores = array<float>(GgufType::float32, {0, 0});
  const auto base = [&](GgufWriter& w) -> GgufWriter& {
    return w.string("tokenizer.ggml.model", "llama")
        .add("tokenizer.ggml.tokens", GgufType::array, tokens)
        .add("tokenizer.ggml.scores", GgufType::array, scores);
  };
  EXPECT_CONTAINS(message([](GgufWriter&) {}), "key 'tokenizer.ggml.model': is absent");
  EXPECT_CONTAINS(message([](GgufWriter& w) { w.string("tokenizer.ggml.model", "bert"); }), "is 'bert'");
  EXPECT_CONTAINS(message([](GgufWriter& w) { w.string("tokenizer.ggml.model", "llama"); }),
                  "key 'tokenizer.ggml.tokens': is absent");
  EXPECT_CONTAINS(message([&](GgufWriter& w) {
                    w.string("tokenizer.ggml.model", "llama")
                        .add("tokenizer.ggml.tokens", GgufType::array, array(std::vector<std::string>{}));
                  }),
                  "is empty");
  EXPECT_CONTAINS(message([&](GgufWriter& w) {
                    w.string("tokenizer.ggml.model", "llama").add("tokenizer.ggml.tokens", GgufType::array, tokens);
                  }),
                  "key 'tokenizer.ggml.scores': is absent");
  EXPECT_CONTAINS(message([&](GgufWriter& w) {
                    w.string("tokenizer.ggml.model", "llama")
                        .add("tokenizer.ggml.tokens", GgufType::array, array({"a", "\xC3"}))
                        .add("tokenizer.ggml.scores", GgufType::array, scores);
                  }),
                  "element 1, '\\xc3', is not UTF-8");
  EXPECT_CONTAINS(message([&](GgufWriter& w) {
                    w.string("tokenizer.ggml.model", "llama")
                        .add("tokenizer.ggml.tokens", GgufType::array, tokens)
                        .add("tokenizer.ggml.scores", GgufType::array, array<float>(GgufType::float32, {0, NAN}));
                  }),
                  "key 'tokenizer.ggml.scores': element 1 is NaN");
  EXPECT_CONTAINS(message([&](GgufWriter& w) {
                    w.string("tokenizer.ggml.model", "llama")
                        .add("tokenizer.ggml.tokens", GgufType::array, tokens)
                        .add("tokenizer.ggml.scores", GgufType::array, array<float>(GgufType::float32, {0}));
                  }),
                  "has 1 elements, but there are 2 tokens");
  const auto with_types = [&](std::vector<int32_t> types) {
    return message([&](GgufWriter& w) {
      base(w).add("tokenizer.ggml.token_type", GgufType::array, array(GgufType::int32, types));
    });
  };
  EXPECT_CONTAINS(with_types({2}), "key 'tokenizer.ggml.token_type': has 1 elements");
  EXPECT_CONTAINS(with_types({2, 7}), "element 1 is 7, wanted 0 to 6");
  EXPECT_CONTAINS(with_types({2, -1}), "element 1 is -1");
  EXPECT_CONTAINS(with_types({2, 6}), "element 1 says byte, but the token is 'a'");
  EXPECT_CONTAINS(message([&](GgufWriter& w) { base(w).u32("tokenizer.ggml.bos_token_id", 2); }),
                  "key 'tokenizer.ggml.bos_token_id': is 2, but there are 2 tokens");
  EXPECT_CONTAINS(message([&](GgufWriter& w) { base(w).string("tokenizer.ggml.eos_token_id", "2"); }),
                  "is of type string");
  EXPECT_CONTAINS(message([&](GgufWriter& w) { base(w).flag("tokenizer.ggml.add_bos_token", true); }),
                  "is true, but the file names no such token");
  EXPECT_EQ(message([&](GgufWriter& w) { base(w).u32("tokenizer.ggml.bos_token_id", UINT32_MAX); }), "(no error)");
}

TEST(Spm, StoriesExpectedText) {
  WEFT_SHARED_OR_SKIP(model, "data/models/stories260K/stories260K.gguf");
  WEFT_SHARED_OR_SKIP(expected, "data/models/stories260K/expected_greedy_n200.txt");
  WEFT_SHARED_OR_SKIP(expected_ids, "data/models/stories260K/expected_greedy_ids40.json");
  const auto tokenizer = load_tokenizer(GgufFile::open(model));
  const Ids ids = nlohmann::json::parse(read_file(expected_ids));
  Ids with_bos = ids;
  with_bos.insert(with_bos.begin(), 1);
  const std::string text = read_file(expected);
  EXPECT_FALSE(tokenizer->decode(ids).empty());
  EXPECT_EQ(tokenizer->decode(with_bos), text.substr(0, tokenizer->decode(with_bos).size()));
  EXPECT_EQ(tokenizer->encode("Once upon a time", true), (Ids{1, 403, 407, 261, 378}));
}

}  // namespace
}  // namespace weft::test
