// weft bench: how fast a model runs, beside what the machine allows.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "models/shapes.h"
#include "runtime/convert/quantize_mix.h"
#include "runtime/plan/available_memory.h"
#include "tools/bench_machine.h"
#include "tools/bench_op.h"
#include "tools/bench_peer.h"
#include "tools/bench_report.h"
#include "tools/bench_tests.h"
#include "tools/common.h"
#include "tools/interrupt.h"
#include "tools/random_model.h"

namespace weft::tools {

namespace {

struct BenchFlags {
  ModelFlags model;
  std::string shape, type = "Q4_K_M", keep;
  int layers = 0;
  std::string prompts = "512", tokens = "128", depths = "0", sequences = "1", threads;
  int batch = 512, repetitions = 5;
  std::string output = "table";
  bool limits = false;
  std::string peer;
};

// The numbers of a flag, each once, in their order. Throws CLI11's ValidationError for anything else.
std::vector<int> numbers(const std::string& text, const char* flag, int least, int most) {
  std::vector<int> all;
  for (const int32_t number : parse_ids(text, flag)) {
    if (number < least || number > most) {
      throw CLI::ValidationError(
          flag, std::to_string(number) + " is not between " + std::to_string(least) + " and " + std::to_string(most));
    }
    if (std::find(all.begin(), all.end(), number) == all.end()) all.push_back(number);
  }
  return all;
}

BenchFormat format_of(const std::string& name) {
  return name == "json" ? BenchFormat::json : name == "csv" ? BenchFormat::csv : BenchFormat::table;
}

std::vector<BenchTest> tests_of(const BenchFlags& flags) {
  constexpr int kMost = 1 << 20;
  const std::vector<int> prompts = numbers(flags.prompts, "-p", 0, kMost),
                         tokens = numbers(flags.tokens, "-n", 0, kMost);
  const std::vector<int> sequences = numbers(flags.sequences, "--parallel", 1, 4096);
  std::vector<BenchTest> tests;
  for (const int depth : numbers(flags.depths, "-d", 0, kMost)) {
    for (const int count : prompts) {
      if (count > 0) tests.push_back({true, count, depth, 1});
    }
    for (const int of : sequences) {
      for (const int count : tokens) {
        if (count > 0) tests.push_back({false, count, depth, of});
      }
    }
  }
  if (tests.empty())
    throw CLI::ValidationError("-p, -n", "there is nothing to do: no tokens of a prompt, and none to generate");
  return tests;
}

// Of the flag -t; without it, all CPUs that this process may use.
std::vector<int> teams_of(const BenchFlags& flags) {
  if (flags.threads.empty()) return {thread_count(0)};
  std::vector<int> teams;
  for (const int wanted : numbers(flags.threads, "-t", 1, 1024)) {
    const int threads = thread_count(wanted);
    if (std::find(teams.begin(), teams.end(), threads) == teams.end()) teams.push_back(threads);
  }
  return teams;
}

// A file that is removed at the end, and by the signals that end the program.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-bench-XXXXXX.gguf").string();
    const int file = ::mkstemps(name.data(), 5);
    if (file < 0) throw Error(name + ": " + std::strerror(errno));
    ::close(file);
    ::unlink(name.c_str());  // the writer makes it, once it is complete
    path_ = name;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }
  // From here on; while it is written, the writer does.
  void remove_on_signal() { guard_.emplace(std::vector{path_.string()}); }

 private:
  std::filesystem::path path_;
  std::optional<RemoveOnSignal> guard_;
};

ModelShape shape_of(const BenchFlags& flags) {
  const ModelShape* known = find_model_shape(flags.shape);
  if (known == nullptr) {
    throw CLI::ValidationError("--shape", "no shape '" + flags.shape + "': there are " + model_shape_names());
  }
  ModelShape shape = *known;
  if (flags.layers > 0) shape.layers = static_cast<uint32_t>(flags.layers);
  return shape;
}

const QuantizeTarget& type_of(const BenchFlags& flags) {
  if (const QuantizeTarget* type = find_quantize_target(flags.type)) return *type;
  std::string all;
  for (const QuantizeTarget& target : quantize_targets()) all += (all.empty() ? "" : ", ") + std::string(target.name);
  throw CLI::ValidationError("--type", "no type '" + flags.type + "': there are " + all);
}

void print_limits(const BenchFlags& flags) {
  const std::vector<int> teams = flags.threads.empty() ? teams_up_to(thread_count(0)) : teams_of(flags);
  const std::vector<MachineLimits> all = waiting_for("measuring the machine", [&] { return measure_teams(teams); });
  print(text_of(this_machine(), all, format_of(flags.output)));
}

// What one team of threads is measured with.
struct Team {
  BenchEngine engine;
  std::optional<Calibration> calibration;  // on the CPU
};

