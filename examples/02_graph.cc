// A graph is recorded once, compiled for limits, and run with any extents within them; a run allocates nothing.
#include <cstdio>
#include <vector>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/plan/plan.h"

using namespace weft;

int main() {
  const Tensor<f32, Hidden, Embed> up({3, 2}, {1, 2, 3, 4, 5, 6});
  const Tensor<f32, Embed, Hidden> down({2, 3}, {1, 0, 1, 0, 1, 0});

  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const auto h = materialize(silu(contract<Embed>(x, Weight(up))), "hidden");  // one step: contraction and map
  const auto y = materialize(x + contract<Hidden>(h, Weight(down)), "y");      // another
  graph.result(y);

  Plan plan = compile(Device::cpu(), graph.record(), Limits().set(graph.axis<Pos>(), 8));
  Bindings bindings = plan.bindings();
  const std::vector<float> rows = {1, 2, 3, 4};
  for (const int64_t count : {1, 2}) {  // run-time lengths never rebuild a plan
    bindings.input(x.id(), rows.data(), {count, 2});
    plan.run(bindings);
    for (const float value : plan.output(y.id()).floats()) std::printf("%.3f ", static_cast<double>(value));
    std::printf("\n");
  }
  std::printf("%s", plan.explain().c_str());
  return plan.steps().size() == 2 ? 0 : 1;
}
