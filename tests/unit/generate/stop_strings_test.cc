#include "runtime/generate/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/errors.h"

namespace weft {
namespace {

using test::error_of;

// What is shown of `text`, given in pieces of these lengths, and after which piece a stop string was found (-1: none).
struct Shown {
  std::string text;
  int found_at = -1;
  std::string before_end;  // without what the end brought
};

Shown shown(const std::vector<std::string>& strings, const std::vector<std::string>& pieces) {
  StopStrings stop(strings);
  Shown result;
  for (size_t i = 0; i < pieces.size(); ++i) {
    result.text += stop.push(pieces[i]);
    if (stop.found() && result.found_at < 0) result.found_at = static_cast<int>(i);
  }
  result.before_end = result.text;
  result.text += stop.flush();
  return result;
}

TEST(StopStrings, WithoutAnyAllIsShownAtOnce) {
  const Shown result = shown({}, {"a", "bc", ""});
  EXPECT_EQ(result.before_end, "abc");
  EXPECT_EQ(result.text, "abc");
  EXPECT_TRUE(StopStrings().empty());
}

TEST(StopStrings, AcrossPieces) {
  const Shown result = shown({"END"}, {"a E", "N", "D", "b"});
  EXPECT_EQ(result.text, "a ");
  EXPECT_EQ(result.found_at, 2);
  EXPECT_EQ(shown({"END"}, {"ENDb"}).text, "");
  EXPECT_EQ(shown({"END"}, {"x", "yENDb"}).text, "xy");
}

TEST(StopStrings, WhatMayBeginOneIsHeldBackAndNoMore) {
  StopStrings stop({"aab"});
  EXPECT_EQ(stop.push("xa"), "x");
  EXPECT_EQ(stop.push("a"), "");
  EXPECT_EQ(stop.push("a"), "a");  // "aa" may still begin it
  EXPECT_EQ(stop.push("c"), "aac");
  EXPECT_EQ(stop.push("a"), "");
  EXPECT_EQ(stop.flush(), "a");
  EXPECT_FALSE(stop.found());
}

TEST(StopStrings, TheFirstPlaceCounts) {
  EXPECT_EQ(shown({"ab", "abc"}, {"xa", "bc"}).text, "x");    // one is the beginning of another
  EXPECT_EQ(shown({"abc", "ab"}, {"xab"}).found_at, 0);       // and need not be waited for
  EXPECT_EQ(shown({"bc", "abcd"}, {"xabc", "d"}).text, "x");  // one within another
  EXPECT_EQ(shown({"bc", "abcd"}, {"xabc", "e"}).text, "xa");
  EXPECT_EQ(shown({"bc", "abcd"}, {"xabc"}).text, "xa");  // the text ends before the longer one
  EXPECT_EQ(shown({"cd", "bc"}, {"abcd"}).text, "a");
}

TEST(StopStrings, CharactersStayWhole) {
  EXPECT_EQ(shown({"\u20AC"}, {"a\u20AD", "\u20AC"}).text, "a\u20AD");
  EXPECT_EQ(shown({"\u20AC!"}, {"a\u20AC", "?"}).text, "a\u20AC?");
}

TEST(StopStrings, BadOnesAreRefused) {
  EXPECT_CONTAINS(error_of([] { StopStrings({"a", ""}); }), "empty");
  EXPECT_CONTAINS(error_of([] { StopStrings({"a\xE2\x82"}); }), "'a\\xe2\\x82' is not UTF-8");
}

// However the text is cut, what is shown ends where the first stop string in it begins.
TEST(StopStrings, AsSearchingTheWholeTextSays) {
  std::mt19937 random(3);
  const auto word = [&](size_t most) {
    std::string text(1 + random() % most, 'a');
    for (char& c : text) c = static_cast<char>('a' + random() % 3);
    return text;
  };
  int found = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> strings, pieces;
    for (size_t i = 0; i < 1 + random() % 4; ++i) strings.push_back(word(6));
    std::string text;
    while (pieces.size() < 8) text += pieces.emplace_back(word(5));
    size_t cut = text.size();
    for (const std::string& string : strings) cut = std::min(cut, text.find(string));
    const Shown result = shown(strings, pieces);
    ASSERT_EQ(result.text, text.substr(0, cut)) << text;
    found += result.found_at >= 0;
  }
  EXPECT_GT(found, 5000);
  EXPECT_LT(found, 19900);
}

}  // namespace
}  // namespace weft
