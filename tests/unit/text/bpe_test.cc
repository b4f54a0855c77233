// The parts of byte-pair encoding: patterns, Unicode, words, added tokens, merges.
#include <gtest/gtest.h>

#include <random>

#include "core/utf8.h"
#include "runtime/text/tokenizer/added_tokens.h"
#include "runtime/text/tokenizer/bpe_model.h"
#include "runtime/text/tokenizer/bpe_tokenizer.h"
#include "runtime/text/tokenizer/byte_alphabet.h"
#include "runtime/text/tokenizer/normalizer.h"
#include "runtime/text/tokenizer/pre_tokenizer.h"
#include "runtime/text/tokenizer/regex.h"
#include "runtime/text/tokenizer/unicode.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

using Ids = std::vector<int32_t>;

std::string matches(std::string_view pattern, std::string_view text) {
  std::string out;
  for (const Regex::Match& match : Regex(pattern).find_all(text)) {
    out += "[" + std::string(text.substr(match.begin, match.end - match.begin)) + "]";
  }
  return out;
}

TEST(Utf8, CharactersAndReplacement) {
  for (const char32_t c : {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_TRUE(is_utf8(text));
    EXPECT_EQ(decode_utf8(text), c);
  }
  EXPECT_EQ(make_utf8("a\xFF\xE2\x80z\xF0"), "a\uFFFD\uFFFDz\uFFFD");
}

TEST(Regex, Matches) {
  EXPECT_EQ(matches("a+", "baaca"), "[aa][a]");
  EXPECT_EQ(matches("x*", "axb"), "[][x][]");  // not empty directly after a match
  EXPECT_EQ(matches("é?", "éé"), "[é][é]");
  EXPECT_EQ(matches("^a$", "a\nb\na"), "[a][a]");  // lines
  EXPECT_EQ(matches("[^a]", "a\n"), "[\n]");
  EXPECT_EQ(matches(".", "\n"), "");
  EXPECT_EQ(matches("{a}|b{2}", "{a}bb"), "[{a}][bb]");
  EXPECT_EQ(matches(R"(a[[:digit:]\]])", "a1 a] a["), "[a1][a]]");
}

// What \s, \w and the classes mean, which differs between libraries.
TEST(Regex, UnicodeClasses) {
  EXPECT_EQ(matches(R"(\s)", "\u180E\u0085\u00A0\u3000"), "[\u0085][\u00A0][\u3000]");
  EXPECT_EQ(matches(R"([\S])", "\u180E\u0085"), "[\u180E]");
  EXPECT_EQ(matches(R"(\w+)", "e\u0301\u203F²٣-½"), "[e\u0301\u203F²٣][½]");
  EXPECT_EQ(matches(R"(\b\w)", "ab cd"), "[a][c]");
  // Letters of Unicode 15 and 16.
  EXPECT_EQ(matches(R"(\p{L}+)", "\U00011F04\U000105C0"), "[\U00011F04\U000105C0]");
  EXPECT_EQ(matches(R"([^\p{L}]+|\pN)", "\U00011F04\U00011F50"), "[\U00011F50]");
  EXPECT_EQ(matches(R"(\P{L}|\p{^L})", "aé1"), "[1]");
}

TEST(Regex, RefusesWhatWouldMeanSomethingElse) {
  const auto error = [](std::string_view pattern) { return error_of([&] { Regex{pattern}; }); };
  EXPECT_CONTAINS(error("[a-z&&b]"), "pattern '[a-z&&b]': an intersection of classes at byte 4 is not supported");
  for (const char* pattern : {"[a[b]]", "[]a]", R"(\h)", R"(a{2}+)", "a{2}?", "a{,2}", "(?m:a)", "a(?i)b|c", "(*FAIL)",
                              "(?R)", R"([\W])", R"(\)", R"(\p{L)"}) {
    EXPECT_CONTAINS(error(pattern), "is not supported") << pattern;
  }
  EXPECT_CONTAINS(error("(a"), "pattern '(a': missing closing parenthesis");
  EXPECT_CONTAINS(error("\xFF"), "is not UTF-8");
  EXPECT_CONTAINS(error(std::string(70000, 'a')), "too long");
}

TEST(Regex, BacktrackingHasALimit) {
  const Regex pattern("(a|aa)+$");
  EXPECT_CONTAINS(error_of([&] { pattern.find_all(std::string(100, 'a') + "b"); }), "match limit exceeded");
  // Nor do many matches add up, each of which takes less than that.
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += std::string(24, 'a') + "b";
  EXPECT_CONTAINS(error_of([&] { Regex("(a|aa)+c|b").find_all(lines); }), "match limit exceeded");
  // A run that is backtracked over is not such a case.
  const std::string spaces(1 << 20, ' ');
  EXPECT_EQ(Regex(kLlama3Pattern).find_all(spaces).size(), 1u);
  EXPECT_EQ(Regex(kLlama3Pattern).find_all(spaces + "a").size(), 2u);
}

TEST(Unicode, Normalization) {
  EXPECT_EQ(normalize("e\u0301\u0316 \u00e9", NormalForm::nfc), "\u00e9\u0316 \u00e9");
  EXPECT_EQ(normalize("\u00e9", NormalForm::nfd), "e\u0301");
  EXPECT_EQ(normalize("e\u0301\u0316", NormalForm::nfd), "e\u0316\u0301");  // in the order of classes
  EXPECT_EQ(normalize("\ufb01\u00b2", NormalForm::nfkc), "fi2");
  EXPECT_EQ(normalize("\uac01", NormalForm::nfkd), "\u1100\u1161\u11a8");
  EXPECT_EQ(normalize("\u1100\u1161\u11a8", NormalForm::nfc), "\uac01");
  EXPECT_EQ(normalize("\u0c3c\u0951", NormalForm::nfc), "\u0c3c\u0951");
  // A mark that the models' normalizers do not know stays where it is.
  EXPECT_EQ(normalize("a\u0301\u0c3c", NormalForm::nfd), "a\u0301\u0c3c");
  EXPECT_EQ(lowercase("\u00c9\u0130\u03a3A1"), "\u00e9i\u0307\u03c3a1");
}

// Half a million marks in the wrong order, all of one character: quadratic sorting would take minutes.
TEST(Unicode, ManyMarksAreSortedOnce) {
  constexpr size_t kMarks = 1 << 18;
  std::string text = "e", wanted = "e";
  for (size_t i = 0; i < kMarks; ++i) text += "\u0301\u0316";
  for (size_t i = 0; i < kMarks; ++i) wanted += "\u0316";
  for (size_t i = 0; i < kMarks; ++i) wanted += "\u0301";
  EXPECT_EQ(normalize(text, NormalForm::nfd), wanted);
}

TEST(ByteAlphabet, ThereAndBack) {
  std::string all;
  for (int b = 0; b < 256; ++b) all += static_cast<char>(b);
  EXPECT_EQ(from_byte_alphabet(to_byte_alphabet(all)), all);
  EXPECT_EQ(to_byte_alphabet(" a\n"), "\u0120a\u010A");
  EXPECT_EQ(from_byte_alphabet("日"), std::nullopt);
  EXPECT_EQ(from_byte_alphabet(" "), std::nullopt);
}

std::string words_of(const std::string& text, const std::vector<PreTokenizer>& steps) {
  Words words{text, {{0, text.size(), true}}};
  for (const PreTokenizer& step : steps) step(words);
  std::string out;
  for (const Words::Word& word : words.words) out += "[" + std::string(words.view(word)) + "]";
  return out;
}

TEST(PreTokenizer, Behaviors) {
  const auto cut = [](SplitBehavior behavior, bool invert = false) {
    return words_of("The-final--countdown", {split_at("-", behavior, invert)});
  };
  EXPECT_EQ(cut(SplitBehavior::removed), "[The][final][countdown]");
  EXPECT_EQ(cut(SplitBehavior::isolated), "[The][-][final][-][-][countdown]");
  EXPECT_EQ(cut(SplitBehavior::merged_with_previous), "[The-][final-][-][countdown]");
  EXPECT_EQ(cut(SplitBehavior::merged_with_next), "[The][-final][-][-countdown]");
  EXPECT_EQ(cut(SplitBehavior::contiguous), "[The][-][final][--][countdown]");
  EXPECT_EQ(cut(SplitBehavior::removed, true), "[-][-][-]");
  EXPECT_EQ(words_of("a12b", {split_digits(true)}), "[a][1][2][b]");
  EXPECT_EQ(words_of("a12b", {split_digits(false)}), "[a][12][b]");
}

TEST(PreTokenizer, Metaspace) {
  const auto cut = [](const std::string& text, PrependScheme scheme, bool split = true) {
    return words_of(text, {split_at("|", SplitBehavior::removed, false), metaspace("▁", scheme, split)});
  };
  EXPECT_EQ(cut("a b|c", PrependScheme::always), "[▁a][▁b][▁c]");
  EXPECT_EQ(cut("a b|c", PrependScheme::first), "[▁a][▁b][c]");
  EXPECT_EQ(cut("a b|c", PrependScheme::never), "[a][▁b][c]");
  EXPECT_EQ(cut(" a", PrependScheme::always, false), "[▁a]");
  EXPECT_EQ(cut("▁a", PrependScheme::first, false), "[▁a]");
  EXPECT_EQ(words_of("a", {prefix_space()}) + words_of(" a", {prefix_space()}), "[ a][ a]");
}

TEST(Normalizer, GrowthHasALimit) {
  const std::vector<Normalizer> steps(20, replace("a", "aa"));
  EXPECT_CONTAINS(error_of([&] { apply_all(steps, "aaaaaaaa"); }), "the tokenizer's normalizer makes");
  EXPECT_EQ(apply_all({replace(Regex(R"(\s+)"), "$1"), prepend("_")}, "a \n b"), "_a$1b");
}

std::string fragments_of(const AddedTokens& added, std::string_view text, bool special = true,
                         bool normalized = false) {
  std::string out;
  for (const TextFragment& f : added.split(text, normalized, special)) {
    out += "[" + std::string(f.text) + (f.id >= 0 ? "=" + std::to_string(f.id) : "") + "]";
  }
  return out;
}

TEST(AddedTokens, Options) {
  const AddedTokens added({{.text = "<s>", .id = 1, .special = true},
                           {.text = "<l>", .id = 2, .lstrip = true},
                           {.text = "<r>", .id = 3, .rstrip = true},
                           {.text = "cat", .id = 4, .single_word = true},
                           {.text = "cats", .id = 5},
                           {.text = "Dog", .id = 6, .normalized = true}},
                          {lowercase});
  EXPECT_EQ(fragments_of(added, "a<s>b"), "[a][<s>=1][b]");
  EXPECT_EQ(fragments_of(added, "a<s>b", false), "[a<s>b]");
  EXPECT_EQ(fragments_of(added, "a \u3000<l> <r> \n b"), "[a][ \u3000<l>=2][ ][<r> \n =3][b]");
  EXPECT_EQ(fragments_of(added, "cat, catx xcat cats"), "[cat=4][, catx xcat ][cats=5]");
  EXPECT_EQ(fragments_of(added, "e\u0301cat"), "[e\u0301cat]");  // a mark is of the word
  EXPECT_EQ(fragments_of(added, "Dog"), "[Dog]");
  EXPECT_EQ(fragments_of(added, "a dog", true, true), "[a ][dog=6]");
}

// What Hugging Face's library makes of white space that two tokens claim: each has it.
TEST(AddedTokens, WhiteSpaceThatIsAToken) {
  const AddedTokens added({{.text = "\n", .id = 1, .rstrip = true}, {.text = "x", .id = 2, .rstrip = true}}, {});
  EXPECT_EQ(fragments_of(added, "a\n \n\nb"), "[a][\n \n\n=1][\n\n=1][\n=1][b]");
  EXPECT_EQ(fragments_of(added, "ax\n xb"), "[a][x\n =2][\n =1][x=2][b]");
  // Walked over once, or this would take hours.
  EXPECT_EQ(added.split(std::string(1 << 20, '\n'), false, true).size(), size_t{1} << 20);
}

TextIndex index_of(const std::vector<std::string>& tokens) {
  TextIndex ids;
  for (size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i], static_cast<int32_t>(i));
  return ids;
}

