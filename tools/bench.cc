// weft bench: how fast a model runs, beside what the machine allows.
#include <algorithm>
#include <charconv>
#include <iostream>
#include <map>
#include <optional>

#include "runtime/plan/available_memory.h"
#include "tools/bench_flags.h"
#include "tools/bench_machine.h"
#include "tools/bench_model.h"
#include "tools/bench_op.h"
#include "tools/bench_peer.h"
#include "tools/bench_report.h"
#include "tools/bench_tests.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

struct RunFlags : BenchFlags {
  std::string keep;
  int repetitions = 5;
  std::string output = "table";
  bool limits = false, turns = false;
  std::string peer;
};

BenchFormat format_of(const std::string& name) {
  return name == "json" ? BenchFormat::json : name == "csv" ? BenchFormat::csv : BenchFormat::table;
}

void print_limits(const RunFlags& flags) {
  const std::vector<int> teams = flags.threads.empty() ? teams_up_to(thread_count(0)) : teams_of(flags);
  const std::vector<MachineLimits> all = waiting_for("measuring the machine", [&] { return measure_teams(teams); });
  print(text_of(this_machine(), all, format_of(flags.output)));
}

// What one team of threads is measured with.
struct Team {
  BenchEngine engine;
  std::optional<Calibration> calibration;  // on the CPU
};

void add_sample(Team& team, BenchResult& result) {
  const double seconds = team.engine.run(result.test);
  result.rates.push_back(static_cast<double>(result.test.all_tokens()) / seconds);
  if (result.test.is_prompt) result.first_token.push_back(seconds);
}

// For a program that has several of this one, and lets one at a time run one test: each line of standard input is the
// number of a result, of which a sample is taken; the answer is its rate. The machine's limits are not measured.
void take_turns(std::vector<Team>& teams, const std::vector<BenchTest>& tests, std::vector<BenchResult>& results) {
  print("ready\n");
  std::string line;
  while (std::getline(std::cin, line)) {
    size_t result = results.size();
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), result);
    if (error != std::errc() || end != line.data() + line.size() || result >= results.size()) {
      throw Error("--turns: '" + line + "' is no number of a result");
    }
    add_sample(teams[result / tests.size()], results[result]);
    print(format("%.17g\n", results[result].rates.back()));
  }
  for (const BenchResult& result : results) {
    if (result.rates.empty()) throw Error("--turns: no sample of " + result.test.name() + " was asked for");
  }
}

void run(const RunFlags& flags) {
  if (flags.limits) {
    print_limits(flags);
    return;
  }
  const std::vector<BenchTest> tests = tests_of(flags);
  const bool on_cpu = flags.model.device == "cpu";
  if (!on_cpu && !flags.threads.empty()) throw CLI::ValidationError("-t", "is for the CPU");
  if (!flags.shape.empty() && flags.keep.empty() && !flags.model.pack_cache.empty()) {
    throw CLI::ValidationError("--pack-cache",
                               "is for models that stay: keep that of --shape with --keep, or name one");
  }
  std::optional<LlamaBench> peer;
  if (!flags.peer.empty()) peer.emplace();

  const BenchModel model(flags, flags.keep);
  ModelFlags model_flags = flags.model;
  model_flags.model = model.path();
  const OpenModel open = open_model(model_flags);
  const std::string path = model.path().empty() ? shipped_model().string() : model.path();
  int longest = 0;
  for (const BenchTest& test : tests) longest = std::max(longest, test.depth + test.tokens);
  warn_beyond_training(open.model, longest, "a test of");

  EngineOptions options = flags.model.engine_options();
  options.batch = flags.batch;
  const std::vector<int> threads = on_cpu ? teams_of(flags) : std::vector{1};
  std::vector<Team> teams;
  for (const int count : threads) {
    const Device device = Device::by_name(flags.model.device, count);
    teams.push_back(waiting_for("loading", [&] { return Team{BenchEngine(open.model, device, options, tests), {}}; }));
  }
  if (on_cpu && !flags.turns) {
    // After all other memory has been taken, so that what is left is known.
    size_t bytes = uncached_size(available_memory());
    for (const BenchTest& test : tests) bytes = std::min(bytes, teams.front().engine.bytes_read(test));
    const LimitMeter meter(*std::max_element(threads.begin(), threads.end()), bytes);
    for (Team& team : teams) team.calibration.emplace(meter.for_team(team.engine.device().threads()));
  }

  std::vector<BenchResult> results, of_peer;
  for (const Team& team : teams) {
    for (const BenchTest& test : tests) {
      const int count = on_cpu ? team.engine.device().threads() : 0;
      results.push_back({.test = test, .threads = count, .rates = {}, .kernels = team.engine.product_kernels(test)});
      if (peer && LlamaBench::has(test)) of_peer.push_back({"llama-bench", test, count, {}});
    }
  }
  Progress progress;
  if (flags.turns) take_turns(teams, tests, results);
  for (int repetition = 0; !flags.turns && repetition < flags.repetitions; ++repetition) {
    progress.show(format("repetition %d of %d", repetition + 1, flags.repetitions));
    auto result = results.begin();
    for (Team& team : teams) {
      if (team.calibration) team.calibration->measure();
      for (size_t test = 0; test < tests.size(); ++test) add_sample(team, *result++);
      if (team.calibration) team.calibration->measure();
      if (!peer) continue;
      const int count = team.engine.device().threads();
      for (const auto& [test, rate] : peer->run(path, tests, count, flags.batch)) {
        for (BenchResult& of : of_peer) {
          if (of.test == test && of.threads == (on_cpu ? count : 0)) of.rates.push_back(rate);
        }
      }
    }
  }
  progress.clear();
  for (const BenchResult& of : of_peer) {
    if (of.rates.empty()) throw Error("llama-bench says nothing about " + of.test.name());
  }

  BenchReport report{.machine = this_machine(),
                     .model = open.model.name.empty() ? open.model.architecture : open.model.name,
                     .file = model.is_temporary() ? "" : path,
                     .device = teams.front().engine.device().name(),
                     .precision = flags.model.precision,
                     .batch = flags.batch,
                     .kernel = flags.model.kernel,
                     .cache_k = flags.model.cache_k,
                     .cache_v = flags.model.cache_v};
  if (teams.size() > 1) report.device = "cpu";
  if (!model.type().empty()) report.model += " " + model.type();
  std::map<Format, double> bytes_in;
  for (const ValueRecord& value : open.model.graph->values) {
    if (value.kind != ValueKind::weight) continue;
    double elements = 1;
    for (const int64_t extent : value.storage->extents) elements *= static_cast<double>(extent);
    report.weights += elements;
    const auto bytes = static_cast<double>(value.storage->bytes());
    report.model_bytes += bytes;
    bytes_in[value.format] += bytes;
  }
  const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
  if (!bytes_in.empty()) report.type = name(std::max_element(bytes_in.begin(), bytes_in.end(), less)->first);
  auto result = results.begin();
  for (const Team& team : teams) {
    for (const BenchTest& test : tests) {
      if (team.calibration) result->limit = team.engine.limit(test, team.calibration->best());
      ++result;
    }
    if (!team.calibration) continue;
    const Calibration& calibration = *team.calibration;
    report.teams.push_back({calibration.best(), calibration.text(), calibration.fma_loss(), calibration.read_loss(),
                            calibration.is_disturbed()});
  }
  report.results = std::move(results);
  report.results.insert(report.results.end(), of_peer.begin(), of_peer.end());
  print(text_of(report, format_of(flags.output)));
}

}  // namespace

