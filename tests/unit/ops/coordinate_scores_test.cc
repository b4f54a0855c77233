// Attention whose score is made of coordinates alone, without a query: uniform over what a mask shows, or weighted by
// distance. On both devices, over a cache, against sums in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/generate/engine.h"
#include "runtime/plan/eval.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hand_model.h"

namespace weft {
namespace {

constexpr int64_t kVocab = 16, kHeads = 2, kDim = 8;
constexpr double kNever = -std::numeric_limits<double>::infinity();

using F = Field<Key, KvHead, HeadDim>;

Tensor<f32, Vocab, KvHead, HeadDim> rows_of_tokens() {
  Tensor<f32, Vocab, KvHead, HeadDim> tensor({kVocab, kHeads, kDim});
  std::mt19937 random(3);
  for (float& x : tensor.values()) x = std::uniform_real_distribution<float>(-1, 1)(random);
  return tensor;
}

std::vector<int32_t> some_tokens(int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % kVocab);
  return tokens;
}

// The score of a query at position t with the key at j, for a head and a query head of its group.
using Score = std::function<double(int64_t t, int64_t j, int64_t head, int64_t group)>;

// Rows of KvHead x Group x HeadDim, one per token.
std::vector<double> expected(const std::vector<int32_t>& tokens, int64_t groups, const Score& score) {
  const auto table = rows_of_tokens();
  std::vector<double> want;
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (int64_t head = 0; head < kHeads; ++head) {
      for (int64_t group = 0; group < groups; ++group) {
        std::vector<double> sums(kDim);
        double total = 0;
        for (size_t j = 0; j < tokens.size(); ++j) {
          const double weight = std::exp(score(static_cast<int64_t>(t), static_cast<int64_t>(j), head, group));
          total += weight;
          for (size_t d = 0; d < kDim; ++d) {
            sums[d] +=
                weight *
                static_cast<double>(
                    table.values()[static_cast<size_t>((tokens[j] * kHeads + head) * kDim + static_cast<int64_t>(d))]);
          }
        }
        for (const double sum : sums) want.push_back(total == 0 ? 0 : sum / total);
      }
    }
  }
  return want;
}

// The rows of two sequences that run in the same steps, `chunk` tokens of each at a time.
std::vector<std::vector<float>> run(const LanguageModel& model, const Device& device, Precision precision,
                                    const std::vector<std::vector<int32_t>>& texts, size_t chunk) {
  Engine engine(
      model, device,
      {.precision = precision, .context = 96, .sequences = 2, .batch = 160, .logit_rows = 160, .page_size = 4});
  std::vector<std::vector<float>> rows(texts.size());
  std::vector<int32_t> sequences;
  for (size_t s = 0; s < texts.size(); ++s) sequences.push_back(engine.cache().open());
  for (size_t begin = 0; begin < texts[0].size(); begin += chunk) {
    std::vector<size_t> of_row;
    for (size_t s = 0; s < texts.size(); ++s) {
      if (begin >= texts[s].size()) continue;
      const auto part = std::span(texts[s]).subspan(begin, std::min(chunk, texts[s].size() - begin));
      engine.add(sequences[s], part, WantLogits::all);
      of_row.insert(of_row.end(), part.size(), s);
    }
    engine.run();
    for (int32_t row = 0; row < engine.rows(); ++row) {
      std::vector<float>& to = rows[of_row[static_cast<size_t>(row)]];
      to.insert(to.end(), engine.logits(row).begin(), engine.logits(row).end());
    }
  }
  return rows;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6) << what << ", element " << i;
}

