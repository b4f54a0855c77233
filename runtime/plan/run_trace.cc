#include "runtime/plan/run_trace.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/record/graph.h"

namespace weft {

namespace {

using nlohmann::ordered_json;

constexpr int kRunsTrack = 0;  // threads follow it

double microseconds(RunTrace::Clock::duration time) {
  // Nanoseconds are what the clock counts in: three digits are all there is.
  return std::round(std::chrono::duration<double, std::micro>(time).count() * 1000) / 1000;
}

// The run-time extents of a run: "pos 12, seq 1".
std::string run_name(const Plan& plan, const std::vector<int64_t>& extents) {
  const GraphRecord& graph = plan.graph();
  std::string name;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    // Key axes have no extent of their own: each sequence has its length.
    if (plan.known_extents().known(static_cast<AxisId>(axis)) || extents[axis] < 0) continue;
    name += (name.empty() ? "" : ", ") + graph.axes[axis].name + " " + std::to_string(extents[axis]);
  }
  return name.empty() ? "run" : name;
}

ordered_json track_name(int track, const std::string& name) {
  return {{"ph", "M"}, {"pid", 1}, {"tid", track}, {"name", "thread_name"}, {"args", {{"name", name}}}};
}

}  // namespace

RunTrace::RunTrace(const Plan& plan) : team(plan.device().is_cpu() ? plan.device().threads() : 1) {}

std::string chrome_trace(const Plan& plan, const RunTrace& trace) {
  const GraphRecord& graph = plan.graph();
  const RunTrace::Clock::time_point origin =
      trace.runs.empty() ? RunTrace::Clock::time_point() : trace.runs.front().begin;
  // One event a line, written as it comes: a long generation has many.
  std::string text = "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n";
  bool is_first = true;
  const auto add = [&](const ordered_json& event) {
    text += (is_first ? "" : ",\n") + event.dump();
    is_first = false;
  };
  const auto add_span = [&](int track, std::string_view name, std::string_view category, auto begin, auto end,
                            ordered_json arguments) {
    ordered_json event = {{"ph", "X"},
                          {"pid", 1},
                          {"tid", track},
                          {"name", name},
                          {"cat", category},
                          {"ts", microseconds(begin - origin)},
                          {"dur", microseconds(end - begin)}};
    if (!arguments.is_null()) event["args"] = std::move(arguments);
    add(event);
  };
  add({{"ph", "M"}, {"pid", 1}, {"name", "process_name"}, {"args", {{"name", "weft on " + plan.device().name()}}}});
  add(track_name(kRunsTrack, "runs"));
  for (const RunTrace::Run& run : trace.runs) {
    add_span(kRunsTrack, run_name(plan, run.extents), "run", run.begin, run.end, nullptr);
  }
  for (int thread = 0; thread < trace.team.threads(); ++thread) {
    const int track = kRunsTrack + 1 + thread;
    add(track_name(track, plan.device().is_cpu() ? "thread " + std::to_string(thread) : "device"));
    for (const TeamTrace::Span& span : trace.team.of(thread)) {
      if (span.step == TeamTrace::kWaiting) {
        add_span(track, "wait", "wait", span.begin, span.end, nullptr);
        continue;
      }
      const auto step = static_cast<size_t>(span.step);
      add_span(track, graph.steps[step].name, name(graph.steps[step].kind), span.begin, span.end,
               {{"step", step}, {"group", plan.schedule().group_of[step]}, {"kernel", plan.steps()[step].kernel}});
    }
  }
  return text + "\n]}\n";
}

}  // namespace weft
