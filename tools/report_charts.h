// The pictures of `weft report`, as SVG.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ops/attention/mask_blocks.h"
#include "runtime/plan/profile.h"
#include "runtime/plan/run_trace.h"
#include "runtime/plan/statistics.h"

namespace weft::tools {

// Every step of the profiles over its arithmetic intensity (FLOPs for each byte that it has to read: weights and keys,
// or all of its values where it reads neither), below the roofs of the first profile that has limits (Williams,
// Waterman and Patterson, Roofline, CACM 52, 2009). Steps of the first profile are filled, of the others outlined; the
// area of a dot is its share of its run's time.
std::string roofline_svg(const Plan& plan, std::span<const PlanProfile> profiles);

// What each thread did in one run of the trace, steps in the colours of their kinds, waits grey.
std::string timeline_svg(const Plan& plan, const RunTrace& trace, size_t run);
// By thread, the share of that run's time that it waited for the others, or was not yet awake.
std::vector<double> waiting_shares(const RunTrace& trace, size_t run);

// A rate over something that was varied.
struct RateSeries {
  struct Point {
    double x = 0, least = 0, median = 0, most = 0;  // of repetitions
    std::optional<double> limit = {};               // what the machine allows
  };
  std::string name;
  std::vector<Point> points;  // by ascending x
};
std::string rates_svg(const std::vector<RateSeries>& series, const std::string& x_name);

// What lies where in the plan's block of memory, while which groups of steps run.
std::string arena_svg(const Plan& plan);

// Queries from top to bottom, keys from left to right.
std::string mask_svg(const MaskBlocks& blocks);

}  // namespace weft::tools
