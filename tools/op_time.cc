#include "tools/op_time.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/comma_list.h"
#include "ops/cpu/pinned_team.h"

namespace weft::tools {
namespace {

// One of those that take turns.
class Side {
 public:
  explicit Side(const TimedRuns& run) : run_(run) {
    const double first = seconds(1);
    constexpr double kLong = 1e-2, kSample = 3e-3;
    guess_ = first > kLong ? first : seconds(10);
    runs_ = std::clamp<int64_t>(static_cast<int64_t>(kSample / std::max(guess_, 1e-7)), 1, 100000);
  }

  double sample() { return seconds(runs_); }
  double seconds_of_sample() const { return guess_ * static_cast<double>(runs_); }

 private:
  // Of one run, by so many.
  double seconds(int64_t runs) {
    const auto begin = std::chrono::steady_clock::now();
    run_(runs);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / static_cast<double>(runs);
  }

  const TimedRuns& run_;
  double guess_ = 0;
  int64_t runs_ = 1;
};

// A kernel with one or several copies of what it reads.
using Runners = std::vector<std::unique_ptr<CpuCaseRunner>>;

// Twice what the caches hold; of huge caches, as much as is worth waiting for.
size_t copies_of(const OpWork& work) {
  constexpr double kMostBytes = 1e9;
  const double wanted = std::min(2 * static_cast<double>(last_level_cache()), kMostBytes);
  return std::clamp<size_t>(static_cast<size_t>(wanted / std::max(work.bytes, 1.0)) + 1, 2, 64);
}

// One that shares nothing with the other.
StepCase copy_of(const StepCase& other) {
  StepCase copy = other;
  for (size_t value = 0; value < copy.bytes.size(); ++value) {
    if (copy.bytes[value].data() == nullptr) continue;
    copy.bytes[value] = CaseBytes(other.bytes[value].size());
    copy.data[value] = copy.bytes[value].data();
    const std::shared_ptr<const Storage>& storage = copy.graph.values[value].storage;
    if (storage == nullptr) continue;
    auto own = std::make_shared<Storage>(*storage);
    own->data = copy.bytes[value].data();
    copy.graph.values[value].storage = std::move(own);
  }
  copy.reset();
  return copy;
}

}  // namespace

std::vector<std::vector<double>> time_in_turns(std::span<const TimedRuns> sides, int rounds) {
  std::vector<Side> all;
  double of_round = 0;
  for (const TimedRuns& run : sides) of_round += all.emplace_back(run).seconds_of_sample();
  constexpr double kMostSeconds = 5;
  constexpr int kLeastRounds = 5;
  rounds = std::min(rounds, std::max(kLeastRounds, static_cast<int>(std::min(kMostSeconds / of_round, 1e6))));
  std::vector<std::vector<double>> times(sides.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t side = round % 2 == 0 ? i : all.size() - 1 - i;
      times[side].push_back(all[side].sample());
    }
  }
  return times;
}

std::vector<std::vector<double>> time_in_turns(const OpWork& work, const std::vector<CpuRunOptions>& sides, int rounds,
                                               CacheState cache, std::vector<std::string>& ran,
                                               std::span<const TimedRuns> others) {
  std::vector<StepCase> copies = {work.step_case};
  if (cache == CacheState::cold) {
    for (size_t i = 1; i < copies_of(work); ++i) copies.push_back(copy_of(work.step_case));
  }
  const PinnedTeam pinned(sides.front().threads);
  std::vector<Runners> all(sides.size());
  std::vector<TimedRuns> runs;
  for (size_t i = 0; i < sides.size(); ++i) {
    for (const StepCase& copy : copies) {
      copy.reset();
      all[i].push_back(std::make_unique<CpuCaseRunner>(copy, sides[i]));
    }
    runs.emplace_back([&of = all[i]](int64_t times) { CpuCaseRunner::run(of, times); });
  }
  runs.insert(runs.end(), others.begin(), others.end());
  std::vector<std::vector<double>> times = time_in_turns(runs, rounds);
  ran.clear();
  for (const Runners& runners : all) ran.push_back(comma_list(runners.front()->ran()));
  return times;
}

double least_seconds(const OpWork& work, const MachineLimits& limits, const std::string& kernels) {
  return std::max(work.bytes / limits.read_bytes, work.flops / peak_of(limits, peak_unit_of(kernels)));
}

}  // namespace weft::tools
