#include "tools/profiled_runs.h"

#include <algorithm>
#include <optional>

#include "ops/cpu/pinned_team.h"
#include "tools/measure.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

// Tokens 0; what they are changes nothing of the work.
class Prompt {
 public:
  explicit Prompt(Engine& engine)
      : engine_(engine), tokens_(static_cast<size_t>(prompt_tokens(engine)), 0), sequence_(engine.cache().open()) {}
  ~Prompt() { engine_.cache().close(sequence_); }
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;

  int32_t tokens() const { return static_cast<int32_t>(tokens_.size()); }
  void prefill() {
    engine_.cache().trim(sequence_, 0);
    engine_.prefill(sequence_, tokens_);
  }
  // Instead of a prefill.
  void lengthen_alone() { lengthen(engine_, sequence_, tokens()); }
  // A token behind the prompt, and behind those decoded before, while there is room; returns how many are before it.
  int32_t decode() {
    if (engine_.cache().length(sequence_) == engine_.context()) {  // again from the end of the prompt
      engine_.cache().trim(sequence_, 0);
      lengthen_alone();
    }
    const int32_t behind = engine_.cache().length(sequence_);
    engine_.decode(sequence_, 0);
    return behind;
  }

 private:
  Engine& engine_;
  std::vector<int32_t> tokens_;
  int32_t sequence_;
};

std::vector<int64_t> barriers(const Plan& plan) { return {plan.barriers().begin(), plan.barriers().end()}; }

}  // namespace

int32_t prompt_tokens(const Engine& engine) { return std::min(engine.batch(), std::max(engine.context() - 1, 1)); }

ProfiledRuns profiled_runs(Engine& engine, int prefills, int decodes, const std::function<void()>& after_prefill) {
  Plan& plan = engine.plan();
  const LanguageModel& model = engine.model();
  const Device device = plan.device();
  const bool profiled = plan.options().profile;
  Prompt prompt(engine);
  ProfiledRuns runs{.prompt = prompt.tokens(), .behind = std::min(prompt.tokens(), engine.context() - 1)};
  if (profiled && prefills > 0) prompt.prefill();  // the first run touches memory for the first time
  // Runs do the same work several times, so that the least and the median of their times say something.
  std::optional<PinnedTeam> pinned;
  if (profiled && device.is_cpu()) pinned.emplace(device.threads());
  plan.clear_profile();
  for (int i = 0; i < prefills; ++i) prompt.prefill();
  if (prefills == 0)
    prompt.lengthen_alone();  // decoding happens after a prompt, so that its attention has keys to read
  runs.prefill =
      take_profile(plan, format("prefill of %d tokens", runs.prompt), seen_extents(model, runs.prompt, 1, runs.prompt));
  runs.prefill_barriers = barriers(plan);
  if (after_prefill) after_prefill();
  plan.clear_profile();
  for (int i = 0; i < decodes && runs.prompt < engine.context(); ++i) {
    runs.behind = prompt.decode();
    runs.decode_barriers = barriers(plan);
  }
  pinned.reset();
  runs.decode = take_profile(plan, format("decode of 1 token behind %d", runs.behind),
                             seen_extents(model, 1, 1, runs.behind + 1));
  if (profiled && device.is_cpu()) {
    runs.prefill.limits = runs.decode.limits = waiting_for(
        "measuring the machine", [&] { return measure_limits(device.threads(), bytes_to_read(runs.decode.costs)); });
  }
  return runs;
}

RunTrace traced_runs(Engine& engine, int decodes) {
  Plan& plan = engine.plan();
  const bool profiled = plan.options().profile;
  Prompt prompt(engine);
  RunTrace trace(plan);
  plan.profile(false);
  prompt.prefill();  // threads are awake, and memory is touched
  plan.trace(&trace);
  prompt.prefill();
  for (int i = 0; i < decodes && prompt.tokens() < engine.context(); ++i) prompt.decode();
  plan.trace(nullptr);
  plan.profile(profiled);
  return trace;
}

}  // namespace weft::tools
