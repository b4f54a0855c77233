#include "ops/harness/run_cpu.h"

#include <omp.h>

#include <memory>
#include <vector>

#include "ops/cpu/claims.h"
#include "ops/cpu/kernel.h"

namespace weft {
namespace {

// A kernel with the weights that it reads.
class Prepared {
 public:
  Prepared(const StepCase& step_case, Precision precision, int threads, const ProductKernel* forced)
      : layouts_(choose_weight_layouts(step_case.graph, step_case.max_extents.data(), forced)),
        weights_(step_case.graph, step_case.max_extents.data(), layouts_,
                 packed_.interleaved(wanted_weights(step_case.graph, layouts_), threads), packed_),
        kernel_(select_cpu_kernel({.graph = step_case.graph,
                                   .step = step_case.step(),
                                   .max_extents = step_case.max_extents.data(),
                                   .precision = precision,
                                   .threads = threads,
                                   .weights = &weights_,
                                   .forced = forced})) {}
  const CpuKernel& kernel() const { return *kernel_; }

 private:
  WeightLayouts layouts_;
  PackedWeights packed_;
  PlanWeights weights_;
  std::unique_ptr<CpuKernel> kernel_;
};

}  // namespace

std::vector<KernelRange> cpu_kernels(const StepCase& step_case, Precision precision, const ProductKernel* forced) {
  step_case.reset();
  return Prepared(step_case, precision, 1, forced).kernel().kernels();
}

Outputs run_cpu(const StepCase& step_case, Precision precision, int threads, const ProductKernel* forced,
                std::set<std::string>* ran) {
  step_case.reset();
  const Prepared prepared(step_case, precision, threads, forced);
  const CaseBytes scratch(prepared.kernel().scratch_bytes());
  std::vector<KernelNotes> notes(static_cast<size_t>(threads));
  StepArgs args = step_case.args();
  args.scratch = scratch.data();
  args.notes = notes.data();
  TeamBarrier meeting(threads);
  TeamClaims claims(threads);
#pragma omp parallel num_threads(threads)
  {
    const Team team{.thread = omp_get_thread_num(),
                    .threads = threads,
                    .meeting = threads > 1 ? &meeting : nullptr,
                    .claims = threads > 1 ? &claims : nullptr};
    prepared.kernel().run(args, team);
  }
  for (const KernelNotes& of_thread : notes) {
    for (const char* name : of_thread.names) {
      if (ran != nullptr && name != nullptr) ran->insert(name);
    }
  }
  return step_case.outputs();
}

}  // namespace weft
