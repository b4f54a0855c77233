#include "tools/bench_machine.h"

#include <algorithm>
#include <fstream>

#include "ops/cpu/cpu_target.h"
#include "runtime/plan/available_memory.h"
#include "runtime/plan/cpus.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != line.npos) return line.substr(colon + 2);
  }
  return {};
}

}  // namespace

Machine this_machine() {
  std::string features = cpu_target();
  if (has_avx512_vnni()) features += ", VNNI";
  if (has_amx_bf16()) features += ", AMX";
  return {cpu_name(), features, online_cpus(), usable_cpus(), last_level_cache(), available_memory()};
}

std::string text_of(const Machine& machine) {
  std::string text = machine.cpu.empty() ? "CPU" : machine.cpu;
  text += format(", %d of %d CPUs, %s", machine.usable, machine.cpus, machine.features.c_str());
  if (machine.cache > 0) {
    text += format(", %.0f MiB of last-level cache", static_cast<double>(machine.cache) / (1 << 20));
  }
  return text;
}

std::vector<int> teams_up_to(int most) {
  constexpr int kEach = 8;  // up to so many threads, every number
  std::vector<int> teams;
  for (int threads = 1; threads < most; threads = most <= kEach ? threads + 1 : threads * 2) teams.push_back(threads);
  teams.push_back(most);
  return teams;
}

std::vector<MachineLimits> measure_teams(const std::vector<int>& teams) {
  constexpr double kSeconds = 8, kMost = 2;  // for all teams, and for one
  const LimitMeter meter(*std::max_element(teams.begin(), teams.end()), uncached_size(available_memory()));
  std::vector<MachineLimits> all;
  for (const int threads : teams) {
    all.push_back(meter.for_team(threads).measure(std::min(kSeconds / static_cast<double>(teams.size()), kMost)));
  }
  return all;
}

Calibration::Calibration(LimitMeter meter) : meter_(std::move(meter)), best_(meter_.measure(0.5)) {}

void Calibration::measure() {
  const MachineLimits now = meter_.measure(0.1);
  best_ = best_of(best_, now);
  fma_.push_back(now.fma_flops);
  reads_.push_back(now.read_bytes);
}

double Calibration::loss(const std::vector<double>& rates) {
  if (rates.empty()) return 0;
  const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
  return *most > 0 ? 1 - *least / *most : 0;
}

std::string Calibration::text() const {
  return format("%s: FMA within %.1f %%, reads within %.1f %% between tests",
                is_disturbed() ? "DISTURBED by other programs" : "undisturbed", 100 * fma_loss(), 100 * read_loss());
}

}  // namespace weft::tools
