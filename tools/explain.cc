// weft explain: the plan of a model's steps.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "runtime/generate/engine.h"
#include "runtime/plan/profile.h"
#include "runtime/plan/step_graph.h"
#include "runtime/trace/case_file.h"
#include "tools/common.h"
#include "tools/explain_profile.h"
#include "tools/measure.h"
#include "tools/profiled_runs.h"
#include "tools/trace_file.h"

namespace weft::tools {

namespace {

constexpr int kPrefills = 3, kDecodes = 16;  // runs that are profiled, without --repeat
constexpr int kTracedDecodes = 8;

struct ExplainFlags {
  ModelFlags model;
  int context = 0;
  int batch = 512;
  int repeat = 0;  // 0: kPrefills and kDecodes
  bool json = false;
  bool csv = false;
  bool profile = false;
  bool records = false;
  bool all = false;
  bool dot = false, svg = false;
  std::string trace;  // a file; empty: none
  std::string dumped, dumped_run = "decode", output;
};

// The step in a prefill, or in decoding the token behind it, of random tokens: zeros would be alike.
void dump_step(const ExplainFlags& flags, const LanguageModel& model, const Device& device,
               const EngineOptions& options) {
  Engine engine = waiting_for("loading", [&] { return Engine(with_operands(model, flags.dumped), device, options); });
  std::mt19937 random(1);
  const auto draw = [&] { return static_cast<int32_t>(random() % static_cast<uint64_t>(model.vocab)); };
  std::vector<int32_t> tokens(static_cast<size_t>(prompt_tokens(engine)));
  std::ranges::generate(tokens, draw);
  const int32_t sequence = engine.cache().open();
  RunTrace trace(engine.plan());
  engine.plan().trace(&trace);
  engine.prefill(sequence, tokens);
  if (flags.dumped_run == "decode") engine.decode(sequence, draw());
  engine.plan().trace(nullptr);
  write_case(case_of_step(engine, flags.dumped, trace.runs.back().extents), flags.output);
}

void run(const ExplainFlags& flags) {
  std::optional<TraceFile> trace_file;
  if (!flags.trace.empty()) trace_file.emplace(flags.trace);
  const OpenModel open = open_model(flags.model);
  EngineOptions options = flags.model.engine_options();
  options.context = flags.context;
  options.batch = flags.batch;
  options.profile = flags.profile;
  warn_beyond_training(open.model, options.context, "a context of");
  const Device device = open_device(flags.model, TeamPolicy::fixed);
  if (!flags.dumped.empty()) {
    dump_step(flags, open.model, device, options);
    return;
  }
  Engine engine = waiting_for("loading", [&] { return Engine(open.model, device, options); });

  if (flags.records) {
    for (const Step& step : open.model.graph->steps) print(to_string(*open.model.graph, step) + "\n");
    print(to_string(*open.model.graph, engine.plan().schedule()));
    return;
  }
  Plan& plan = engine.plan();
  std::string prefill_json;
  const int repeat = flags.repeat;
  // Barriers are counted in a run: without --profile, of one token.
  const int prefills = !flags.profile ? 0 : repeat > 0 ? repeat : kPrefills;
  const int decodes = !flags.profile ? (device.is_cpu() ? 1 : 0) : repeat > 0 ? repeat : kDecodes;
  const auto at = [&](int64_t tokens, int64_t length) { return extents_of(open.model, tokens, 1, length); };
  const int32_t prompt = prompt_tokens(engine);
  const ProfiledRuns runs = profiled_runs(engine, prefills, decodes, [&] {
    if (flags.json) prefill_json = plan.explain_json(at(prompt, prompt));
  });
  if (trace_file) trace_file->write(plan, traced_runs(engine, kTracedDecodes));
  if (flags.dot || flags.svg) {
    const StepGraph graph = step_graph(plan, plan.seconds_per_run(), flags.all);
    print(flags.dot ? dot_text(graph) : svg_text(graph));
    return;
  }
  const Limits decode_at = at(1, runs.behind + 1);
  if (flags.json) {
    auto prefill_items = nlohmann::ordered_json::parse(prefill_json);
    auto decode_items = nlohmann::ordered_json::parse(plan.explain_json(decode_at));
    add_limits(prefill_items, runs.prefill);
    add_limits(decode_items, runs.decode);
    print("{\n\"prefill\": " + prefill_items.dump(2) + ",\n\"decode\": " + decode_items.dump(2) + "}\n");
    return;
  }
  if (flags.csv) {
    print(profile_csv(plan, std::array{runs.prefill, runs.decode}));
    return;
  }
  const ExplainRun prefill{"prefill", at(prompt, prompt), {}, runs.prefill.kernels, runs.prefill_barriers, "prefill"};
  const ExplainRun decode{"decode", decode_at, {}, runs.decode.kernels, runs.decode_barriers, "decoded token"};
  std::string text = format("runs       prefill of %d tokens, decode of 1 token behind %d\n", prompt, runs.behind) +
                     plan.explain_runs(std::array{prefill, decode}, flags.all);
  if (flags.profile) {
    text += profile_text(plan, runs.prefill, flags.all) + profile_text(plan, runs.decode, flags.all);
  }
  print(text);
}

}  // namespace

void add_explain(CLI::App& app) {
  auto flags = std::make_shared<ExplainFlags>();
  CLI::App* command =
      app.add_subcommand("explain", "Show the plan: steps, kernels, shapes, costs of prefill and decode, memory");
  command->footer(
      "Equal steps of different layers share a line, which shows how many they are (\u00d76) and the sums of their\n"
      "figures. FLOPs and bytes are counted from the steps: every value that a step reads or writes once, and\n"
      "attention as if each token looked at all keys. Steps of a group run without waiting for each other; barriers:\n"
      "how often threads wait for each other. With --profile, each step is waited for. % limit: the least time that\n"
      "the machine takes, by its measured limits, for the products of a step at the peak of the unit that its kernel\n"
      "uses (FMA, VNNI, AMX), or for reading its weights and the keys that tokens see, as a share of the median;\n"
      "reads are measured over as many bytes as a decoded token reads, at most 512 MiB or 4 times the last-level\n"
      "cache, whichever is more.");
  add_model_flag(*command, flags->model);
  add_size_flags(*command, flags->context, flags->batch);
  CLI::Option* profile = command->add_flag(
      "--profile", flags->profile,
      "Run it several times on pinned threads, and show for each step the kernels that ran, its time, and "
      "its share of the plan and of what the machine allows");
  command
      ->add_option("--repeat", flags->repeat,
                   format("Profile N runs of prefill and N of decode (default: %d and %d); medians are those of the "
                          "last %zu",
                          kPrefills, kDecodes, RunTimes::kKept))
      ->check(CLI::Range(1, 1000000))
      ->type_name("N")
      ->needs(profile);
  command->add_flag("--all", flags->all, "Show a line for every step, equal ones too");
  CLI::Option* json =
      command->add_flag("--json", flags->json, "Print every step as JSON; with --profile, its times and limits too");
  CLI::Option* csv = command->add_flag("--csv", flags->csv, "Print a line of CSV for every step of the profile");
  csv->needs(profile)->excludes(json);
  CLI::Option* dot = command->add_flag(
      "--dot", flags->dot,
      "Print the steps and how they depend on each other for Graphviz; with --profile, with times of decoding");
  CLI::Option* svg = command->add_flag("--svg", flags->svg, "Print the same as a picture in SVG");
  dot->excludes(svg)->excludes(json)->excludes(csv);
  svg->excludes(json)->excludes(csv);
  CLI::Option* records = command->add_flag("--records", flags->records, "Print the records of the steps instead");
  records->excludes(csv)->excludes(dot)->excludes(svg);
  add_trace_flag(*command, flags->trace, "of a prompt and a few decoded tokens")->excludes(records);
  CLI::Option* output =
      command->add_option("-o,--output", flags->output, "The file for --dump-step")->type_name("FILE");
  CLI::Option* dump =
      command
          ->add_option("--dump-step", flags->dumped,
                       "Write this step with what it reads, in a run of random tokens, as a case that `weft kernel try "
                       "--case` and `weft bench op --case` run again; names are those that --all shows")
          ->type_name("NAME");
  dump->needs(output)->excludes(json)->excludes(csv)->excludes(dot)->excludes(svg)->excludes(records);
  output->needs(dump);
  command->add_option("--dump-run", flags->dumped_run, "Of which run: decode (one token behind a prompt) or prefill")
      ->check(CLI::IsMember({"decode", "prefill"}))
      ->capture_default_str()
      ->type_name("RUN")
      ->needs(dump);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  add_kernel_flag(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools
