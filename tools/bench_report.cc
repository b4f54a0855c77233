#include "tools/bench_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/plan/explain.h"
#include "runtime/plan/profile.h"
#include "runtime/plan/text_table.h"
#include "tools/commit.h"
#include "tools/csv.h"
#include "tools/measure.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"features", machine.features},
          {"cpus", machine.cpus},
          {"usable_cpus", machine.usable},
          {"last_level_cache", machine.cache},
          {"available_memory", machine.memory}};
}

Json json_of(const BenchResult& result) {
  Json json = {{"program", result.program},
               {"test", result.test.name()},
               {"n_prompt", result.test.is_prompt ? result.test.tokens : 0},
               {"n_gen", result.test.is_prompt ? 0 : result.test.tokens},
               {"n_depth", result.test.depth},
               {"n_sequences", result.test.sequences},
               {"threads", result.threads},
               {"repetitions", result.rates.size()},
               {"min_ts", result.least()},
               {"median_ts", result.median()},
               {"max_ts", result.most()},
               {"samples_ts", result.rates}};
  if (const auto interval = result.interval()) json["median_interval_ts"] = {interval->low, interval->high};
  if (!result.first_token.empty()) json["first_token_seconds"] = result.median_first_token();
  if (const auto share = result.share()) json["share_of_limit"] = *share, json["limit"] = result.limit->by;
  if (!result.kernels.empty()) json["kernels"] = result.kernels;
  return json;
}

std::string json_text(const BenchReport& report) {
  Json json = {{"weft", {{"version", WEFT_VERSION}, {"commit", WEFT_COMMIT}}},
               {"machine", json_of(report.machine)},
               {"model", report.model},
               {"file", report.file},
               {"type", report.type},
               {"model_bytes", report.model_bytes},
               {"model_weights", report.weights},
               {"device", report.device},
               {"precision", report.precision},
               {"batch", report.batch},
               {"kernel", report.kernel},
               {"cache_type_k", report.cache_k},
               {"cache_type_v", report.cache_v},
               {"limits", Json::array()},
               {"results", Json::array()}};
  for (const BenchReport::Team& team : report.teams) {
    Json item = limits_json(team.limits);
    item["fma_loss"] = team.fma_loss, item["read_loss"] = team.read_loss, item["disturbed"] = team.disturbed;
    json["limits"].push_back(std::move(item));
  }
  for (const BenchResult& result : report.results) json["results"].push_back(json_of(result));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string csv_text(const BenchReport& report) {
  std::string text =
      csv_line({"model",       "model_bytes", "cpu",       "device",        "precision",           "program",
                "test",        "n_prompt",    "n_gen",     "n_depth",       "n_sequences",         "threads",
                "repetitions", "min_ts",      "median_ts", "max_ts",        "first_token_seconds", "share_of_limit",
                "limit",       "kernels",     "disturbed", "median_low_ts", "median_high_ts"});
  for (const BenchResult& result : report.results) {
    const auto share = result.share();
    const auto team = std::ranges::find_if(
        report.teams, [&](const BenchReport::Team& one) { return one.limits.threads == result.threads; });
    const auto interval = result.interval();
    text += csv_line({report.model,
                      format("%.0f", report.model_bytes),
                      report.machine.cpu,
                      report.device,
                      report.precision,
                      result.program,
                      result.test.name(),
                      std::to_string(result.test.is_prompt ? result.test.tokens : 0),
                      std::to_string(result.test.is_prompt ? 0 : result.test.tokens),
                      std::to_string(result.test.depth),
                      std::to_string(result.test.sequences),
                      std::to_string(result.threads),
                      std::to_string(result.rates.size()),
                      format("%.4f", result.least()),
                      format("%.4f", result.median()),
                      format("%.4f", result.most()),
                      result.first_token.empty() ? "" : format("%.6f", result.median_first_token()),
                      share ? format("%.4f", *share) : "",
                      share ? result.limit->by : "",
                      result.kernels,
                      team == report.teams.end() ? ""
                      : team->disturbed          ? "true"
                                                 : "false",
                      interval ? format("%.4f", interval->low) : "",
                      interval ? format("%.4f", interval->high) : ""});
  }
  return text;
}

std::string table_text(const BenchReport& report) {
  std::string text = "model      " + report.model + ", " + byte_text(static_cast<size_t>(report.model_bytes)) + ", " +
                     with_prefix(report.weights) + " weights\nmachine    " + text_of(report.machine) + "\ndevice     " +
                     report.device + ", precision " + report.precision + "\n";
  for (const BenchReport::Team& team : report.teams) {
    text += format("limits     %d thread%s: ", team.limits.threads, team.limits.threads == 1 ? "" : "s") +
            limits_text(team.limits) + "\n           " + team.calibration + "\n";
  }
  const bool compares =
      std::ranges::any_of(report.results, [](const auto& result) { return result.program != "weft"; });
  TextTable table{{{"test"},
                   {"threads", true},
                   {"t/s min", true},
                   {"median", true},
                   {"max", true},
                   {"% limit", true},
                   {"of"},
                   {"first token ms", true},
                   {"kernels"}}};
  const bool has_intervals =
      std::ranges::any_of(report.results, [](const auto& result) { return result.interval().has_value(); });
  if (has_intervals) table.head.insert(table.head.begin() + 5, {"median 95 %", true});
  if (compares) table.head.insert(table.head.begin(), {"program"});
  for (const BenchResult& result : report.results) {
    const auto share = result.share();
    const auto interval = result.interval();
    std::vector<std::string> row = {
        result.test.name(),
        result.threads > 0 ? std::to_string(result.threads) : "",
        rate_text(result.least()),
        rate_text(result.median()),
        rate_text(result.most()),
        share ? format("%.1f", 100 * *share) : "",
        share ? result.limit->by : "",
        result.first_token.empty() ? "" : format("%.1f", 1000 * result.median_first_token()),
        result.kernels};
    if (has_intervals) {
      row.insert(row.begin() + 5, interval ? rate_text(interval->low) + " - " + rate_text(interval->high) : "");
    }
    if (compares) row.insert(row.begin(), result.program);
    table.rows.push_back(std::move(row));
  }
  return text + "\n" + table.text();
}

}  // namespace

