#include "tools/bench_tests.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <random>
#include <set>

#include "core/comma_list.h"
#include "ops/cpu/kernel_table.h"
#include "ops/cpu/pinned_team.h"
#include "runtime/plan/profile.h"
#include "tools/measure.h"

namespace weft::tools {

namespace {

EngineOptions with_room(EngineOptions options, std::span<const BenchTest> tests) {
  options.context = 1;
  for (const BenchTest& test : tests) {
    const int32_t length = test.depth + test.tokens;
    options.context = std::max(options.context, length);
    options.sequences = std::max(options.sequences, test.sequences);
    options.batch = std::max(options.batch, test.sequences);
    const int64_t pages = (length + options.page_size - 1) / options.page_size;
    options.cache_tokens = std::max(options.cache_tokens, test.sequences * pages * options.page_size);
  }
  return options;
}

}  // namespace

std::string BenchTest::name() const {
  std::string text = (is_prompt ? "pp" : "tg") + std::to_string(tokens);
  if (depth > 0) text += " @ d" + std::to_string(depth);
  if (sequences > 1) text += " x" + std::to_string(sequences);
  return text;
}

BenchEngine::BenchEngine(const LanguageModel& model, const Device& device, EngineOptions options,
                         std::span<const BenchTest> tests)
    : engine_(model, device, with_room(std::move(options), tests)) {
  std::mt19937 random(1);
  tokens_.resize(static_cast<size_t>(engine_.context()));
  for (int32_t& token : tokens_) token = static_cast<int32_t>(random() % static_cast<uint64_t>(model.vocab));
  run_tokens({.tokens = 1}, 1);  // keys and values that touch() then repeats
  engine_.cache().touch();
  for (const BenchTest& test : tests) {
    // The memory of values and weights is touched, and kernels tell what they are.
    engine_.plan().clear_profile();
    engine_.plan().profile(true);
    run_tokens(test, test.is_prompt ? test.tokens : std::min(test.tokens, 2));
    engine_.plan().profile(false);
    kernels_[test] = engine_.plan().kernels_that_ran();
  }
}

double BenchEngine::run(const BenchTest& test) {
  std::optional<PinnedTeam> pinned;
  if (device().is_cpu()) pinned.emplace(device().threads());
  return run_tokens(test, test.tokens);
}

double BenchEngine::run_tokens(const BenchTest& test, int32_t tokens) {
  PagedKvCache& cache = engine_.cache();
  std::vector<int32_t> sequences;
  for (int32_t i = 0; i < test.sequences; ++i) {
    sequences.push_back(cache.open());
    lengthen(engine_, sequences.back(), test.depth);
  }
  const auto begin = std::chrono::steady_clock::now();
  if (test.is_prompt) {
    engine_.prefill(sequences.front(), std::span(tokens_).first(static_cast<size_t>(tokens)));
  } else {
    for (size_t step = 0; step < static_cast<size_t>(tokens); ++step) {
      for (size_t i = 0; i < sequences.size(); ++i) {
        engine_.add(sequences[i], {&tokens_[(step + i * 31) % tokens_.size()], 1}, WantLogits::last);
      }
      engine_.run();
      engine_.logits(0);
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  for (const int32_t sequence : sequences) cache.close(sequence);
  return seconds.count();
}

std::string BenchEngine::product_kernels(const BenchTest& test) const {
  std::set<std::string> names;
  const std::vector<Step>& steps = engine_.plan().graph().steps;
  for (size_t i = 0; i < kernels(test).size(); ++i) {
    if (steps[i].kind != StepKind::contract || kernels(test)[i].empty()) continue;
    // A step may have run several.
    const std::string& text = kernels(test)[i];
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find(", ", at), text.size());
      names.insert(text.substr(at, end - at));
      at = end + 2;
    }
  }
  return comma_list(names);
}

std::vector<BenchEngine::Part> BenchEngine::parts(const BenchTest& test) const {
  std::vector<Part> all;
  const LanguageModel& model = engine_.model();
  if (!test.is_prompt) {
    const int64_t length = test.depth + (test.tokens + 1) / 2;
    all.push_back({static_cast<double>(test.tokens),
                   engine_.plan().costs(seen_extents(model, 1, test.sequences, length, test.sequences))});
    return all;
  }
  for (int32_t done = 0; done < test.tokens;) {
    const int32_t chunk = std::min(test.tokens - done, engine_.batch());
    done += chunk;
    const int64_t rows = done == test.tokens ? 1 : 0;
    all.push_back({1, engine_.plan().costs(seen_extents(model, chunk, rows, test.depth + done))});
  }
  return all;
}

size_t BenchEngine::bytes_read(const BenchTest& test) const {
  return bytes_to_read(parts(test).back().costs, test.sequences);
}

TestLimit BenchEngine::limit(const BenchTest& test, const MachineLimits& machine) const {
  TestLimit limit;
  std::map<std::string, double> seconds_by;
  for (const Part& part : parts(test)) {
    for (size_t i = 0; i < part.costs.size(); ++i) {
      const PeakUnit unit = peak_unit_of(i < kernels(test).size() ? kernels(test)[i] : "");
      const LeastTime time = least_time(part.costs[i], unit, machine, test.sequences);
      limit.seconds += part.count * time.seconds;
      seconds_by[time.by_reads ? "reads" : peak_name(unit)] += part.count * time.seconds;
    }
  }
  double most = 0;
  for (const auto& [by, seconds] : seconds_by) {
    if (seconds > most) limit.by = by, most = seconds;
  }
  return limit;
}

}  // namespace weft::tools