BpeModel model(const std::vector<std::string>& tokens, const std::vector<std::string>& merges,
               BpeOptions options = {}) {
  const TextIndex ids = index_of(tokens);
  std::vector<BpeModel::Merge> rules;
  for (const std::string& merge : merges) add_merge(merge, ids, rules);
  return BpeModel(ids, rules, options);
}

Ids encode(const BpeModel& bpe, std::string_view word) {
  BpeModel::Work work;
  Ids ids;
  bpe.encode(word, work, ids);
  return ids;
}

TEST(BpeModel, MergesByRankThenLeftmost) {
  const BpeModel bpe = model({"a", "b", "c", "ab", "bc", "abc", "aa"}, {"b c", "a b", "ab c", "a bc", "a a"});
  EXPECT_EQ(encode(bpe, "abc"), (Ids{5}));  // a bc
  EXPECT_EQ(encode(bpe, "abab"), (Ids{3, 3}));
  EXPECT_EQ(encode(bpe, "aaa"), (Ids{6, 0}));
  EXPECT_EQ(encode(bpe, "acz"), (Ids{0, 2}));  // z is not a token, and there is none for unknown characters
  EXPECT_EQ(encode(bpe, ""), Ids{});
}

TEST(BpeModel, UnknownCharactersAndBytes) {
  const std::vector<std::string> tokens = {"<unk>", "a", "<0xC3>", "<0xA9>", "bb"};
  BpeOptions options;
  options.unknown = 0;
  EXPECT_EQ(encode(model(tokens, {}, options), "azza"), (Ids{1, 0, 0, 1}));
  options.fuse_unknown = true;
  EXPECT_EQ(encode(model(tokens, {}, options), "zzaz"), (Ids{0, 1, 0}));
  EXPECT_EQ(encode(model(tokens, {}, options), "aé"), (Ids{1, 0}));
  options.byte_fallback = true;
  EXPECT_EQ(encode(model(tokens, {}, options), "aé"), (Ids{1, 2, 3}));
  EXPECT_EQ(encode(model(tokens, {}, options), "ézé"), (Ids{2, 3, 2, 3, 0}));  // a run waits after bytes
  options.ignore_merges = true;
  EXPECT_EQ(encode(model(tokens, {}, options), "bb"), (Ids{4}));
  EXPECT_EQ(encode(model(tokens, {}, options), "bbb"), (Ids{0}));
}

