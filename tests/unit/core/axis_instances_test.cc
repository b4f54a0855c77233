// Layers of different widths in one graph: one axis type, several instances.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/plan/plan.h"
#include "tests/errors.h"

namespace weft {
namespace {

using test::error_of;

template <Axis... A>
Tensor<f32, A...> counted(const std::array<int64_t, sizeof...(A)>& extents, float step) {
  Tensor<f32, A...> tensor(extents);
  float next = -0.5f;
  for (float& x : tensor.values()) {
    x = next;
    next += step;
    if (next > 0.5f) next -= 1.0f;
  }
  return tensor;
}

std::vector<double> feed_forward(const std::vector<double>& x, const Tensor<f32, Hidden, Embed>& up,
                                 const Tensor<f32, Embed, Hidden>& down) {
  const auto hidden = static_cast<size_t>(up.extent<Hidden>()), embed = x.size();
  std::vector<double> h(hidden), y = x;
  for (size_t i = 0; i < hidden; ++i) {
    for (size_t j = 0; j < embed; ++j) h[i] += static_cast<double>(up.values()[i * embed + j]) * x[j];
    h[i] = std::max(h[i], 0.0);
  }
  for (size_t j = 0; j < embed; ++j) {
    for (size_t i = 0; i < hidden; ++i) y[j] += static_cast<double>(down.values()[j * hidden + i]) * h[i];
  }
  return y;
}

TEST(AxisInstances, LayersOfDifferentWidths) {
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  auto h = x;
  std::vector<Tensor<f32, Hidden, Embed>> ups;
  std::vector<Tensor<f32, Embed, Hidden>> downs;
  for (const int64_t width : {7, 33, 7, 16}) {
    ups.push_back(counted<Hidden, Embed>({width, 5}, 0.13f));
    downs.push_back(counted<Embed, Hidden>({5, width}, 0.29f));
    const auto sum = contract<Embed>(h, ups.back());
    const auto wide = materialize(where(sum > 0.0f, sum, 0.0f));
    h = materialize(h + contract<Hidden>(wide, downs.back()));
  }
  graph.result(h);
  const GraphRecord& record = *graph.record();
  const auto instances = std::count_if(record.axes.begin(), record.axes.end(),
                                       [](const AxisRecord& axis) { return axis.name.starts_with("hidden"); });
  EXPECT_EQ(instances, 3) << "one for each width";

  Plan plan = compile(Device::cpu(1), graph.record(), Limits().set(graph.axis<Pos>(), 4));
  Bindings bindings = plan.bindings();
  const std::vector<float> input = {0.1f, -0.2f, 0.3f, 0.4f, -0.5f};
  bindings.input(x.id(), input.data(), {1, 5});
  plan.run(bindings);
  std::vector<double> want(input.begin(), input.end());
  for (size_t i = 0; i < ups.size(); ++i) want = feed_forward(want, ups[i], downs[i]);
  const std::span<const float> got = plan.output(h.id()).floats();
  for (size_t j = 0; j < want.size(); ++j) EXPECT_NEAR(static_cast<double>(got[j]), want[j], 1e-5);
  EXPECT_NE(plan.explain().find("hidden#2"), std::string::npos);
}

TEST(AxisInstances, TwoInOneExpressionAreRefused) {
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const auto narrow = materialize(contract<Embed>(x, counted<Hidden, Embed>({4, 3}, 0.1f)), "narrow");
  const auto wide = materialize(contract<Embed>(x, counted<Hidden, Embed>({6, 3}, 0.1f)), "wide");
  EXPECT_EQ(error_of([&] { materialize(narrow + wide); }),
            "axis 'hidden' is 4 in value 'narrow' but 6 in value 'wide'");
  Storage named = *counted<Hidden>({6}, 0.1f).storage();
  named.name = "gain";
  const Weight<Hidden> gain(std::make_shared<const Storage>(named));
  EXPECT_EQ(error_of([&] { materialize(narrow * gain); }),
            "axis 'hidden' is 4 in value 'narrow' but 6 in weight 'gain'");
  materialize(wide * gain);
}

// Heads that differ by layer: caches and views follow.
TEST(AxisInstances, CachesAndViewsFollowTheirValues) {
  struct QueryDim : axis<"query_dim"> {};
  Graph graph;
  const Batch batch(graph);
  const auto x = graph.input<f32, Pos, Embed>("x");
  std::vector<Value<f32, Pos, KvHead, HeadDim>> results;
  for (const int64_t heads : {2, 3}) {
    const auto wk = counted<KvHead, HeadDim, Embed>({heads, 4, 5}, 0.17f);
    const auto wq = counted<QueryDim, Embed>({heads * 4, 5}, 0.23f);
    Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>> cache(graph, batch, "kv" + std::to_string(heads));
    const auto k = contract<Embed>(x, wk);
    auto [K, V] = materialize(append(cache, k, k));
    const auto q = split<QueryDim, KvHead, HeadDim>(materialize(contract<Embed>(x, wq)));
    results.push_back(materialize(contract<Key>(softmax<Key>(contract<HeadDim>(q, K)), V)));
    graph.result(results.back());
  }
  const GraphRecord& record = *graph.record();
  EXPECT_NE(record.values[record.caches[0].fields[0]].axes[1], record.values[record.caches[1].fields[0]].axes[1]);
  EXPECT_NE(record.values[results[0].id()].axes[1], record.values[results[1].id()].axes[1]);
  Limits limits;
  limits.set(graph.axis<Pos>(), 4).set(graph.axis<Seq>(), 1).set(graph.axis<Key>(), 8);
  const Plan plan = compile(Device::cpu(1), graph.record(), limits);
  const std::vector<int64_t> slots = {32};
  EXPECT_NE(plan.make_cache_pool(slots), nullptr);
}

}  // namespace
}  // namespace weft