std::string rate_text(double rate) { return format(rate < 99.95 ? "%.2f" : "%.1f", rate); }

double BenchResult::least() const { return *std::ranges::min_element(rates); }
double BenchResult::median() const { return weft::median(rates); }
double BenchResult::most() const { return *std::ranges::max_element(rates); }
double BenchResult::median_first_token() const { return weft::median(first_token); }

std::optional<double> BenchResult::share() const {
  if (!limit || limit->seconds <= 0) return {};
  return limit->seconds * median() / static_cast<double>(test.all_tokens());
}

std::string text_of(const BenchReport& report, BenchFormat as) {
  switch (as) {
    case BenchFormat::json: return json_text(report);
    case BenchFormat::csv: return csv_text(report);
    default: return table_text(report);
  }
}

std::string text_of(const Machine& machine, const std::vector<MachineLimits>& limits, BenchFormat as) {
  if (as == BenchFormat::json) {
    Json json = {{"machine", json_of(machine)}, {"limits", Json::array()}};
    for (const MachineLimits& of : limits) json["limits"].push_back(limits_json(of));
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  if (as == BenchFormat::csv) {
    std::string text = csv_line({"cpu", "threads", "read_size", "reads", "fma_flops", "int8_ops", "amx_flops"});
    for (const MachineLimits& of : limits) {
      text += csv_line({machine.cpu, std::to_string(of.threads), std::to_string(of.read_size),
                        format("%.4g", of.read_bytes), format("%.4g", of.fma_flops), format("%.4g", of.int8_ops),
                        format("%.4g", of.amx_flops)});
    }
    return text;
  }
  TextTable table{{{"threads", true},
                   {"reads GB/s", true},
                   {"FMA GFLOP/s", true},
                   {peak_name(PeakUnit::int8) + " Gop/s", true},
                   {"AMX GFLOP/s", true}}};
  for (const MachineLimits& of : limits) {
    table.rows.push_back({std::to_string(of.threads), format("%.1f", of.read_bytes / 1e9),
                          format("%.0f", of.fma_flops / 1e9), format("%.0f", of.int8_ops / 1e9),
                          of.amx_flops > 0 ? format("%.0f", of.amx_flops / 1e9) : "none"});
  }
  return "machine    " + text_of(machine) + "\n" +
         format("reads      over %.0f MiB%s\n", static_cast<double>(limits.front().read_size) / (1 << 20),
                limits.front().read_size < 4 * machine.cache
                    ? ", half of the available memory: less than 4 times the cache"
                    : "") +
         table.text();
}

}  // namespace weft::tools
