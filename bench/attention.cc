// Attention over a paged cache: 8 KV heads of 128 with groups of 4, queries at the end of the keys.
#include <benchmark/benchmark.h>

#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/report.h"
#include "bench/run_plan.h"
#include "ops/ops.h"
#include "runtime/generate/kv_cache.h"
#include "runtime/plan/plan.h"

namespace weft::bench {
namespace {

constexpr int64_t kHeads = 8, kGroup = 4, kDim = 128;

struct KvHead : axis<"kv_head", kHeads> {};
struct Group : axis<"group", kGroup> {};
struct HeadDim : axis<"head_dim", kDim> {};

enum class Score {
  causal,
  alibi_capped,  // ALiBi and soft-cap
  odd,           // what no kernel foresees
};

// `rows` positions that end where `keys` do; the caches are kept as `format`.
void attention(benchmark::State& state, Score kind, Format format, int64_t rows, int64_t keys) {
  const auto threads = static_cast<int>(state.range(0));
  Graph graph;
  const Batch batch(graph);
  const auto q = graph.input<f32, Pos, KvHead, Group, HeadDim>("q");
  const auto k = graph.input<f32, Pos, KvHead, HeadDim>("k");
  const auto v = graph.input<f32, Pos, KvHead, HeadDim>("v");
  const Cache<ScoreField<Key, KvHead, HeadDim>, ValueField<Key, KvHead, HeadDim>> cache(graph, batch, "kv");
  cache.store_fields({format, format});
  const auto [K, V] = materialize(append(cache, k, v), "append");
  const auto visible = K.pos() <= batch.pos;
  const auto distance = cast<f32>(batch.pos - K.pos());
  const auto scaled = contract<HeadDim>(q, K) * 0.088f;
  Tensor<f32, KvHead, Group> slopes({kHeads, kGroup});
  for (size_t head = 0; head < slopes.size(); ++head) {
    slopes.values()[head] = std::exp2(-static_cast<float>(head + 1) / 4.0f);
  }
  if (kind == Score::causal) {
    graph.result(materialize(contract<Key>(softmax<Key>(where(visible, scaled, -inf)), V), "attention"));
  } else if (kind == Score::alibi_capped) {
    const auto score = where(visible, tanh(scaled * 0.02f) * 50.0f - slopes * distance, -inf);
    graph.result(materialize(contract<Key>(softmax<Key>(score), V), "attention"));
  } else {
    const auto far = slopes * sqrt(distance + 1.0f);
    const auto score = where(visible && batch.pos - K.pos() < 100000, scaled / (abs(scaled) * 0.1f + 1.0f) - far, -inf);
    graph.result(materialize(contract<Key>(softmax<Key>(score), V), "attention"));
  }
  const Limits limits = Limits().set(graph.axis<Pos>(), rows).set(graph.axis<Seq>(), 1).set(graph.axis<Key>(), keys);
  Plan plan = compile(Device::cpu(threads), graph.record(), limits);
  PagedKvCache pages(plan, {.sequences = 1, .max_length = static_cast<int32_t>(keys)});
  pages.touch();
  const int32_t sequence = pages.open();
  std::vector<int32_t> slots(static_cast<size_t>(keys));
  int32_t* const slots_at = slots.data();
  pages.append(sequence, static_cast<int32_t>(keys), {&slots_at, 1});

  Bindings bindings = plan.bindings();
  pages.bind(bindings);
  const std::vector<float> queries = noise(static_cast<size_t>(rows * kHeads * kGroup * kDim));
  std::vector<int32_t> positions(static_cast<size_t>(rows));
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(keys - rows));
  const std::vector<int32_t> sequences(static_cast<size_t>(rows), sequence);
  bindings.input(q.id(), queries.data(), {rows, kHeads, kGroup, kDim});
  bindings.input(k.id(), queries.data(), {rows, kHeads, kDim});
  bindings.input(v.id(), queries.data(), {rows, kHeads, kDim});
  bindings.input(batch.pos.id(), positions.data(), {rows});
  bindings.input(batch.tokens.id(), sequences.data(), {rows});
  bindings.input(batch.last.id(), sequences.data(), {1});
  bindings.input(batch.seq.id(), sequences.data(), {rows});
  bindings.input(batch.slots.id(), slots.data() + (keys - rows), {rows});
  const double seen = static_cast<double>(rows) * (static_cast<double>(keys) - static_cast<double>(rows - 1) / 2);
  const double flops = seen * kHeads * kGroup * kDim * 4;
  const double bytes = 2.0 * static_cast<double>(keys * kHeads) * static_cast<double>(row_bytes(format, kDim));
  run_plan(state, plan, bindings, flops, bytes, threads);
}

void add(const std::string& what, Format format, int64_t rows, int64_t keys) {
  const std::pair<const char*, Score> kinds[] = {
      {"causal", Score::causal}, {"alibi_capped", Score::alibi_capped}, {"odd", Score::odd}};
  for (const auto& [score, kind] : kinds) {
    const std::string title = "attention_" + what + "_" + std::to_string(rows) + "x" + std::to_string(keys) + "/" +
                              std::string(name(format)) + "/" + score;
    report(benchmark::RegisterBenchmark(title.c_str(),
                                        [=](benchmark::State& state) { attention(state, kind, format, rows, keys); }));
  }
}

const bool registered = [] {
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0}) {
    add("decode", format, 1, 4096);
    add("decode", format, 1, 16000);
  }
  for (const int64_t rows : {512, 2048, 16384}) add("prefill", Format::f16, rows, rows);
  return true;
}();

}  // namespace
}  // namespace weft::bench
