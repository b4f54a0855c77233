// Leaving out the steps that no wanted result needs.
#include "runtime/plan/needed_steps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/record/verify.h"
#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

ValueId value_of(const GraphRecord& graph, const std::string& name) {
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].name == name) return static_cast<ValueId>(i);
  }
  ADD_FAILURE() << name;
  return 0;
}

std::vector<std::string> names_of(const GraphRecord& graph) {
  std::vector<std::string> names;
  for (const Step& step : graph.steps) names.push_back(step.name);
  return names;
}

TEST(NeededSteps, KeepsWhatAResultDependsOn) {
  const LanguageModel model = test::small_model();
  const GraphRecord& graph = *model.graph;
  const auto with = [&](const std::vector<ValueId>& results) {
    const GraphRecord kept = with_results(graph, results);
    EXPECT_NO_THROW(verify(kept));
    EXPECT_EQ(kept.results, results);
    EXPECT_EQ(kept.values.size(), graph.values.size());
    return names_of(kept);
  };
  const std::vector<std::string> all = names_of(graph);
  EXPECT_EQ(with({model.logits}), all);
  // Not the second layer: its append is left out too.
  const auto first = all.begin(), second = std::find(first, all.end(), "blk.1.query");
  ASSERT_NE(second, all.end());
  EXPECT_EQ(with({value_of(graph, "blk.0.out")}), std::vector<std::string>(first, second));
  EXPECT_EQ(with({value_of(graph, "x")}), std::vector<std::string>{"x"});
  EXPECT_EQ(with({value_of(graph, "x"), value_of(graph, "blk.0.query")}),
            (std::vector<std::string>{"x", "blk.0.query"}));
  EXPECT_TRUE(with({model.tokens}).empty());  // an input is there without a step
  EXPECT_TRUE(with({}).empty());
}

TEST(NeededSteps, AnAttentionNeedsTheAppendsToItsCache) {
  const LanguageModel model = test::small_model();
  const std::vector<ValueId> results = {value_of(*model.graph, "blk.0.attention")};
  EXPECT_EQ(names_of(with_results(*model.graph, results)),
            (std::vector<std::string>{"x", "blk.0.query", "blk.0.append", "blk.0.attention"}));
}

TEST(NeededSteps, RefusesAValueThatNoStepWrites) {
  const LanguageModel model = test::small_model();
  const std::vector<ValueId> results = {static_cast<ValueId>(model.graph->values.size())};
  EXPECT_EQ(test::error_of([&] { with_results(*model.graph, results); }),
            "result #" + std::to_string(results[0]) + " is not a value of the graph");
}

}  // namespace
}  // namespace weft
