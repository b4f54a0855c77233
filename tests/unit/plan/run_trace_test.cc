// Traces of runs: what each thread did, and that runs are the same with one and without.
#include "runtime/plan/run_trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/generate/engine.h"
#include "tests/small_model.h"

namespace weft {
namespace {

std::vector<float> prefill(Engine& engine) {
  engine.cache().trim(0, 0);
  const std::span<const float> logits = engine.prefill(0, std::vector<int32_t>{1, 2, 3, 4, 5});
  return {logits.begin(), logits.end()};
}

TEST(RunTrace, ThreadsRunEveryStepOnceWithinTheRun) {
  for (const int threads : {1, 2, 3}) {
    Engine engine(test::small_model(), Device::cpu(threads), {.context = 16});
    engine.cache().open();
    const std::vector<float> untraced = prefill(engine);
    RunTrace trace(engine.plan());
    engine.plan().trace(&trace);
    EXPECT_EQ(prefill(engine), untraced);
    engine.decode(0, 6);
    engine.plan().trace(nullptr);
    prefill(engine);  // not traced

    const size_t steps = engine.plan().graph().steps.size();
    ASSERT_EQ(trace.runs.size(), 2u);
    EXPECT_EQ(trace.runs[0].extents[engine.model().pos_axis], 5);
    EXPECT_EQ(trace.runs[1].extents[engine.model().pos_axis], 1);
    EXPECT_LE(trace.runs[0].end, trace.runs[1].begin);
    ASSERT_EQ(trace.team.threads(), threads);
    for (int thread = 0; thread < threads; ++thread) {
      std::map<std::pair<size_t, int64_t>, int> times;  // by run and step
      bool waits = false;
      for (const TeamTrace::Span& span : trace.team.of(thread)) {
        EXPECT_LE(span.begin, span.end);
        const size_t run = span.begin < trace.runs[1].begin ? 0 : 1;
        EXPECT_GE(span.begin, trace.runs[run].begin);
        EXPECT_LE(span.end, trace.runs[run].end);
        if (span.step == TeamTrace::kWaiting) waits = true;
        else ++times[{run, span.step}];
      }
      EXPECT_EQ(times.size(), 2 * steps);
      EXPECT_TRUE(std::ranges::all_of(times, [](const auto& one) { return one.second == 1; }));
      EXPECT_TRUE(waits);
    }
  }
}

TEST(RunTrace, IsWrittenForViewers) {
  Engine engine(test::small_model(), Device::cpu(2), {.context = 16});
  engine.cache().open();
  RunTrace trace(engine.plan());
  engine.plan().trace(&trace);
  prefill(engine);
  const auto json = nlohmann::json::parse(chrome_trace(engine.plan(), trace));
  std::map<int, std::string> tracks;
  std::map<int, size_t> events;
  const GraphRecord& graph = engine.plan().graph();
  for (const auto& event : json["traceEvents"]) {
    if (event["ph"] == "M") {
      if (event["name"] == "thread_name") tracks[event["tid"]] = event["args"]["name"];
      continue;
    }
    EXPECT_EQ(event["ph"], "X");
    EXPECT_GE(event["ts"].get<double>(), 0);
    EXPECT_GE(event["dur"].get<double>(), 0);
    ++events[event["tid"]];
    if (!event.contains("args")) continue;
    const size_t step = event["args"]["step"];
    EXPECT_EQ(event["name"], graph.steps.at(step).name);
    EXPECT_EQ(event["cat"], name(graph.steps.at(step).kind));
    EXPECT_EQ(event["args"]["kernel"], engine.plan().steps().at(step).kernel);
    EXPECT_EQ(event["args"]["group"], engine.plan().schedule().group_of.at(step));
  }
  EXPECT_EQ(tracks, (std::map<int, std::string>{{0, "runs"}, {1, "thread 0"}, {2, "thread 1"}}));
  EXPECT_EQ(events[0], 1u);
  EXPECT_GT(events[1], graph.steps.size());
  EXPECT_GT(events[2], graph.steps.size());
  // Nothing has run: a trace all the same.
  EXPECT_TRUE(nlohmann::json::parse(chrome_trace(engine.plan(), RunTrace(engine.plan())))["traceEvents"].is_array());
}

}  // namespace
}  // namespace weft
