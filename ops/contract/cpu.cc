#include "ops/contract/region.h"

namespace weft {
namespace {

class ContractKernel final : public CpuKernel {
 public:
  explicit ContractKernel(const KernelContext& context)
      : region_(context, context.step.regions.front(), context.step.outputs) {}

  std::vector<KernelRange> kernels() const override {
    std::vector<KernelRange> all;
    region_.add_kernels(all);
    return all;
  }
  size_t scratch_bytes() const override { return region_.scratch_bytes(); }
  void run(const StepArgs& args, const Team& team) const override { region_.run(args, team, args.scratch); }

 private:
  ContractRegion region_;
};

}  // namespace

std::unique_ptr<CpuKernel> make_contract_kernel(const KernelContext& context) {
  if (context.step.kind != StepKind::contract) return nullptr;
  return std::make_unique<ContractKernel>(context);
}

}  // namespace weft