void run(const BenchFlags& flags) {
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

  ModelFlags model_flags = flags.model;
  std::optional<TemporaryFile> temporary;
  if (!flags.shape.empty()) {
    const ModelShape shape = shape_of(flags);
    const QuantizeTarget& type = type_of(flags);
    if (flags.keep.empty()) temporary.emplace();
    model_flags.model = flags.keep.empty() ? temporary->path().string() : flags.keep;
    waiting_for("writing random weights", [&] { return write_random_model(shape, type, model_flags.model), true; });
    if (temporary) temporary->remove_on_signal();
  }
  const OpenModel open = open_model(model_flags);
  const std::string path = model_flags.model.empty() ? shipped_model().string() : model_flags.model;
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
  if (on_cpu) {
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
  for (int repetition = 0; repetition < flags.repetitions; ++repetition) {
    progress.show(format("repetition %d of %d", repetition + 1, flags.repetitions));
    auto result = results.begin();
    for (Team& team : teams) {
      if (team.calibration) team.calibration->measure();
      for (const BenchTest& test : tests) {
        const double seconds = team.engine.run(test);
        result->rates.push_back(static_cast<double>(test.all_tokens()) / seconds);
        if (test.is_prompt) result->first_token.push_back(seconds);
        ++result;
      }
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
                     .file = temporary ? "" : path,
                     .device = teams.front().engine.device().name(),
                     .precision = flags.model.precision};
  if (teams.size() > 1) report.device = "cpu";
  if (!flags.shape.empty()) report.model += " " + std::string(type_of(flags).name);
  for (const ValueRecord& value : open.model.graph->values) {
    if (value.kind != ValueKind::weight) continue;
    double elements = 1;
    for (const int64_t extent : value.storage->extents) elements *= static_cast<double>(extent);
    report.weights += elements;
    report.model_bytes += static_cast<double>(value.storage->bytes());
  }
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
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand("bench", "Measure how fast a model runs, beside what the machine allows");
  command->footer(
      "Every test is run once per repetition, in turns with all others, and reported with the least, the median and\n"
      "the largest rate. ppN: a prompt of N tokens, with the time until the logits of the first new token; tgN: N\n"
      "tokens decoded one after another; @ dN: N tokens are in the cache before; xN: in N sequences at a time. On the\n"
      "CPU, threads are pinned, and all memory is touched before.\n"
      "% limit: the least time that the machine takes, by its measured limits, as a share of the median: for the\n"
      "products at the peak of the unit that the kernels use (FMA, VNNI, AMX), or for reading weights and the keys\n"
      "that tokens see, whichever takes longer, summed over the steps; 'of' names what most of that is. Reads are\n"
      "measured over as many bytes as a step reads, at most 512 MiB or 4 times the last-level cache, whichever is\n"
      "more. Of experts, as many count as one token uses. Between tests the machine is measured again: a difference of "
      "more than 10 % is reported.");
  CLI::Option* model = command->add_option("-m,--model", flags->model.model,
                                           "GGUF file (any part of a split one), or directory with safetensors and "
                                           "config.json (default: the model that comes with Weft)");
  model->type_name("MODEL");
  CLI::Option* shape = command->add_option("--shape", flags->shape,
                                           "Random weights of the shape of a well-known model instead, in a temporary "
                                           "file: " +
                                               model_shape_names());
  shape->type_name("NAME")->excludes(model);
  command->add_option("--type", flags->type, "Number format of random weights: a type of `weft quantize`")
      ->capture_default_str()
      ->type_name("TYPE")
      ->needs(shape);
  command->add_option("--layers", flags->layers, "Layers of the shape (default: as many as the model has)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->needs(shape);
  command->add_option("--keep", flags->keep, "Write the random weights to this GGUF file, and keep it")
      ->type_name("FILE")
      ->needs(shape);
  command->add_option("-p,--n-prompt", flags->prompts, "Tokens of the prompt, a list: 128,512; 0: no prompts")
      ->capture_default_str()
      ->type_name("LIST");
  command->add_option("-n,--n-gen", flags->tokens, "Tokens to decode, a list; 0: none")
      ->capture_default_str()
      ->type_name("LIST");
  command->add_option("-d,--n-depth", flags->depths, "Tokens that are in the cache before, a list")
      ->capture_default_str()
      ->type_name("LIST");
  command->add_option("--parallel,--sequences", flags->sequences, "Sequences that are decoded at a time, a list")
      ->capture_default_str()
      ->type_name("LIST");
  command->add_option("-b,--batch-size", flags->batch, "Tokens of the prompt to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("-t,--threads", flags->threads,
                   "CPU threads, a list (default: one number, the CPUs that this process may use, which is also "
                   "the most)")
      ->type_name("LIST");
  command->add_option("-r,--repetitions", flags->repetitions, "How often every test is run")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  add_backend_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
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
      ->excludes(limits);
  add_bench_op(*command);
  command->callback([command, flags] {
    if (command->get_subcommands().empty()) run(*flags);
  });
}

}  // namespace weft::tools
