// Maps of names: which tensor of a recording a value is compared with.
#include "runtime/trace/trace_map.h"

#include <gtest/gtest.h>

#include "runtime/trace/trace.h"
#include "tests/errors.h"
#include "tests/test_data.h"

namespace weft {
namespace {

using Names = std::vector<std::string>;

TraceMap map_of(const std::string& values) { return TraceMap::parse(R"({"values": {)" + values + "}}", "map.json"); }

Names found(const TraceMap& map, std::string_view value) {
  const auto mapped = map.find(value);
  return mapped ? mapped->from : Names{"(nothing)"};
}

std::string error_in(const std::string& text) {
  return test::error_of([&] { TraceMap::parse(text, "map.json"); });
}

TEST(TraceMap, WildcardsStandForWhatTheyFound) {
  const TraceMap map = map_of(R"("blk.{}.q": "layers.{}.query", "*.in.{}": "{}_of_*", "x": ["a", "b"], "out": null)");
  EXPECT_EQ(found(map, "blk.12.q"), (Names{"layers.12.query"}));
  EXPECT_EQ(found(map, "blk.12.k"), (Names{"(nothing)"}));
  EXPECT_EQ(found(map, "blk..q"), (Names{"(nothing)"}));  // {} is a number
  EXPECT_EQ(found(map, "blk.1x.q"), (Names{"(nothing)"}));
  EXPECT_EQ(found(map, "blk.1.q2"), (Names{"(nothing)"}));
  EXPECT_EQ(found(map, "a.b.in.7"), (Names{"a.b_of_7"}));  // in the order in which they occur
  EXPECT_EQ(found(map, ".in.7"), (Names{"_of_7"}));        // * may be empty
  EXPECT_EQ(found(map, "x"), (Names{"a", "b"}));
  EXPECT_EQ(found(map, "out"), Names{});
  EXPECT_EQ(found(map, ""), (Names{"(nothing)"}));
  EXPECT_EQ(found(map_of(R"("a*b*c": "*|*")"), "a1b2bb3c"), (Names{"1|2bb3"}));
}

TEST(TraceMap, TheMostLiteralPatternHolds) {
  const TraceMap map = map_of(R"("*": "any", "blk.*": "block", "blk.{}.ffn_out": "layer", "blk.0.ffn_out": "first")");
  EXPECT_EQ(found(map, "blk.0.ffn_out"), Names{"first"});
  EXPECT_EQ(found(map, "blk.1.ffn_out"), Names{"layer"});
  EXPECT_EQ(found(map, "blk.1.q"), Names{"block"});
  EXPECT_EQ(found(map, "logits"), Names{"any"});
}

TEST(TraceMap, OrderAndPairs) {
  const auto mapped = map_of(R"("q": {"from": "query", "order": ["head", "pos"], "pairs": "interleaved"})").find("q");
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->from, Names{"query"});
  EXPECT_EQ(mapped->order, (Names{"head", "pos"}));
  EXPECT_EQ(mapped->pairs, RopePairs::interleaved);
  const auto plain = map_of(R"("q": {"from": ["query"]})").find("q");
  EXPECT_TRUE(plain->order.empty());
  EXPECT_FALSE(plain->pairs);
}

TEST(TraceMap, ErrorsNameTheKey) {
  for (const auto& [values, part] : std::vector<std::pair<std::string, std::string>>{
           {R"("q": 7)", "key 'q': \"from\" is not a list of names"},
           {R"("q": [])", "key 'q': \"from\" is not a list of names"},
           {R"("q": ["a", 1])", "key 'q': \"from\" is not a list of names"},
           {R"("q": "")", "key 'q': names a tensor without a name"},
           {R"("q": {})", "key 'q': does not say \"from\" where"},
           {R"("q": {"from": "a", "axes": ["x"]})", "key 'q': has an unknown member 'axes'"},
           {R"("q": {"from": "a", "order": "x"})", "key 'q': \"order\" is not a list of names"},
           {R"("q": {"from": "a", "pairs": "twisted"})", "key 'q': \"pairs\" is neither"},
           {R"("blk.{}.q": "a.{}.{}")", "key 'blk.{}.q': 'a.{}.{}' has more wildcards than"},
           {R"("*a*b*c*d*": "x")", "has more than 4 wildcards"},
           {R"("q": "a", "q": "b")", "'q' appears twice"}}) {
    const std::string error = error_in(R"({"values": {)" + values + "}}");
    EXPECT_EQ(error.rfind("map.json: ", 0), 0u) << error;
    EXPECT_CONTAINS(error, part);
  }
}

TEST(TraceMap, FilesThatAreNoMaps) {
  EXPECT_CONTAINS(error_in(""), "map.json: ");
  EXPECT_CONTAINS(error_in("[]"), "map.json: is not an object");
  EXPECT_CONTAINS(error_in("{}"), "key 'values': is missing or not an object");
  EXPECT_CONTAINS(error_in(R"({"values": []})"), "key 'values': is missing or not an object");
  EXPECT_CONTAINS(error_in(R"({"values": {}, "names": {}})"), "key 'names': is not known");
  EXPECT_CONTAINS(error_in(std::string(100000, '[')), "nested deeper");
  EXPECT_CONTAINS(error_in(std::string((1 << 20) + 1, ' ')), "has more than 1048576 bytes");
  EXPECT_CONTAINS(test::error_of([] { TraceMap::open("/nonexistent/map.json"); }),
                  "/nonexistent/map.json: cannot open");
}

// As many wildcards as a pattern may have: every division of the name is tried.
TEST(TraceMap, LongNamesTakeLittleTime) {
  const TraceMap map = map_of(R"("*a*a*a*b": "x")");
  EXPECT_EQ(found(map, std::string(100, 'a')), Names{"(nothing)"});
}

TEST(TraceMap, TheOneOfHuggingFaceServes) {
  const TraceMap map = TraceMap::open(test::source_dir() / "tools/trace/hugging_face.json");
  EXPECT_EQ(found(map, "blk.3.attn_out"), Names{"model.layers.3.post_attention_layernorm.input"});
  EXPECT_EQ(map.find("blk.3.q")->pairs, RopePairs::half_split);
  EXPECT_EQ(found(map, "logits"), Names{"lm_head"});
}

TEST(TraceMap, TheOneOfTheGuideToo) {
  const std::string guide = test::read_file(test::source_dir() / "docs/trace.md"), fence = "```json\n";
  const size_t begin = guide.find(fence + "{\"values\"");
  ASSERT_NE(begin, guide.npos);
  const TraceMap map = TraceMap::parse(
      guide.substr(begin + fence.size(), guide.find("```", begin + 3) - begin - fence.size()), "trace.md");
  EXPECT_EQ(found(map, "blk.0.q"), Names{"model.layers.0.self_attn.query"});
}

TEST(Glob, StarsStandForAnyText) {
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("blk.*.q", "blk.1.q"));
  EXPECT_TRUE(matches_glob("blk.*q", "blk.qaq"));
  EXPECT_TRUE(matches_glob("**", "x"));
  EXPECT_TRUE(matches_glob("", ""));
  EXPECT_FALSE(matches_glob("", "x"));
  EXPECT_FALSE(matches_glob("blk.1", "blk.12"));
  EXPECT_FALSE(matches_glob("blk.*.q", "blk.1.k"));
}

}  // namespace
}  // namespace weft
