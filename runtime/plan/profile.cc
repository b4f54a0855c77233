#include "runtime/plan/profile.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "core/comma_list.h"
#include "runtime/plan/explain.h"
#include "runtime/plan/fold_steps.h"
#include "runtime/plan/text_table.h"

namespace weft {
namespace {

std::string number(double value, int decimals) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string microseconds(double seconds) { return number(seconds * 1e6, seconds < 999.95e-6 ? 1 : 0); }

std::string percent(double part, double whole) { return whole > 0 ? number(100 * part / whole, 1) : std::string(); }

// "123 GFLOP/s", "8.2 GB/s".
std::string rate(double amount, double seconds, const char* unit) {
  return amount > 0 && seconds > 0 ? with_prefix(amount / seconds) + unit : std::string();
}

// Of several steps.
struct Sums {
  double least = 0, median = 0, mean = 0;
  double allowed = 0;                      // by the machine
  double allowed_by_reads = 0, timed = 0;  // of those that anything is known of: their median
  double flops = 0, read = 0, bytes = 0;

  void add(const RunTimes& times, const StepCost& cost, const std::string& kernels,
           const std::optional<MachineLimits>& limits) {
    least += times.least(), median += times.median(), mean += times.mean();
    flops += cost.product_flops, bytes += cost.bytes, read += cost.weight_bytes + cost.key_bytes;
    if (!limits) return;
    const LeastTime time = least_time(cost, peak_unit_of(kernels), *limits);
    allowed += time.seconds;
    if (time.by_reads) allowed_by_reads += time.seconds;
    if (time.seconds > 0) timed += times.median();
  }
  // Of what limits it; without limits, of products where there are some.
  std::string rate_text() const {
    if (allowed > 0 ? 2 * allowed_by_reads <= allowed : flops > 0) return rate(flops, median, "FLOP/s");
    return rate(allowed > 0 ? read : bytes, median, "B/s");
  }
  std::string limit_text() const { return allowed > 0 ? percent(allowed, timed) : std::string(); }
};

}  // namespace

LeastTime least_time(const StepCost& cost, PeakUnit unit, const MachineLimits& limits, double sequences) {
  // A norm reads its few weights beside values many times as large.
  if (cost.product_flops == 0 && 2 * (cost.weight_bytes + cost.key_bytes) < cost.bytes) return {};
  const double computing = cost.product_flops / peak_of(limits, unit);
  const double reading = (cost.weight_bytes + cost.key_bytes * sequences) / limits.read_bytes;
  return {std::max(computing, reading), reading > computing};
}

size_t bytes_to_read(const std::vector<StepCost>& costs, double sequences) {
  double bytes = 0;
  for (const StepCost& cost : costs) bytes += cost.weight_bytes + cost.key_bytes * sequences;
  return static_cast<size_t>(bytes);
}

std::string limits_text(const MachineLimits& limits) {
  std::string text = with_prefix(limits.read_bytes) + "B/s reads (of " +
                     number(static_cast<double>(limits.read_size) / (1 << 20), limits.read_size < 10 << 20 ? 1 : 0) +
                     " MiB), " + with_prefix(limits.fma_flops) + "FLOP/s " + peak_name(PeakUnit::fma) + ", " +
                     with_prefix(limits.int8_ops) + "op/s " + peak_name(PeakUnit::int8);
  if (limits.amx_flops > 0) text += ", " + with_prefix(limits.amx_flops) + "FLOP/s " + peak_name(PeakUnit::amx);
  return text;
}

PlanProfile take_profile(const Plan& plan, std::string title, const Limits& at) {
  PlanProfile profile{.title = std::move(title),
                      .kernels = plan.kernels_that_ran(),
                      .runs = plan.run_times(),
                      .starts = plan.start_times(),
                      .costs = plan.costs(at)};
  for (const StepInfo& step : plan.steps()) profile.steps.push_back(step.times);
  return profile;
}

std::string profile_text(const Plan& plan, const PlanProfile& profile, bool every_step) {
  std::string text = "\nprofile    " + profile.title + ", runs: " + std::to_string(profile.runs.runs()) + "\n";
  if (profile.kernels.empty()) return text;
  if (profile.limits) {
    text += "limits     " + std::to_string(profile.limits->threads) +
            (profile.limits->threads == 1 ? " thread: " : " threads: ") + limits_text(*profile.limits) + "\n";
  }
  const GraphRecord& graph = plan.graph();
  std::vector<EqualSteps> lines;
  if (every_step) {
    for (size_t i = 0; i < graph.steps.size(); ++i) lines.push_back({graph.steps[i].name, {i}});
  } else {
    lines = fold_steps(graph, profile.kernels, plan.limits().data());
  }
  Sums all;
  std::map<StepKind, std::pair<size_t, Sums>> by_kind;
  const auto add = [&](Sums& sums, size_t step) {
    sums.add(profile.steps[step], profile.costs[step], profile.kernels[step], profile.limits);
  };
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    auto& [steps, sums] = by_kind[graph.steps[i].kind];
    add(all, i), add(sums, i), ++steps;
  }

  TextTable table{{{every_step ? "#" : "", true},
                   {"step"},
                   {"kernels that ran"},
                   {"min us", true},
                   {"median us", true},
                   {"rate", true},
                   {"% plan", true},
                   {"% limit", true}}};
  for (const EqualSteps& line : lines) {
    Sums sums;
    std::set<std::string> kernels;
    for (const size_t step : line.steps) add(sums, step), kernels.insert(profile.kernels[step]);
    const std::string count = std::to_string(every_step ? line.steps.front() : line.steps.size());
    table.rows.push_back({(every_step ? "" : "\u00d7") + count, line.name, comma_list(kernels),
                          microseconds(sums.least), microseconds(sums.median), sums.rate_text(),
                          percent(sums.median, all.median), sums.limit_text()});
  }
  text += table.text();

  TextTable sums_table{{{"sums per op"},
                        {"steps", true},
                        {"median us", true},
                        {"mean us", true},
                        {"rate", true},
                        {"% plan", true},
                        {"% limit", true}}};
  for (const auto& [kind, of] : by_kind) {
    const auto& [steps, sums] = of;
    sums_table.rows.push_back({std::string(name(kind)), std::to_string(steps), microseconds(sums.median),
                               microseconds(sums.mean), sums.rate_text(), percent(sums.median, all.median),
                               sums.limit_text()});
  }
  sums_table.rows.push_back({"all steps", std::to_string(graph.steps.size()), microseconds(all.median),
                             microseconds(all.mean), all.rate_text(), "100.0", all.limit_text()});
  const double start = profile.starts.mean(), wall = profile.runs.mean();
  sums_table.rows.push_back(
      {"start of the run", "", microseconds(profile.starts.median()), microseconds(start), "", "", ""});
  sums_table.rows.push_back({"wall time", "", microseconds(profile.runs.median()), microseconds(wall), "", "", ""});
  text += sums_table.text();
  text += "start and steps are " + percent(start + all.mean, wall) + " % of the wall time of a run, by their means\n";
  return text;
}

}  // namespace weft
