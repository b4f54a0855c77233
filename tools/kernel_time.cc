#include "tools/kernel_time.h"

#include <algorithm>

#include "core/comma_list.h"
#include "core/error.h"
#include "gpu/case_runner.h"
#include "runtime/plan/statistics.h"
#include "runtime/plan/text_table.h"
#include "tools/measure.h"
#include "tools/op_time.h"
#include "tools/output.h"

namespace weft::tools {
namespace {

std::vector<OpWork> works_of(const PluginKernel& kernel, const TimeOptions& options) {
  std::vector<OpWork> works;
  if (options.of_file) return {case_work(*options.of_file)};
  std::vector<std::string> shapes = options.shapes;
  if (kernel.formula != nullptr) {
    const int64_t width = kernel.widths.empty() ? 4096 : kernel.widths.front();
    if (shapes.empty()) shapes = {"1x" + std::to_string(width), "512x" + std::to_string(width)};
    for (const std::string& shape : shapes) {
      const auto extents = parse_extents(shape, "--shape", "ROWSxWIDTH");
      works.push_back(formula_work(*kernel.formula, extents[0], extents[1]));
    }
    return works;
  }
  const ProductRow& row = *kernel.product_row();
  Format format = row.formats.front();
  if (!options.format.empty()) {
    const auto found = std::ranges::find_if(row.formats, [&](Format of) { return name(of) == options.format; });
    if (found == row.formats.end()) {
      throw Error("--format: kernel '" + row.name + "' does not read '" + options.format + "'");
    }
    format = *found;
  }
  if (shapes.empty()) {
    std::vector<int64_t> rows = {row.first_rows};
    const int64_t many = std::min<int64_t>(row.last_rows, 128);
    if (many != rows.front()) rows.push_back(many);
    for (const int64_t count : rows) shapes.push_back(std::to_string(count) + "x4096x4096");
  }
  for (const std::string& shape : shapes) {
    const auto extents = parse_extents(shape, "--shape", "ROWSxOUTPUTSxK");
    if (extents[0] < row.first_rows || extents[0] > row.last_rows) {
      throw Error("--shape: kernel '" + row.name + "' is not for " + std::to_string(extents[0]) + " rows");
    }
    works.push_back(contract_work(format, extents[0], extents[1], extents[2]));
  }
  return works;
}

}  // namespace

std::string time_kernel(const PluginKernel& kernel, const TimeOptions& options) {
  const bool of_op = kernel.formula != nullptr && !kernel.formula->op.empty();
  const std::string other = of_op ? "reference" : "built-in";
  TextTable table{.head = {{"shape"},
                           {"threads", true},
                           {kernel.name + " us", true},
                           {other + " us", true},
                           {"GFLOP/s", true},
                           {"GB/s", true},
                           {"% limit", true},
                           {"ratio", true},
                           {"95 %", true},
                           {other}}};
  for (const OpWork& work : works_of(kernel, options)) {
    std::vector<int> teams = {1};
    if (options.threads > 1) teams.push_back(options.threads);
    for (const int threads : teams) {
      std::vector<CpuRunOptions> sides(2, {.threads = threads});
      sides[0].forced = kernel.product;
      sides[0].forced_step = kernel.step;
      // Of an op, there is nothing but its reference.
      if (of_op) sides[1].forced_step = kernel_table().find_step(find_op_reference(kernel.formula->op)->name);
      // Against what a plan of the same precision would run.
      if (kernel.product != nullptr && !kernel.product->serves(Precision::exact)) {
        for (CpuRunOptions& side : sides) side.precision = Precision::fast;
      }
      const MachineLimits limits = measure_limits(threads, static_cast<size_t>(work.bytes));
      std::vector<std::string> ran;
      const auto times = time_in_turns(work, sides, options.rounds, CacheState::warm, ran);
      // Rates of it are times of the other.
      const RateRatio ratio = ratio_of_rounds(times[0], times[1]);
      const double time = median(times[0]);
      const double least = least_seconds(work, limits, ran[0]);
      table.rows.push_back(
          {work.name, std::to_string(threads), format("%.2f", time * 1e6), format("%.2f", median(times[1]) * 1e6),
           work.flops > 0 ? format("%.1f", work.flops / time / 1e9) : "", format("%.1f", work.bytes / time / 1e9),
           format("%.1f", 100 * least / time), format("%.3f", ratio.ratio),
           ratio.interval ? format("%.3f - %.3f", ratio.interval->low, ratio.interval->high) : "", ran[1]});
    }
  }
  return table.text();
}

std::string time_kernel(const PluginKernel& kernel, GpuDevice& device, const TimeOptions& options) {
  const bool has_other = kernel.formula == nullptr || kernel.formula->op.empty();
  TextTable table{.head = {{"shape"}, {kernel.name + " us", true}, {"GFLOP/s", true}, {"GB/s", true}}};
  if (has_other) {
    table.head.insert(table.head.end(), {{"built-in us", true}, {"ratio", true}, {"95 %", true}, {"built-in"}});
  }
  for (const OpWork& work : works_of(kernel, options)) {
    GpuCaseRunner mine(device, work.step_case, kernel.name), other(device, work.step_case);
    std::vector<TimedRuns> sides = {[&](int64_t times) { mine.run(times); }};
    if (has_other) sides.emplace_back([&](int64_t times) { other.run(times); });
    const auto times = time_in_turns(sides, options.rounds);
    const double time = median(times[0]);
    std::vector<std::string> row = {work.name, format("%.2f", time * 1e6),
                                    work.flops > 0 ? format("%.1f", work.flops / time / 1e9) : "",
                                    format("%.1f", work.bytes / time / 1e9)};
    if (has_other) {
      const RateRatio ratio = ratio_of_rounds(times[0], times[1]);
      row.insert(row.end(), {format("%.2f", median(times[1]) * 1e6), format("%.3f", ratio.ratio),
                             ratio.interval ? format("%.3f - %.3f", ratio.interval->low, ratio.interval->high) : "",
                             comma_list(other.ran())});
    }
    table.rows.push_back(std::move(row));
  }
  return table.text();
}

}  // namespace weft::tools
