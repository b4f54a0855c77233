#include "runtime/plan/team_size.h"

#include <algorithm>

namespace weft {
namespace {

constexpr int kTrialRuns = 2;       // with one thread and with more, in one trial
constexpr int kFirstPatience = 16;  // runs between two trials; doubles with every trial, up to
constexpr int kLongestPatience = 1024;
constexpr double kLongRun = 0.002;     // s: a longer run is not used for a trial
constexpr double kStalled = 3;         // times the time of one thread, plus
constexpr double kStallFrom = 0.0005;  // s: then some thread of the team was not running

}  // namespace

void TeamSize::Times::add(double seconds) {
  least = runs == 0 ? seconds : std::min(least, seconds);
  sum += seconds;
  ++runs;
}

void TeamSize::saw_ready(int others, bool certain) {
  const int free = std::clamp(cpus_ - std::max(others, 0), 1, most_);
  const bool fewer = free < free_;
  if (!fewer || wanted_fewer_ || certain) free_ = free;
  wanted_fewer_ = fewer;
}

int TeamSize::next(uint64_t kind) {
  if (kind != kind_) {
    kind_ = kind;
    in_trial_ = true;
    chosen_ = false;
    patience_ = kFirstPatience;
    single_ = team_ = Times();
  }
  counts_ = free_ > 1;
  is_single_ = !counts_ || next_is_single();
  return is_single_ ? 1 : free_;
}

bool TeamSize::next_is_single() const {
  if (!in_trial_) return prefers_single_;
  // The team first: a prompt runs only once.
  return team_.runs >= kTrialRuns || team_.runs > single_.runs;
}

void TeamSize::ran(double seconds) {
  if (!counts_) return;
  (is_single_ ? single_ : team_).add(seconds);
  if (in_trial_) {
    if (team_.runs > 0 && team_.least >= kLongRun) return choose(false);
    if (team_.runs < kTrialRuns || single_.runs < kTrialRuns) return;
    // The current choice is known by its mean, stalls included; of the other, the trial knows only the least time.
    const auto time = [&](const Times& times, bool preferred) {
      return chosen_ && preferred ? times.sum / times.runs : times.least;
    };
    return choose(time(single_, prefers_single_) < time(team_, !prefers_single_));
  }
  if (!is_single_ && single_.runs > 0 && seconds > kStalled * single_.least + kStallFrom) return choose(true);
  if ((!is_single_ && team_.least >= kLongRun) || --wait_ > 0) return;
  in_trial_ = true;
  (is_single_ ? team_ : single_) = Times();
}

void TeamSize::choose(bool single) {
  prefers_single_ = single;
  chosen_ = true;
  in_trial_ = false;
  wait_ = patience_;
  patience_ = std::min(2 * patience_, kLongestPatience);
  // Runs of this kind grow with the cached keys, so only recent times are kept.
  (single ? single_ : team_) = Times();
}

}  // namespace weft