void add_bench(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("bench", "Measure how fast a model runs, beside what the machine allows");
  command->footer(
      "Every test is run once per repetition, in turns with all others, and reported with the least, the median and\n"
      "the largest rate, and from 5 repetitions on with the 95 % interval of the median, by a bootstrap. ppN: a\n"
      "prompt of N tokens, with the time until the logits of the first new token; tgN: N tokens decoded one after\n"
      "another; @ dN: N tokens are in the cache before; xN: in N sequences at a time. Two runs, or two builds in\n"
      "turns: weft bench compare. On the CPU, threads are pinned, and all memory\n"
      "is touched before.\n"
      "% limit: the least time that the machine takes, by its measured limits, as a share of the median: for the\n"
      "products at the peak of the unit that the kernels use (FMA, VNNI, AMX), or for reading weights and the keys\n"
      "that tokens see, whichever takes longer, summed over the steps; 'of' names what most of that is. Reads are\n"
      "measured over as many bytes as a step reads, at most 512 MiB or 4 times the last-level cache, whichever is\n"
      "more. Of experts, as many count as one token uses. Between tests the machine is measured again: a difference of "
      "more than 10 % is reported.");
  const auto [model, shape] = add_bench_model_flags(*command, *flags);
  command->add_option("--keep", flags->keep, "Write the random weights to this GGUF file, and keep it")
      ->type_name("FILE")
      ->needs(shape);
  add_bench_test_flags(*command, *flags);
  command->add_option("-r,--repetitions", flags->repetitions, "How often every test is run")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  CLI::Option* turns = command->add_flag(
      "--turns", flags->turns,
      "Say 'ready', then take a sample of result N for each line N of standard input, and answer with "
      "its rate: what bench compare does with two builds");
  add_precision_flag(*command, flags->model);
  add_kernel_flag(*command, flags->model);
  command->add_option("-o,--output", flags->output, "table, json or csv")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->type_name("FORMAT");
  CLI::Option* limits =
      command->add_flag("--limits", flags->limits,
                        "Measure the machine alone, with 1 to all threads, in less than 20 seconds: reads of "
                        "memory, FMA, VNNI, AMX");
  limits->excludes(model)->excludes(shape);
  command->add_option("--vs", flags->peer, "Run this program in turns on the same file: llama-bench, if it is on PATH")
      ->check(CLI::IsMember({"llama-bench"}))
      ->type_name("PROGRAM")
      ->excludes(limits)
      ->excludes(turns);
  turns->excludes(limits);
  add_bench_compare(*command);
  add_bench_op(*command);
  command->callback([flags, command] {
    if (command->get_subcommands().empty()) run(*flags);
  });
}

}  // namespace weft::tools