TEST(BpeModel, WorkIsProportionalToTheText) {
  std::vector<std::string> tokens = {"a", "b", "ab"}, merges = {"a b"};
  for (std::string run = "a"; run.size() <= 128; run += run) {
    merges.push_back(run + " " + run);
    tokens.push_back(run + run);
  }
  const BpeModel bpe = model(tokens, merges);
  for (const char* part : {"a", "ab", "aab", "ba"}) {
    std::string text;
    while (text.size() < 1 << 18) text += part;
    BpeModel::Work work;
    Ids ids;
    bpe.encode(text, work, ids);
    // A merge takes a symbol away and adds two candidates at most.
    EXPECT_LE(work.candidates, 3 * text.size()) << part;
    EXPECT_LT(ids.size(), text.size());
  }
}

TEST(BpeModel, MergesOfAbsentTokens) {
  const TextIndex ids = index_of({"a", "b"});
  std::vector<BpeModel::Merge> merges;
  EXPECT_EQ(error_of([&] { add_merge("a c", ids, merges); }), "there is no token 'c'");
  EXPECT_EQ(error_of([&] { add_merge("a b", ids, merges); }), "there is no token 'ab'");
  EXPECT_CONTAINS(error_of([&] { add_merge("a", ids, merges); }), "'a' is not two tokens");
  EXPECT_CONTAINS(error_of([&] { add_merge("a ", ids, merges); }), "not two tokens");
  EXPECT_CONTAINS(error_of([&] { add_merge("", ids, merges); }), "not two tokens");
}

}  // namespace
}  // namespace weft::test
