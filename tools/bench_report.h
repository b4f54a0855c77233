// The results of `weft bench`: as a table, as JSON, as CSV.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/plan/statistics.h"
#include "tools/bench_machine.h"
#include "tools/bench_tests.h"

namespace weft::tools {

struct BenchResult {
  std::string program = "weft";
  BenchTest test;
  int threads = 0;                       // of the CPU; 0: it is not one
  std::vector<double> rates;             // tokens of all sequences per second, of each repetition; at least one
  std::vector<double> first_token = {};  // seconds; of prompts alone
  std::optional<TestLimit> limit = {};   // of the whole test; of weft on a CPU alone
  std::string kernels = {};

  // Of the rates.
  double least() const;
  double median() const;
  double most() const;
  // Of the median, where there are enough repetitions.
  std::optional<Interval> interval() const { return median_interval(rates); }
  double median_first_token() const;  // seconds; 0: none
  // The least time that the machine takes, as a part of the median's.
  std::optional<double> share() const;
};

struct BenchReport {
  Machine machine;
  std::string model, file, type = {}, device, precision;  // `type`: the format of most of the weights' bytes
  int batch = 0;
  std::string kernel = {}, cache_k = {}, cache_v = {};  // as flags force them; empty: they do not
  double model_bytes = 0, weights = 0;
  struct Team {
    MachineLimits limits;
    std::string calibration;
    double fma_loss, read_loss;
    bool disturbed;
  };
  std::vector<Team> teams = {};
  std::vector<BenchResult> results = {};
};

std::string rate_text(double rate);  // "12.34", "123.4"

enum class BenchFormat { table, json, csv };

std::string text_of(const BenchReport& report, BenchFormat as);
// What --limits prints.
std::string text_of(const Machine& machine, const std::vector<MachineLimits>& limits, BenchFormat as);

}  // namespace weft::tools
