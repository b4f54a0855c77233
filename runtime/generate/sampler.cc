#include "runtime/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

#include "core/error.h"

namespace weft {
namespace {

constexpr int kMaxRepeatLastN = 1 << 24;  // limits the window's memory to 64 MiB

[[noreturn]] void bad_option(std::string_view flag, float value, std::string_view wanted) {
  throw Error(std::string(flag) + " is " + std::to_string(value) + ", wanted " + std::string(wanted));
}

// Written so that NaN fails every condition.
void check(const SamplerOptions& options, size_t vocab) {
  if (!std::isfinite(options.temp)) bad_option("--temp", options.temp, "a finite number");
  if (!(options.top_p >= 0 && options.top_p <= 1)) bad_option("--top-p", options.top_p, "0 to 1");
  if (!(options.min_p >= 0 && options.min_p <= 1)) bad_option("--min-p", options.min_p, "0 to 1");
  if (!(options.repeat_penalty > 0 && std::isfinite(options.repeat_penalty))) {
    bad_option("--repeat-penalty", options.repeat_penalty, "a finite number above 0");
  }
  if (options.repeat_last_n < -1 || options.repeat_last_n > kMaxRepeatLastN) {
    throw Error("--repeat-last-n is " + std::to_string(options.repeat_last_n) +
                ", wanted -1 (all), 0 (none) or up to " + std::to_string(kMaxRepeatLastN));
  }
  if (vocab == 0 || vocab > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw Error("cannot sample from a vocabulary of " + std::to_string(vocab) + " tokens");
  }
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options, size_t vocab)
    : options_(options), vocab_(vocab), random_(options.seed) {
  check(options, vocab);
  candidates_.resize(vocab);
  weights_.resize(vocab);
  occurrences_.resize(vocab);
  if (options.repeat_last_n > 0) window_.resize(static_cast<size_t>(options.repeat_last_n));
}

void Sampler::accept(int32_t id) {
  if (occurrences_.size() != vocab_) throw Error("a sampler is used after it was moved from");
  if (id < 0 || static_cast<size_t>(id) >= vocab_) {
    throw Error("cannot accept token id " + std::to_string(id) + ": the vocabulary has " + std::to_string(vocab_) +
                " tokens");
  }
  if (options_.repeat_last_n == 0) return;
  ++occurrences_[static_cast<size_t>(id)];
  if (window_.empty()) return;  // -1: nothing leaves the window
  if (window_count_ == window_.size()) {
    --occurrences_[static_cast<size_t>(window_[window_next_])];
  } else {
    ++window_count_;
  }
  window_[window_next_] = id;
  window_next_ = (window_next_ + 1) % window_.size();
}

void Sampler::forget() {
  std::fill(occurrences_.begin(), occurrences_.end(), 0);
  window_next_ = window_count_ = 0;
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (candidates_.size() != vocab_) throw Error("a sampler is used after it was moved from");
  gather(logits);
  if (options_.temp <= 0) return greedy();
  keep_top_k();
  keep_top_p();
  keep_min_p();
  return draw();
}

// The candidates: every token whose logit is not -inf, with the penalty applied.
void Sampler::gather(std::span<const float> logits) {
  if (logits.size() != vocab_) {
    throw Error("cannot sample from " + std::to_string(logits.size()) + " logits: the vocabulary has " +
                std::to_string(vocab_) + " tokens");
  }
  count_ = 0;
  sorted_ = false;
  for (size_t i = 0; i < vocab_; ++i) {
    float logit = logits[i];
    if (std::isnan(logit)) throw Error("the logit of token " + std::to_string(i) + " is NaN");
    if (logit == std::numeric_limits<float>::infinity()) {
      throw Error("the logit of token " + std::to_string(i) + " is infinite");
    }
    if (logit == -std::numeric_limits<float>::infinity()) continue;
    if (occurrences_[i] != 0) logit = penalized(logit);
    candidates_[count_++] = {logit, static_cast<int32_t>(i)};
  }
  if (count_ == 0) throw Error("every logit is -inf: there is no token to choose");
}

// Keskar et al. 2019, "CTRL", section 4.1, with the usual sign rule, so that a penalty never makes a token
// likelier. Kept finite: an extreme penalty must not cause NaN later.
float Sampler::penalized(float logit) const {
  const double penalty = options_.repeat_penalty;
  const double largest = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(logit > 0 ? logit / penalty : logit * penalty, -largest, largest));
}

int32_t Sampler::greedy() const {
  const Candidate* best = candidates_.data();
  for (size_t i = 1; i < count_; ++i) {
    if (candidates_[i].logit > best->logit) best = &candidates_[i];
  }
  return best->id;
}

void Sampler::keep_top_k() {
  const bool all = options_.top_k <= 0 || static_cast<size_t>(options_.top_k) >= count_;
  const size_t kept = all ? count_ : static_cast<size_t>(options_.top_k);
  if (all && options_.top_p >= 1) return;  // only top-p needs the order
  // A total order, so that the result does not depend on the library's algorithm.
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto first = candidates_.begin();
  const auto middle = first + static_cast<std::ptrdiff_t>(kept);
  if (!all) std::nth_element(first, middle, first + static_cast<std::ptrdiff_t>(count_), before);
  std::sort(first, middle, before);
  count_ = kept;
  sorted_ = true;
}

void Sampler::keep_top_p() {
  if (options_.top_p >= 1) return;
  double sum = 0;
  for (size_t i = 0; i < count_; ++i) {
    weights_[i] = std::exp(static_cast<double>(candidates_[i].logit) - candidates_[0].logit);
    sum += weights_[i];
  }
  double cumulated = 0;
  for (size_t i = 0; i < count_; ++i) {
    cumulated += weights_[i];
    if (cumulated >= options_.top_p * sum) {
      count_ = i + 1;
      return;
    }
  }
}

void Sampler::keep_min_p() {
  if (options_.min_p <= 0) return;
  float largest = candidates_[0].logit;
  if (!sorted_) {
    for (size_t i = 1; i < count_; ++i) largest = std::max(largest, candidates_[i].logit);
  }
  const double least = static_cast<double>(largest) + std::log(static_cast<double>(options_.min_p));
  size_t kept = 0;
  for (size_t i = 0; i < count_; ++i) {
    if (static_cast<double>(candidates_[i].logit) >= least) candidates_[kept++] = candidates_[i];
  }
  count_ = kept;
}

int32_t Sampler::draw() {
  float largest = candidates_[0].logit;
  for (size_t i = 1; i < count_; ++i) largest = std::max(largest, candidates_[i].logit);
  double sum = 0;
  for (size_t i = 0; i < count_; ++i) {
    weights_[i] = std::exp((static_cast<double>(candidates_[i].logit) - largest) / options_.temp);
    sum += weights_[i];
  }
  // The upper 53 bits as a multiple of 2^-53: uniform in [0, 1).
  const double target = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
  double cumulated = 0;
  size_t chosen = 0;
  for (size_t i = 0; i < count_; ++i) {
    if (weights_[i] <= 0) continue;
    chosen = i;  // also the result if rounding leaves the last sum at or below the target
    cumulated += weights_[i];
    if (cumulated > target) break;
  }
  return candidates_[chosen].id;
}

}  // namespace weft
