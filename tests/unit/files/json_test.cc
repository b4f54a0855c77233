#include "runtime/files/json.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/utf8.h"
#include "tests/errors.h"
#include "tests/test_data.h"

namespace weft {
namespace {

TEST(Json, ReadsValues) {
  const Json json = parse_json(R"({"a": [1, 2.5, null, true], "b": {"a": "x"}, "c": null})", "f");
  EXPECT_EQ(json["a"][1], 2.5);
  ASSERT_NE(find(json, "b"), nullptr);
  EXPECT_EQ(find(json, "c"), nullptr);
  EXPECT_EQ(find(json, "d"), nullptr);
  EXPECT_EQ(find(json["a"], "d"), nullptr);
}

TEST(Json, RefusesWhatIsNoneAndSaysWhere) {
  for (const char* bad : {"", "{", "[1,", "{\"a\":1}x", "\"\xff\"", "nul", "nul\xc3\xa9", "[1e]", "{'a':1}"}) {
    const std::string message = test::error_of([&] { parse_json(bad, "file.json"); });
    EXPECT_CONTAINS(message, "file.json: byte ");
    EXPECT_TRUE(is_utf8(message)) << message;
  }
}

TEST(Json, RefusesDuplicateKeysInOneObject) {
  EXPECT_NO_THROW(parse_json(R"({"a": {"a": 1}, "b": {"a": 1}})", "f"));
  EXPECT_CONTAINS(test::error_of([&] { parse_json(R"({"b": {"a": 1, "c": {"a": 3}, "a": 2}})", "f"); }),
                  "'a' appears twice");
}

TEST(Json, RefusesDepthThatNobodyWrites) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth), "f"));
  EXPECT_CONTAINS(test::error_of([&] { parse_json(nested(kMaxJsonDepth + 1), "f"); }), "nested deeper");
  EXPECT_THROW(parse_json(std::string(1 << 20, '['), "f"), Error);
}

}  // namespace
}  // namespace weft
