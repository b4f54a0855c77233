// Maps: one program over the flattened elements of the result.
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"

namespace weft {
namespace {

// Elements that are worth waking another thread for.
constexpr int64_t kGrain = 1024;

class MapKernel : public CpuKernel {
 public:
  explicit MapKernel(const KernelContext& context)
      : axes_(context.step.regions[0].axes),
        output_(context.step.outputs[0]),
        body_(context.graph, context.step.regions[0], context.step.regions[0].body.program, axes_,
              static_cast<int>(axes_.size())),
        thread_bytes_(body_.workspace_bytes()),
        threads_(static_cast<size_t>(context.threads)) {}

  std::vector<KernelRange> kernels() const override { return {{.name = "map"}}; }
  size_t scratch_bytes() const override { return threads_ * thread_bytes_; }

  void run(const StepArgs& args, const Team& team) const override {
    const Range mine = share(element_count(axes_, args.extents), kGrain, team);
    args.ran(team.thread, "map");
    if (mine.first >= mine.last) return;
    const int64_t width = body_.type() == Element::bool8 ? 1 : 4;
    body_.bind(args, args.scratch + static_cast<size_t>(team.thread) * thread_bytes_)
        ->evaluate(mine.first, mine.last - mine.first, nullptr,
                   static_cast<std::byte*>(args.data[output_]) + mine.first * width);
  }

 private:
  std::vector<AxisId> axes_;
  ValueId output_;
  SourceEvaluator body_;
  size_t thread_bytes_;
  size_t threads_;
};

}  // namespace

std::unique_ptr<CpuKernel> make_map_kernel(const KernelContext& context) {
  if (context.step.kind != StepKind::map) return nullptr;
  return std::make_unique<MapKernel>(context);
}

}  // namespace weft