// `make(graph, batch, K)` gives the score; its result has `groups` rows per head.
template <class MakeScore>
void check(const char* what, int64_t groups, const MakeScore& make, const Score& score) {
  SCOPED_TRACE(what);
  const auto table = rows_of_tokens();
  Graph graph;
  const Batch batch(graph);
  const Cache<F> cache(graph, batch, "kv");
  auto [V] = materialize(append(cache, at<Vocab>(table, batch.tokens)));
  const size_t before = graph.record()->steps.size();
  const auto a = materialize(contract<Key>(softmax<Key>(make(batch, V)), V));
  ASSERT_EQ(graph.record()->steps.size(), before + 1);
  EXPECT_EQ(graph.record()->steps.back().kind, StepKind::attention);
  LanguageModel model;
  if constexpr (contains_axis<Group, typename decltype(a)::axes>) {
    const auto rows = materialize<Seq, KvHead, Group, HeadDim>(at<Pos>(a, batch.last));
    model = test::hand_model(graph, batch, rows, kHeads * groups * kDim, 96);
  } else {
    const auto rows = materialize<Seq, KvHead, HeadDim>(at<Pos>(a, batch.last));
    model = test::hand_model(graph, batch, rows, kHeads * kDim, 96);
  }
  const std::vector<std::vector<int32_t>> texts = {some_tokens(75, 1), some_tokens(19, 2)}, one = {some_tokens(1, 3)};
  std::vector<Device> devices = {Device::cpu(1), Device::cpu(2)};
  if (test::opencl_device()) devices.push_back(*test::opencl_device());
  for (const Device& device : devices) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      for (const size_t chunk : {size_t{80}, size_t{7}, size_t{1}}) {
        if (chunk == 1 && precision == Precision::fast) continue;
        const std::string where = device.name() + ", chunks of " + std::to_string(chunk);
        const auto got = run(model, device, precision, texts, chunk);
        for (size_t s = 0; s < texts.size(); ++s) expect_near(got[s], expected(texts[s], groups, score), where);
      }
    }
    expect_near(run(model, device, Precision::exact, one, 1)[0], expected(one[0], groups, score), device.name());
  }
}

double causal(int64_t t, int64_t j) { return j <= t ? 0 : kNever; }

TEST(CoordinateScores, UniformOverWhatAMaskShows) {
  check(
      "causal", 1, [](const auto& batch, const auto& V) { return where(V.pos() <= batch.pos, 0.0f, -inf); },
      [](int64_t t, int64_t j, int64_t, int64_t) { return causal(t, j); });
  check(
      "a window", 1,
      [](const auto& batch, const auto& V) {
        return where(V.pos() <= batch.pos && batch.pos - V.pos() < 5, 1.5f, -inf);
      },
      [](int64_t t, int64_t j, int64_t, int64_t) { return t - j < 5 ? causal(t, j) : kNever; });
  check(
      "the first rows see nothing", 1,
      [](const auto& batch, const auto& V) { return where(V.pos() <= batch.pos - 6, 0.0f, -inf); },
      [](int64_t t, int64_t j, int64_t, int64_t) { return causal(t - 6, j); });
  check(
      "one key", 1, [](const auto& batch, const auto& V) { return where(V.pos() == 0 && batch.pos >= 0, 0.0f, -inf); },
      [](int64_t, int64_t j, int64_t, int64_t) { return j == 0 ? 0 : kNever; });
  check(
      "nothing", 1, [](const auto& batch, const auto& V) { return where(V.pos() > batch.pos + 1000, 0.0f, -inf); },
      [](int64_t, int64_t, int64_t, int64_t) { return kNever; });
}

// The coordinate of the key axis reads no cache; the values do.
TEST(CoordinateScores, OfTheKeyAxisItself) {
  check(
      "index<Key>()", 1, [](const auto& batch, const auto&) { return where(index<Key>() <= batch.pos, 0.0f, -inf); },
      [](int64_t t, int64_t j, int64_t, int64_t) { return causal(t, j); });
}

TEST(CoordinateScores, ByDistance) {
  check(
      "one slope", 1,
      [](const auto& batch, const auto& V) {
        return where(V.pos() <= batch.pos, cast<f32>(V.pos() - batch.pos) * 0.3f, -inf);
      },
      [](int64_t t, int64_t j, int64_t, int64_t) { return causal(t, j) - 0.3f * static_cast<double>(t - j); });
  for (const int64_t groups : {1, 7, 8}) {
    const auto slope = [groups](int64_t head, int64_t group) {
      return std::exp(-0.25 * static_cast<double>(head * groups + group + 1));
    };
    Tensor<f32, KvHead, Group> slopes({kHeads, groups});
    for (int64_t i = 0; i < kHeads * groups; ++i)
      slopes.values()[static_cast<size_t>(i)] = static_cast<float>(slope(0, i));
    const Score want = [slope](int64_t t, int64_t j, int64_t head, int64_t group) {
      return causal(t, j) - slope(head, group) * static_cast<double>(t - j);
    };
    check(
        "slopes that are stored", groups,
        [&slopes](const auto& batch, const auto& V) {
          return where(V.pos() <= batch.pos, cast<f32>(V.pos() - batch.pos) * slopes, -inf);
        },
        want);
  }
}

