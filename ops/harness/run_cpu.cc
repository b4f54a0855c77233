#include "ops/harness/run_cpu.h"

#include <omp.h>

#include <memory>
#include <vector>

#include "ops/cpu/claims.h"
#include "ops/cpu/kernel.h"

namespace weft {

// A kernel with the weights that it reads, and what a team runs it with.
struct CpuCaseRunner::State {
  State(const StepCase& step_case, const CpuRunOptions& options)
      : threads(options.threads),
        layouts(choose_weight_layouts(step_case.graph, step_case.max_extents.data(), options.forced)),
        weights(step_case.graph, step_case.max_extents.data(), layouts,
                packed.interleaved(wanted_weights(step_case.graph, layouts), threads), packed),
        kernel(select_cpu_kernel({.graph = step_case.graph,
                                  .step = step_case.step(),
                                  .max_extents = step_case.max_extents.data(),
                                  .precision = options.precision,
                                  .threads = threads,
                                  .weights = &weights,
                                  .forced = options.forced,
                                  .forced_step = options.forced_step})),
        scratch(kernel->scratch_bytes()),
        notes(static_cast<size_t>(threads)),
        args(step_case.args()),
        meeting(threads),
        claims(threads) {
    args.scratch = scratch.data();
    args.notes = notes.data();
  }

  struct Turn {
    const CpuKernel* kernel;
    const StepArgs* args;
  };
  Turn turn();
  void run(std::span<const Turn> turns, int64_t times);

  int threads;
  WeightLayouts layouts;
  PackedWeights packed;
  PlanWeights weights;
  std::unique_ptr<CpuKernel> kernel;
  CaseBytes scratch;
  std::vector<KernelNotes> notes;
  StepArgs args;
  TeamBarrier meeting;
  TeamClaims claims;
};

CpuCaseRunner::CpuCaseRunner(const StepCase& step_case, const CpuRunOptions& options)
    : state_(std::make_unique<State>(step_case, options)) {}
CpuCaseRunner::~CpuCaseRunner() = default;

std::vector<KernelRange> CpuCaseRunner::kernels() const { return state_->kernel->kernels(); }

CpuCaseRunner::State::Turn CpuCaseRunner::State::turn() { return {kernel.get(), &args}; }

// What the threads share of the first runner serves all.
void CpuCaseRunner::State::run(std::span<const Turn> turns, int64_t times) {
  claims.reset();
#pragma omp parallel num_threads(threads)
  {
    const bool meets = threads > 1;
    const Team team{.thread = omp_get_thread_num(),
                    .threads = threads,
                    .meeting = meets ? &meeting : nullptr,
                    .claims = meets ? &claims : nullptr};
    for (int64_t i = 0; i < times; ++i) {
      const Turn& turn = turns[static_cast<size_t>(i) % turns.size()];
      if (i > 0) team.barrier();
      turn.kernel->run(*turn.args, team);
    }
  }
}

void CpuCaseRunner::run() {
  const State::Turn turn = state_->turn();
  state_->run({&turn, 1}, 1);
}

void CpuCaseRunner::run(std::span<const std::unique_ptr<CpuCaseRunner>> runners, int64_t times) {
  std::vector<State::Turn> turns;
  for (const auto& runner : runners) turns.push_back(runner->state_->turn());
  runners.front()->state_->run(turns, times);
}

std::set<std::string> CpuCaseRunner::ran() const {
  std::set<std::string> names;
  for (const KernelNotes& of_thread : state_->notes) {
    for (const char* name : of_thread.names) {
      if (name != nullptr) names.insert(name);
    }
  }
  return names;
}

std::vector<KernelRange> cpu_kernels(const StepCase& step_case, Precision precision, const ProductKernel* forced) {
  step_case.reset();
  return CpuCaseRunner(step_case, {.precision = precision, .forced = forced}).kernels();
}

Outputs run_cpu(const StepCase& step_case, const CpuRunOptions& options, std::set<std::string>* ran) {
  step_case.reset();
  CpuCaseRunner runner(step_case, options);
  runner.run();
  if (ran != nullptr) ran->merge(runner.ran());
  return step_case.outputs();
}

Outputs run_cpu(const StepCase& step_case, Precision precision, int threads, const ProductKernel* forced,
                std::set<std::string>* ran) {
  return run_cpu(step_case, {.precision = precision, .threads = threads, .forced = forced}, ran);
}

}  // namespace weft
