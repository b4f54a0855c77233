// weft explain: the plan of a model's steps.
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "ops/cpu/pinned_team.h"
#include "runtime/generate/engine.h"
#include "runtime/plan/profile.h"
#include "tools/common.h"
#include "tools/explain_profile.h"
#include "tools/measure.h"

namespace weft::tools {

namespace {

constexpr int kPrefills = 3, kDecodes = 16;  // runs that are profiled, without --repeat

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
};

std::vector<int64_t> barriers(const Plan& plan) { return {plan.barriers().begin(), plan.barriers().end()}; }

void run(const ExplainFlags& flags) {
  const OpenModel open = open_model(flags.model);
  EngineOptions options = flags.model.engine_options();
  options.context = flags.context;
  options.batch = flags.batch;
  options.profile = flags.profile;
  warn_beyond_training(open.model, options.context, "a context of");
  const Device device = open_device(flags.model);
  Engine engine = waiting_for("loading", [&] { return Engine(open.model, device, options); });

  if (flags.records) {
    for (const Step& step : open.model.graph->steps) print(to_string(*open.model.graph, step) + "\n");
    print(to_string(*open.model.graph, engine.plan().schedule()));
    return;
  }
  // Decoding happens after a prompt, so that with --profile its attention has keys to read.
  const int32_t prompt = std::min(engine.batch(), std::max(engine.context() - 1, 1));
  const int32_t sequence = engine.cache().open();
  const std::vector<int32_t> tokens(static_cast<size_t>(prompt), 0);
  Plan& plan = engine.plan();
  if (flags.profile) engine.prefill(sequence, tokens);  // the first run touches memory for the first time
  // Threads stay on their CPUs, and runs do the same work several times, so that the least and the median of their
  // times say something.
  std::optional<PinnedTeam> pinned;
  if (flags.profile && device.is_cpu()) pinned.emplace(device.threads());
  plan.clear_profile();
  for (int i = 0; flags.profile && i < (flags.repeat > 0 ? flags.repeat : kPrefills); ++i) {
    engine.cache().trim(sequence, 0);
    engine.prefill(sequence, tokens);
  }
  PlanProfile prefill_profile =
      take_profile(plan, format("prefill of %d tokens", prompt), seen_extents(open.model, prompt, 1, prompt));
  const ExplainRun prefill{
      "prefill", extents_of(open.model, prompt, 1, prompt), {}, plan.kernels_that_ran(), barriers(plan), "prefill"};
  const std::string prefill_json = flags.json ? plan.explain_json(prefill.at) : "";
  // Barriers are counted in a run: without --profile, of one token.
  if (!flags.profile && device.is_cpu() && prompt < engine.context()) lengthen(engine, sequence, prompt);
  const int profiled = flags.repeat > 0 ? flags.repeat : kDecodes;
  const int steps = flags.profile ? profiled : device.is_cpu() ? 1 : 0;
  int32_t behind = std::min(prompt, engine.context() - 1);
  plan.clear_profile();
  std::vector<int64_t> decode_barriers;
  for (int i = 0; i < steps && prompt < engine.context(); ++i) {
    if (engine.cache().length(sequence) == engine.context()) {  // again from the end of the prompt
      engine.cache().trim(sequence, 0);
      lengthen(engine, sequence, prompt);
    }
    behind = engine.cache().length(sequence);
    engine.decode(sequence, 0);
    decode_barriers = barriers(plan);
  }
  pinned.reset();
  PlanProfile decode_profile =
      take_profile(plan, format("decode of 1 token behind %d", behind), seen_extents(open.model, 1, 1, behind + 1));
  const ExplainRun decode{
      "decode",       extents_of(open.model, 1, 1, behind + 1), {}, plan.kernels_that_ran(), decode_barriers,
      "decoded token"};
  if (flags.profile && device.is_cpu()) {
    prefill_profile.limits = decode_profile.limits = waiting_for(
        "measuring the machine", [&] { return measure_limits(device.threads(), bytes_to_read(decode_profile.costs)); });
  }
  if (flags.json) {
    auto prefill_items = nlohmann::ordered_json::parse(prefill_json);
    auto decode_items = nlohmann::ordered_json::parse(plan.explain_json(decode.at));
    add_limits(prefill_items, prefill_profile);
    add_limits(decode_items, decode_profile);
    print("{\n\"prefill\": " + prefill_items.dump(2) + ",\n\"decode\": " + decode_items.dump(2) + "}\n");
    return;
  }
  if (flags.csv) {
    print(profile_csv(plan, std::array{prefill_profile, decode_profile}));
    return;
  }
  std::string text = format("runs       prefill of %d tokens, decode of 1 token behind %d\n", prompt, behind) +
                     plan.explain_runs(std::array{prefill, decode}, flags.all);
  if (flags.profile) {
    text += profile_text(plan, prefill_profile, flags.all) + profile_text(plan, decode_profile, flags.all);
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
  command->add_option("-c,--ctx-size", flags->context, "Tokens of a sequence (default: the model's, at most 4096)")
      ->check(CLI::Range(1, 1 << 24))
      ->type_name("CONTEXT");
  command->add_option("-b,--batch-size", flags->batch, "Tokens of the prompt to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
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
  command->add_flag("--records", flags->records, "Print the records of the steps instead")->excludes(csv);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  add_kernel_flag(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools
