// weft bench compare: two runs of weft bench, from files or measured in turns.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "runtime/plan/statistics.h"
#include "tools/bench_comparison.h"
#include "tools/bench_flags.h"
#include "tools/bench_model.h"
#include "tools/child_process.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

// Rounds end when every interval is this narrow: a true change of 5 % then is found, and chance rarely looks like one
// of kLeastChange. (Ending when a difference is found would find some where there are none.)
constexpr double kWidth = 0.04;
constexpr size_t kLeastRounds = 10, kRoundsBetweenLooks = 5;
constexpr size_t kTurns = 5;  // of a round

struct CompareFlags : BenchFlags {
  std::vector<std::string> files, builds;
  std::string precision, kernel;
  size_t rounds = 200;
  bool markdown = false, json = false;
};

// One way to run weft bench.
struct Side {
  std::filesystem::path program;
  std::vector<std::string> flags;  // those in which the sides may differ
  BenchSamples samples = {};

  std::string name() const {
    std::string text = program.string();
    for (const std::string& flag : flags) text += " " + flag;
    return text;
  }
};

// The values of both sides, "A,B", or one for both.
std::array<std::string, 2> values_of(const std::string& text, const char* flag) {
  const size_t comma = text.find(',');
  const std::string a = text.substr(0, comma), b = comma == text.npos ? a : text.substr(comma + 1);
  if (a.empty() || b.empty() || b.find(',') != b.npos) {
    throw CLI::ValidationError(flag, "'" + text + "' is neither a value for both sides nor one for each: A,B");
  }
  return {a, b};
}

std::array<Side, 2> sides_of(const CompareFlags& flags) {
  std::error_code error;
  std::array<Side, 2> sides;
  for (size_t i = 0; i < 2; ++i) {
    // A name without a slash is a file here, too: nothing is looked for on PATH.
    sides[i].program = flags.builds.empty() ? std::filesystem::read_symlink("/proc/self/exe", error)
                                            : std::filesystem::path(flags.builds[i]);
    if (!flags.precision.empty()) {
      const std::string value = values_of(flags.precision, "--precision")[i];
      if (value != "exact" && value != "fast") {
        throw CLI::ValidationError("--precision", "no precision '" + value + "': there are exact and fast");
      }
      sides[i].flags.insert(sides[i].flags.end(), {"--precision", value});
    }
    if (!flags.kernel.empty()) {
      sides[i].flags.insert(sides[i].flags.end(), {"--kernel", values_of(flags.kernel, "--kernel")[i]});
    }
  }
  if (flags.builds.empty() && sides[0].flags == sides[1].flags) {
    throw CLI::RequiredError("Two files, --weft for two builds, or two values of --precision or --kernel");
  }
  return sides;
}

// A rate more of each test.
void add_samples(Side& side, BenchSamples round) {
  if (side.samples.tests.empty()) {
    side.samples = std::move(round);
    return;
  }
  for (BenchSamples::Test& test : side.samples.tests) {
    const BenchSamples::Test* again = round.find(test.name);
    if (again == nullptr) throw Error(side.program.string() + ": '" + test.name + "' is not in every round");
    test.rates.push_back(again->rates.front());
  }
}

std::vector<std::string> arguments_of(const Side& side, const std::vector<std::string>& shared) {
  std::vector<std::string> arguments = {"bench"};
  arguments.insert(arguments.end(), shared.begin(), shared.end());
  arguments.insert(arguments.end(), side.flags.begin(), side.flags.end());
  arguments.insert(arguments.end(), {"-o", "json"});
  return arguments;
}

bool knows_turns(const Side& side) {
  return output_of(side.program, {"bench", "--help"}).find("--turns") != std::string::npos;
}

// A sample of one test.
void ask_for_sample(ChildProcess& program, const std::string& name, size_t test) {
  program.write_line(std::to_string(test));
  const std::string line = program.read_line();
  char* end = nullptr;
  const double rate = std::strtod(line.c_str(), &end);
  if (line.empty() || *end != '\0' || !(rate > 0)) throw Error(name + ": '" + line + "' is no rate");
}

// Starts both programs, which then run one test at a time by turns, so that what slows the machine down for a moment
// hits both. A round's rate of A is the median of its turns, that of B so much times the median of their ratios: where
// memory happens to lie stays with a program as long as it runs, so that turns of the same programs are no independent
// samples.
void add_round_of_turns(std::array<Side, 2>& sides, const std::vector<std::string>& shared, size_t tests,
                        size_t round) {
  std::array<std::unique_ptr<ChildProcess>, 2> running;
  for (const size_t side : {round % 2, 1 - round % 2}) {
    std::vector<std::string> arguments = arguments_of(sides[side], shared);
    arguments.emplace_back("--turns");
    running[side] = std::make_unique<ChildProcess>(sides[side].program, arguments);
    if (const std::string line = running[side]->read_line(); line != "ready") {
      throw Error(sides[side].program.string() + ": says '" + line + "', not 'ready'");
    }
  }
  for (size_t turn = 0; turn < kTurns; ++turn) {
    for (size_t test = 0; test < tests; ++test) {
      // Each side is the first of every other turn, so that being first helps neither.
      for (const size_t side : {(round + turn + test) % 2, 1 - (round + turn + test) % 2}) {
        ask_for_sample(*running[side], sides[side].program.string(), test);
      }
    }
  }
  std::array<BenchSamples, 2> samples;
  for (size_t side = 0; side < 2; ++side) {
    samples[side] = parse_bench_samples(running[side]->finish(), sides[side].program.string());
  }
  for (BenchSamples::Test& a : samples[0].tests) {
    for (BenchSamples::Test& b : samples[1].tests) {
      if (a.name != b.name || a.rates.size() != b.rates.size()) continue;
      const double ratio = ratio_of_rounds(a.rates, b.rates).ratio;
      a.rates = {median(a.rates)}, b.rates = {a.rates.front() * ratio};
    }
  }
  for (size_t side = 0; side < 2; ++side) add_samples(sides[side], std::move(samples[side]));
}

// Runs one side, and adds a rate to each of its tests.
void add_round(Side& side, const std::vector<std::string>& shared) {
  std::vector<std::string> arguments = arguments_of(side, shared);
  arguments.insert(arguments.end(), {"-r", "1"});
  add_samples(side, parse_bench_samples(output_of(side.program, arguments), side.program.string()));
}

bool is_certain(const RateRatio& ratio) {
  return ratio.interval && ratio.interval->high - ratio.interval->low <= kWidth;
}

bool is_certain(const Side& a, const Side& b) {
  for (size_t i = 0; i < a.samples.tests.size(); ++i) {
    if (!is_certain(ratio_of_rounds(a.samples.tests[i].rates, b.samples.tests[i].rates))) return false;
  }
  return true;
}

BenchComparison measure(const CompareFlags& flags, const std::vector<std::string>& arguments) {
  std::array<Side, 2> sides = sides_of(flags);
  const size_t tests = tests_of(flags).size() * (flags.model.device == "cpu" ? teams_of(flags).size() : 1);
  const BenchModel model(flags);
  std::vector<std::string> shared = arguments;
  if (!model.path().empty()) shared.insert(shared.end(), {"--model", model.path()});
  Progress progress;
  const bool by_turns = knows_turns(sides[0]) && knows_turns(sides[1]);
  size_t done = 0;
  bool certain = false;
  while (done < flags.rounds && !certain) {
    progress.show(format("round %zu of at most %zu", done + 1, flags.rounds));
    if (by_turns) {
      add_round_of_turns(sides, shared, tests, done);
    } else {
      for (const size_t side : {done % 2, 1 - done % 2}) add_round(sides[side], shared);
    }
    ++done;
    const bool looks = done >= kLeastRounds && (done - kLeastRounds) % kRoundsBetweenLooks == 0;
    certain = (looks || done == flags.rounds) && is_certain(sides[0], sides[1]);
  }
  progress.clear();
  if (!certain) {
    std::fprintf(stderr,
                 "weft: warning: after %zu rounds an interval is still wider than %.0f %%: small differences are not "
                 "seen; measure on a calmer machine, with more --rounds, or longer tests (-p, -n)\n",
                 done, 100 * kWidth);
  }
  return compare(sides[0].name(), sides[0].samples, sides[1].name(), sides[1].samples, true);
}

BenchComparison compare_files(const std::string& a, const std::string& b) {
  BenchSamples of_a = parse_bench_samples(read_file(a), a), of_b = parse_bench_samples(read_file(b), b);
  return compare(a, std::move(of_a), b, std::move(of_b), false);
}

// The flags of tests as they were given, by names that every build knows.
std::vector<std::string> given(const std::vector<const CLI::Option*>& options) {
  std::vector<std::string> arguments;
  for (const CLI::Option* option : options) {
    if (option->count() > 0)
      arguments.insert(arguments.end(), {"--" + option->get_lnames().front(), option->as<std::string>()});
  }
  return arguments;
}

}  // namespace

void add_bench_compare(CLI::App& bench) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = bench.add_subcommand("compare", "Compare two runs of weft bench, from files or in turns");
  command->footer(format(
      "Exit code: 0 if no test of B is slower, 1 if one is, or for a failure, which says so; 2 for wrong usage.\n"
      "Method: --weft, --precision and --kernel measure in turns: in a round both sides are started (`weft bench\n"
      "--turns`), and each test runs %zu times on one and on the other, with the other side first each time, so that\n"
      "what slows the machine down hits both; with builds that lack --turns, `weft bench -r 1` runs once for each. "
      "B/A\n"
      "is the median of the ratios of the rounds, and its 95 %% interval is that of a bootstrap (percentiles of 2000\n"
      "resamples, with a fixed seed). There are at least %zu rounds, and more until every interval is at most %.0f %%\n"
      "wide, whichever way it points, or --rounds is reached. From files, B/A is the ratio of the medians, whose\n"
      "samples are drawn independently: what changed on the machine between the two runs is not in the interval.\n"
      "B is faster or slower if B/A differs from 1 by %.1f %% or more and its 99 %% interval excludes 1, as several "
      "tests\n"
      "are compared at a time, one of which may look different by chance.",
      kTurns, kLeastRounds, 100 * kWidth, 100 * kLeastChange));
  command->add_option("FILES", flags->files, "A.json and B.json: what `weft bench -o json` has printed")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("");
  CLI::Option* markdown = command->add_flag("--markdown", flags->markdown, "Print a table in Markdown");
  command->add_flag("--json", flags->json, "Print JSON, with every sample")->excludes(markdown);
  const auto options_after = [command](size_t count) {
    std::vector<const CLI::Option*> options = std::as_const(*command).get_options();
    options.erase(options.begin(), options.begin() + static_cast<std::ptrdiff_t>(count));
    return options;
  };
  const size_t of_output = options_after(0).size();
  command
      ->add_option("--weft", flags->builds, "A build of the weft command; given twice, for A and B (default: this one)")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("PATH");
  command
      ->add_option("--precision", flags->precision, "exact or fast for both sides; exact,fast: A is exact, B is fast")
      ->type_name("P[,P]");
  command->add_option("--kernel", flags->kernel, "A kernel of contractions, as of weft bench; X,Y: X for A, Y for B")
      ->type_name("NAME[,NAME]");
  command->add_option("--rounds", flags->rounds, "The most rounds")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str()
      ->type_name("N");
  add_bench_model_flags(*command, *flags);
  const size_t before_tests = options_after(0).size();
  add_bench_test_flags(*command, *flags);
  command->callback([&bench, flags, measuring = options_after(of_output), tests = options_after(before_tests)] {
    const auto is_given = [](const CLI::Option* option) { return option->count() > 0; };
    if (!std::as_const(bench).get_options(is_given).empty()) {
      throw CLI::ValidationError("compare", "stands before all flags: weft bench compare FLAGS");
    }
    for (const CLI::Option* option : measuring) {
      if (option->count() == 0 || flags->files.empty()) continue;
      throw CLI::ValidationError("--" + option->get_lnames().front(), "is for measuring, and files are given");
    }
    if (!flags->files.empty() && flags->files.size() != 2) {
      throw CLI::ValidationError("FILES", "two are wanted, not " + std::to_string(flags->files.size()));
    }
    if (flags->builds.size() != 0 && flags->builds.size() != 2) {
      throw CLI::ValidationError("--weft", "is given twice, for A and B, or not at all");
    }
    const BenchComparison comparison =
        flags->files.empty() ? measure(*flags, given(tests)) : compare_files(flags->files[0], flags->files[1]);
    print(text_of(comparison, flags->json       ? ComparisonFormat::json
                              : flags->markdown ? ComparisonFormat::markdown
                                                : ComparisonFormat::table));
    if (comparison.any_slower()) throw NegativeResult{};
  });
}

}  // namespace weft::tools
