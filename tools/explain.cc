// weft explain: the plan of a model's steps.
#include <array>

#include "runtime/generate/engine.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

struct ExplainFlags {
  ModelFlags model;
  int context = 0;
  int batch = 512;
  bool json = false;
  bool profile = false;
  bool records = false;
  bool all = false;
};

// Extents of a step of `tokens` tokens, `rows` of which need logits, in a sequence that then has `length`.
Limits extents_of(const LanguageModel& model, int64_t tokens, int64_t rows, int64_t length) {
  Limits at;
  at.set(model.pos_axis, tokens).set(model.rows_axis, rows);
  std::vector<AxisId> keys;
  for (const CacheRecord& cache : model.graph->caches) {
    if (std::find(keys.begin(), keys.end(), cache.key) == keys.end()) at.set(cache.key, length);
    keys.push_back(cache.key);
  }
  return at;
}

// Gives a sequence `count` more tokens whose keys and values are zero, without evaluating them.
void lengthen(Engine& engine, int32_t sequence, int32_t count) {
  std::vector<std::vector<int32_t>> slots(static_cast<size_t>(engine.cache().groups()));
  std::vector<int32_t*> slots_of_group;
  for (std::vector<int32_t>& group : slots) {
    group.resize(static_cast<size_t>(count));
    slots_of_group.push_back(group.data());
  }
  engine.cache().append(sequence, count, slots_of_group);
}

std::vector<int64_t> barriers(const Plan& plan) { return {plan.barriers().begin(), plan.barriers().end()}; }

void run(const ExplainFlags& flags) {
  const OpenModel open = open_model(flags.model);
  EngineOptions options;
  options.precision = flags.model.precision_value();
  options.kernel = flags.model.kernel;
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
  if (flags.profile) {
    engine.prefill(sequence, tokens);  // the first run touches memory for the first time
    engine.cache().trim(sequence, 0);
    plan.clear_profile();
    engine.prefill(sequence, tokens);
  }
  const ExplainRun prefill{"prefill",
                           extents_of(open.model, prompt, 1, prompt),
                           plan.seconds_per_run(),
                           plan.kernels_that_ran(),
                           barriers(plan),
                           "prefill"};
  if (flags.json) print("{\n\"prefill\": " + plan.explain_json(prefill.at) + ",\n");
  // Barriers are counted in a run: without --profile, of one token.
  if (!flags.profile && device.is_cpu() && prompt < engine.context()) lengthen(engine, sequence, prompt);
  const int steps = flags.profile ? 16 : device.is_cpu() ? 1 : 0;
  int32_t behind = std::min(prompt, engine.context() - 1);
  plan.clear_profile();
  std::vector<int64_t> decode_barriers;
  for (int i = 0; i < steps && engine.cache().length(sequence) < engine.context(); ++i) {
    behind = engine.cache().length(sequence);
    engine.decode(sequence, 0);
    decode_barriers = barriers(plan);
  }
  const ExplainRun decode{"decode",
                          extents_of(open.model, 1, 1, behind + 1),
                          plan.seconds_per_run(),
                          plan.kernels_that_ran(),
                          decode_barriers,
                          "decoded token"};
  if (flags.json) {
    print("\"decode\": " + plan.explain_json(decode.at) + "}\n");
  } else {
    print(format("runs       prefill of %d tokens, decode of 1 token behind %d\n", prompt, behind) +
          plan.explain_runs(std::array{prefill, decode}, flags.all));
  }
}

}  // namespace

void add_explain(CLI::App& app) {
  auto flags = std::make_shared<ExplainFlags>();
  CLI::App* command =
      app.add_subcommand("explain", "Show the plan: steps, kernels, shapes, costs of prefill and decode, memory");
  command->footer(
      "Equal steps of different layers share a line, which shows how many they are (\u00d76) and the sums of their\n"
      "figures; each: the time of one. FLOPs and bytes are counted from the steps: every value that a step reads or\n"
      "writes once, and attention as if each token looked at all keys. Steps of a group run without waiting for\n"
      "each other; barriers: how often threads wait for each other.");
  add_model_flag(*command, flags->model);
  command->add_option("-c,--ctx-size", flags->context, "Tokens of a sequence (default: the model's, at most 4096)")
      ->check(CLI::Range(1, 1 << 24))
      ->type_name("CONTEXT");
  command->add_option("-b,--batch-size", flags->batch, "Tokens of the prompt to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
  command->add_flag("--profile", flags->profile, "Run it, and show the time of each step");
  command->add_flag("--all", flags->all, "Show a line for every step, equal ones too");
  command->add_flag("--json", flags->json, "Print every step as JSON");
  command->add_flag("--records", flags->records, "Print the records of the steps instead");
  add_device_flags(*command, flags->model);
  add_kernel_flag(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools
