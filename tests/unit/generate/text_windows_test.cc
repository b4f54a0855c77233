#include "runtime/generate/text_windows.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::error_of;

std::vector<int32_t> some_tokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<int32_t>((i * i + 3) % 19);
  return tokens;
}

Engine engine_with(int32_t batch, int32_t logit_rows) {
  EngineOptions options;
  options.precision = Precision::exact;
  options.context = 10;
  options.batch = batch;
  options.logit_rows = logit_rows;
  return {test::small_model(), Device::cpu(1), options};
}

// Every engine gives, for each scored token, the logits after the tokens before it in its window.
TEST(TextWindows, LogitsAreThoseAfterTheTokensBefore) {
  constexpr size_t kWindow = 10;
  constexpr int32_t kBos = 18;
  const TextWindows windows(some_tokens(29), kBos, kWindow, "text");
  EXPECT_EQ(windows.count(), 2u);  // 9 tokens are left over
  EXPECT_EQ(windows.scored(), 8u);
  EXPECT_EQ(windows.token(0), kBos);
  EXPECT_EQ(windows.token(10), kBos);
  EXPECT_EQ(windows.token(11), some_tokens(29)[11]);

  std::array<Engine, 2> engines = {engine_with(3, 2), engine_with(10, 10)};
  Engine alone = engine_with(10, 1);
  std::vector<size_t> positions;
  for (size_t w = 0; w < windows.count(); ++w) {
    windows.evaluate(w, engines, [&](size_t position, std::span<const std::span<const float>> logits) {
      positions.push_back(position);
      ASSERT_EQ(logits.size(), 2u);
      std::vector<int32_t> before;
      for (size_t i = w * kWindow; i < position; ++i) before.push_back(windows.token(i));
      const int32_t sequence = alone.cache().open();
      const std::span<const float> want = alone.prefill(sequence, before);
      for (const std::span<const float> got : logits) {
        ASSERT_EQ(got.size(), want.size());
        for (size_t v = 0; v < want.size(); ++v) EXPECT_NEAR(got[v], want[v], 1e-4) << position;
      }
      alone.cache().close(sequence);
    });
  }
  EXPECT_EQ(positions, (std::vector<size_t>{6, 7, 8, 9, 16, 17, 18, 19}));
}

TEST(TextWindows, WithoutBosTheTextIsAsItIs) {
  const TextWindows windows(some_tokens(8), {}, 4, "text");
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(windows.token(i), some_tokens(8)[i]);
}

TEST(TextWindows, WhatIsTooShortIsAnError) {
  EXPECT_EQ(error_of([] { TextWindows(some_tokens(5), {}, 6, "a.txt"); }),
            "a.txt has 5 tokens, fewer than one window of 6 (-c)");
  EXPECT_CONTAINS(error_of([] { TextWindows(some_tokens(5), {}, 3, "a.txt"); }), "fewer than 4 tokens");
}

}  // namespace
}  // namespace weft
