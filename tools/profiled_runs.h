// Runs of a model that are looked at step by step: a prompt, and tokens decoded behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "runtime/generate/engine.h"
#include "runtime/plan/profile.h"
#include "runtime/plan/run_trace.h"

namespace weft::tools {

// Tokens of the prompt: a batch, or less where the context has no room for that and one more.
int32_t prompt_tokens(const Engine& engine);

struct ProfiledRuns {
  int32_t prompt = 0;  // prompt_tokens()
  int32_t behind = 0;  // tokens before the last one that was decoded
  PlanProfile prefill = {}, decode = {};
  std::vector<int64_t> prefill_barriers = {}, decode_barriers = {};  // by group, of the last run; empty on OpenCL
};

// So many prefills, then so many decoded tokens. Where the engine's plan is profiled, threads stay on their CPUs on the
// CPU, the first prefill is not counted, and the profiles have the machine's limits there. `after_prefill`, if there is
// one, is called between the two, while the plan has the prefills' times.
ProfiledRuns profiled_runs(Engine& engine, int prefills, int decodes, const std::function<void()>& after_prefill = {});

// The same once, as it runs without a profile: a prefill, and `decodes` tokens behind it.
RunTrace traced_runs(Engine& engine, int decodes);

}  // namespace weft::tools
