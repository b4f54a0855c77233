#include "tools/kernel_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "core/error.h"
#include "ops/contract/cases.h"
#include "ops/cpu/pinned_team.h"
#include "ops/harness/run_cpu.h"
#include "ops/plugin/cases.h"
#include "runtime/plan/text_table.h"
#include "tools/measure.h"

namespace weft::tools {
namespace {

using Shape = std::vector<int64_t>;

Shape parse_shape(const std::string& text, size_t count, const char* form) {
  Shape shape;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc() || extent < 1 || (next < end && (*next != 'x' || next + 1 == end))) break;
    shape.push_back(extent);
    at = next < end ? next + 1 : next;
  }
  constexpr double kMost = 1e10;
  double product = 1;
  for (const int64_t extent : shape) product *= static_cast<double>(extent);
  if (at != end || shape.size() != count || product > kMost) {
    throw Error("--shape '" + text + "': " + form + " is wanted, each at least 1, at most 10^10 together");
  }
  return shape;
}

// What is timed, and the least that it takes.
struct Work {
  std::string name;
  StepCase step_case;
  double flops = 0, bytes = 0;
};

Work rows_work(const Formula& formula, const Shape& shape) {
  const OtherInputs others = formula.kind() == StepKind::reduce ? OtherInputs::one_row : OtherInputs::all_rows;
  Work work{std::to_string(shape[0]) + "x" + std::to_string(shape[1]),
            formula_case(formula, shape[0], 1, shape[1], others), 0, 0};
  const auto rows = static_cast<double>(shape[0]), width = static_cast<double>(shape[1]);
  const auto operations = [](const ScalarProgram& program) {
    return static_cast<double>(
        std::ranges::count_if(program.code, [](const ScalarInstr& instr) { return argument_count(instr.op) > 0; }));
  };
  const Source& source = formula.source();
  // Nobody knows what an op computes.
  if (formula.op.empty()) work.flops = rows * (formula.reduces_row ? 1 : width) * operations(source.program);
  for (const Reduction& reduction : source.reductions) work.flops += rows * width * (operations(reduction.program) + 1);
  const double shared = others == OtherInputs::one_row ? 1 : rows;
  work.bytes = 4 * (width * (rows + static_cast<double>(formula.inputs.size() - 1) * shared) +
                    rows * (formula.reduces_row ? 1 : width));
  return work;
}

Work products_work(const ProductKernel& kernel, Format format, const Shape& shape) {
  const auto block = static_cast<int64_t>(info(format).block_elements);
  if (shape[2] % block != 0) {
    throw Error("--shape: K " + std::to_string(shape[2]) + " is no multiple of " + std::to_string(block) +
                ", the block of " + std::string(name(format)));
  }
  if (shape[0] < kernel.first_rows || shape[0] > kernel.last_rows) {
    throw Error("--shape: kernel '" + kernel.name + "' is not for " + std::to_string(shape[0]) + " rows");
  }
  Work work{std::string(name(format)) + " " + std::to_string(shape[0]) + "x" + std::to_string(shape[1]) + "x" +
                std::to_string(shape[2]),
            linear_case(shape[0], shape[1], shape[2], format), 0, 0};
  work.flops = 2.0 * static_cast<double>(shape[0] * shape[1]) * static_cast<double>(shape[2]);
  work.bytes = static_cast<double>(row_bytes(format, static_cast<size_t>(shape[2]))) * static_cast<double>(shape[1]);
  return work;
}

std::vector<Work> works_of(const PluginKernel& kernel, const TimeOptions& options) {
  std::vector<Work> works;
  if (kernel.formula != nullptr) {
    std::vector<std::string> shapes = options.shapes;
    if (shapes.empty()) shapes = {"1x4096", "512x4096"};
    for (const std::string& shape : shapes)
      works.push_back(rows_work(*kernel.formula, parse_shape(shape, 2, "ROWSxWIDTH")));
    return works;
  }
  const ProductKernel& row = *kernel.product;
  Format format = row.formats.front();
  if (!options.format.empty()) {
    const auto found = std::ranges::find_if(row.formats, [&](Format of) { return name(of) == options.format; });
    if (found == row.formats.end()) {
      throw Error("--format: kernel '" + row.name + "' does not read '" + options.format + "'");
    }
    format = *found;
  }
  std::vector<std::string> shapes = options.shapes;
  if (shapes.empty()) {
    std::vector<int64_t> rows = {row.first_rows};
    const int64_t many = std::min<int64_t>(row.last_rows, 128);
    if (many != rows.front()) rows.push_back(many);
    for (const int64_t count : rows) shapes.push_back(std::to_string(count) + "x4096x4096");
  }
  for (const std::string& shape : shapes) {
    works.push_back(products_work(row, format, parse_shape(shape, 3, "ROWSxOUTPUTSxK")));
  }
  return works;
}

// Seconds of a run, of so many.
double seconds(CpuCaseRunner& runner, int64_t runs) {
  const auto begin = std::chrono::steady_clock::now();
  runner.run(runs);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / static_cast<double>(runs);
}

// So many runs as take a few milliseconds.
int64_t runs_for(double seconds_of_run) {
  constexpr double kLeast = 3e-3;
  return std::clamp<int64_t>(static_cast<int64_t>(kLeast / std::max(seconds_of_run, 1e-7)), 1, 100000);
}

double warm_seconds(CpuCaseRunner& runner) {
  const double first = seconds(runner, 1);
  constexpr double kLong = 1e-2;
  return first > kLong ? first : seconds(runner, 10);
}

double middle(std::vector<double> samples) {
  std::ranges::sort(samples);
  const size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

std::string format_number(const char* form, double value) {
  char text[40];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

}  // namespace

std::string time_kernel(const PluginKernel& kernel, const TimeOptions& options) {
  const bool of_op = kernel.formula != nullptr && !kernel.formula->op.empty();
  TextTable table{.head = {{"shape"},
                           {"threads", true},
                           {kernel.name + " us", true},
                           {of_op ? "reference us" : "built-in us", true},
                           {"GFLOP/s", true},
                           {"GB/s", true},
                           {"% limit", true},
                           {"ratio", true},
                           {"95 %", true},
                           {of_op ? "reference" : "built-in"}}};
  for (const Work& work : works_of(kernel, options)) {
    std::vector<int> teams = {1};
    if (options.threads > 1) teams.push_back(options.threads);
    for (const int threads : teams) {
      CpuRunOptions own{.threads = threads, .forced = kernel.product, .forced_step = kernel.step};
      CpuRunOptions other{.threads = threads};
      // Of an op, there is nothing but its reference.
      if (of_op) {
        other.forced_step = kernel_table().find_step(find_op_reference(kernel.formula->op)->name);
      }
      // Against what a plan of the same precision would run.
      if (kernel.product != nullptr && !kernel.product->serves(Precision::exact)) {
        own.precision = other.precision = Precision::fast;
      }
      const MachineLimits limits = measure_limits(threads, static_cast<size_t>(work.bytes));
      const PinnedTeam pinned(threads);
      work.step_case.reset();
      CpuCaseRunner mine(work.step_case, own), built_in(work.step_case, other);
      const double my_guess = warm_seconds(mine), other_guess = warm_seconds(built_in);
      const int64_t my_runs = runs_for(my_guess), other_runs = runs_for(other_guess);
      // At most some seconds for all rounds, as long as there are enough of them for an interval.
      constexpr double kMostSeconds = 5;
      constexpr int kLeastRounds = 5;
      const double of_round = my_guess * static_cast<double>(my_runs) + other_guess * static_cast<double>(other_runs);
      const int rounds = std::min(options.rounds, std::max(kLeastRounds, static_cast<int>(kMostSeconds / of_round)));
      std::vector<double> my_times, other_times, ratios;
      for (int round = 0; round < rounds; ++round) {
        const auto time_mine = [&] { my_times.push_back(seconds(mine, my_runs)); };
        const auto time_other = [&] { other_times.push_back(seconds(built_in, other_runs)); };
        if (round % 2 == 0) {
          time_mine();
          time_other();
        } else {
          time_other();
          time_mine();
        }
        ratios.push_back(other_times.back() / my_times.back());
      }
      const double time = middle(my_times);
      const double least = std::max(work.bytes / limits.read_bytes, work.flops / limits.fma_flops);
      // The median's interval by order statistics: of n rounds, about 1.96 sqrt(n) / 2 ranks to either side.
      std::ranges::sort(ratios);
      const auto reach = static_cast<size_t>(std::ceil(0.98 * std::sqrt(static_cast<double>(ratios.size()))));
      const size_t half = ratios.size() / 2;
      const double low = ratios[half > reach ? half - reach : 0];
      const double high = ratios[std::min(half + reach, ratios.size() - 1)];
      std::string names;
      for (const std::string& name : built_in.ran()) names += (names.empty() ? "" : ", ") + name;
      table.rows.push_back({work.name, std::to_string(threads), format_number("%.2f", time * 1e6),
                            format_number("%.2f", middle(other_times) * 1e6),
                            work.flops > 0 ? format_number("%.1f", work.flops / time / 1e9) : "",
                            format_number("%.1f", work.bytes / time / 1e9), format_number("%.1f", 100 * least / time),
                            format_number("%.3f", middle(ratios)),
                            format_number("%.3f", low) + " - " + format_number("%.3f", high), names});
    }
  }
  return table.text();
}

}  // namespace weft::tools
