#include "tools/explain_profile.h"

#include "tools/csv.h"
#include "tools/measure.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

double least_seconds(const PlanProfile& profile, size_t step) {
  if (!profile.limits) return 0;
  return least_time(profile.costs[step], peak_unit_of(profile.kernels[step]), *profile.limits).seconds;
}

std::string share(double part, double whole) { return part > 0 && whole > 0 ? format("%.4f", part / whole) : ""; }

std::string seconds_text(double seconds) { return format("%.4g", seconds); }

}  // namespace

void add_limits(nlohmann::ordered_json& json, const PlanProfile& profile) {
  if (!profile.limits) return;
  json["limits"] = limits_json(*profile.limits);
  for (size_t i = 0; i < profile.steps.size(); ++i) {
    const double least = least_seconds(profile, i), median = profile.steps[i].median();
    if (least <= 0 || median <= 0) continue;
    json["steps"][i]["least_seconds"] = least;
    json["steps"][i]["share_of_limit"] = least / median;
  }
}

std::string profile_csv(const Plan& plan, std::span<const PlanProfile> profiles) {
  std::string text =
      csv_line({"run", "step", "kind", "kernels", "runs", "seconds_min", "seconds_median", "seconds_mean",
                "product_flops", "bytes_read", "share_of_plan", "least_seconds", "share_of_limit"});
  for (const PlanProfile& profile : profiles) {
    double all = 0;
    for (const RunTimes& times : profile.steps) all += times.median();
    for (size_t i = 0; i < profile.steps.size(); ++i) {
      const Step& step = plan.graph().steps[i];
      const RunTimes& times = profile.steps[i];
      const StepCost& cost = profile.costs[i];
      const double least = least_seconds(profile, i);
      text += csv_line({profile.title, step.name, std::string(name(step.kind)), profile.kernels[i],
                        std::to_string(times.runs()), seconds_text(times.least()), seconds_text(times.median()),
                        seconds_text(times.mean()), format("%.0f", cost.product_flops),
                        format("%.0f", cost.weight_bytes + cost.key_bytes), share(times.median(), all),
                        least > 0 ? seconds_text(least) : "", share(least, times.median())});
    }
    text += csv_line({profile.title, "wall time", "", "", std::to_string(profile.runs.runs()),
                      seconds_text(profile.runs.least()), seconds_text(profile.runs.median()),
                      seconds_text(profile.runs.mean()), "", "", "", "", ""});
  }
  return text;
}

}  // namespace weft::tools