// A table of fewer distances than there are; those beyond read as 0. With a contraction and without, per head.
TEST(CoordinateScores, ByTableOfDistances) {
  struct Bucket : axis<"bucket"> {};
  constexpr int64_t kBuckets = 12;
  Tensor<f32, Bucket, KvHead> table({kBuckets, kHeads});
  for (int64_t i = 0; i < kBuckets * kHeads; ++i) {
    table.values()[static_cast<size_t>(i)] = static_cast<float>(std::sin(1.7 * static_cast<double>(i)));
  }
  const auto bias = [&table](int64_t distance, int64_t head) {
    if (distance < 0) return 0.0;
    const int64_t bucket = distance < 8 ? distance : 8 + distance / 8;
    return bucket < kBuckets ? static_cast<double>(table.values()[static_cast<size_t>(bucket * kHeads + head)]) : 0.0;
  };
  const auto bucket_of = [](const auto& distance) { return where(distance < 8, distance, distance / 8 + 8); };
  check(
      "distances in a table", 1,
      [&](const auto& batch, const auto& V) {
        const auto distance = batch.pos - V.pos();
        return where(distance >= 0, at<Bucket>(table, bucket_of(distance)) * 2.0f, -inf);
      },
      [&](int64_t t, int64_t j, int64_t head, int64_t) { return causal(t, j) + 2 * bias(t - j, head); });
}

// The axis KvHead comes from a coordinate alone.
TEST(CoordinateScores, OfHeads) {
  check(
      "a slope by head", 1,
      [](const auto& batch, const auto& V) {
        const auto slope = exp(cast<f32>(index<KvHead>() + 1) * -0.7f);
        return where(V.pos() <= batch.pos, cast<f32>(V.pos() - batch.pos) * slope, -inf);
      },
      [](int64_t t, int64_t j, int64_t head, int64_t) {
        return causal(t, j) - std::exp(-0.7 * static_cast<double>(head + 1)) * static_cast<double>(t - j);
      });
}

// Without a cache the same expression is a contraction with a norm before it.
TEST(CoordinateScores, WithoutACache) {
  std::vector<Device> devices = {Device::cpu(1)};
  if (test::opencl_device()) devices.push_back(*test::opencl_device());
  constexpr int64_t kRows = 9;
  const Tensor<f32, Pos> zero({kRows});
  const auto table = rows_of_tokens();
  for (const Device& device : devices) {
    const auto score = where(index<Vocab>() <= index<Pos>(), zero, -inf);
    const auto got = eval(device, contract<Vocab>(softmax<Vocab>(score), table));
    for (int64_t t = 0; t < kRows; ++t) {
      for (int64_t i = 0; i < kHeads * kDim; ++i) {
        double sum = 0;
        for (int64_t j = 0; j <= t; ++j)
          sum += static_cast<double>(table.values()[static_cast<size_t>(j * kHeads * kDim + i)]);
        EXPECT_NEAR(got.values()[static_cast<size_t>(t * kHeads * kDim + i)], sum / static_cast<double>(t + 1), 1e-6);
      }
    }
  }
}

// A cache is addressed by position: a score without positions is an error that says so.
TEST(CoordinateScores, NeedPositions) {
  Graph graph;
  const Batch batch(graph);
  const Cache<F> cache(graph, batch, "kv");
  auto [V] = materialize(append(cache, at<Vocab>(rows_of_tokens(), batch.tokens)));
  graph.result(materialize(contract<Key>(softmax<Key>(where(V.pos() == 0, 0.0f, -inf)), V)));
  const Limits limits = Limits().set(graph.axis<Pos>(), 4).set(graph.axis<Key>(), 4).set(graph.axis<Seq>(), 1);
  EXPECT_CONTAINS(test::error_of([&] { compile(Device::cpu(1), graph.record(), limits); }),
                  "the score lacks axis 'pos'");
}

}  // namespace
}  // namespace weft
