// What compile makes of a graph: each pass prints itself on stderr. docs/plan.md goes through what they say.
#include <cstdio>
#include <string>
#include <vector>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/generate/kv_cache.h"
#include "runtime/plan/plan.h"

using namespace weft;

// A weight as a file might have it. It is zero: no pass looks at elements.
template <class... A>
Weight<A...> weight(const std::string& name, Format format, const std::vector<int64_t>& extents) {
  return Weight<A...>(allocate_storage(name, format, axis_list<Axes<A...>>::get(), extents));
}

int main() {
  const auto norm = weight<Embed>("norm", Format::f32, {64});
  const auto wq = weight<KvHead, Group, HeadDim, Embed>("wq", Format::q8_0, {2, 2, 32, 64});
  const auto wk = weight<KvHead, HeadDim, Embed>("wk", Format::q8_0, {2, 32, 64});
  const auto wv = weight<KvHead, HeadDim, Embed>("wv", Format::q8_0, {2, 32, 64});
  const auto wo = weight<Embed, KvHead, Group, HeadDim>("wo", Format::q8_0, {64, 2, 2, 32});

  Graph graph;
  const Batch batch(graph);
  Cache<ScoreField<Key, KvHead, HeadDim>, ValueField<Key, KvHead, HeadDim>> cache(graph, batch, "kv");
  const auto x = graph.input<f32, Pos, Embed>("x");
  const auto h = materialize(rms_norm<Embed>(x, norm, 1e-5f), "h");
  const auto q = materialize(rope<HeadDim>(contract<Embed>(h, wq), batch.pos), "q");
  const auto [K, V] =
      materialize(append(cache, rope<HeadDim>(contract<Embed>(h, wk), batch.pos), contract<Embed>(h, wv)), "kv");
  const auto score = where(K.pos() <= batch.pos, contract<HeadDim>(q, K) * 0.125f, -inf);
  const auto a = materialize(contract<Key>(softmax<Key>(score), V), "a");
  const auto y = materialize(x + contract<KvHead, Group, HeadDim>(a, wo), "y");
  graph.result(y);

  const PlanOptions options{.cache_k = Format::q8_0, .cache_v = Format::f16, .print_passes = true};
  const Limits limits = Limits().set(graph.axis<Pos>(), 8).set(graph.axis<Key>(), 128).set(graph.axis<Seq>(), 1);
  Plan plan = compile(Device::cpu(1), graph.record(), limits, options);

  // A prompt of five tokens, then one token.
  PagedKvCache kv(plan, {.max_length = 128});
  const int32_t sequence = kv.open();
  Bindings bindings = plan.bindings();
  const std::vector<float> rows(8 * 64, 1.0f);
  const int32_t zeros[8] = {};
  int32_t pos[8], slots[8];
  for (const int32_t count : {5, 1}) {
    for (int32_t i = 0; i < count; ++i) pos[i] = kv.length(sequence) + i;
    int32_t* const slots_of_group[] = {slots};
    kv.append(sequence, count, slots_of_group);
    kv.bind(bindings);
    bindings.input(x.id(), rows.data(), {count, 64});
    bindings.input(batch.pos.id(), pos, {count});
    bindings.input(batch.slots.id(), slots, {count});
    for (const ValueId id : {batch.tokens.id(), batch.seq.id()}) bindings.input(id, zeros, {count});
    bindings.input(batch.last.id(), zeros, {1});
    plan.run(bindings);
    std::printf("%lld rows\n", static_cast<long long>(plan.output(y.id()).extents[0]));
  }
  return plan.steps().size() == 5 ? 0 : 1;
}
