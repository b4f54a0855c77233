#include <array>
#include <optional>
#include <utility>

#include "core/record/view.h"
#include "ops/cpu/kernel.h"
#include "ops/plugin/fields.h"
#include "ops/plugin/plugin.h"
#include "ops/plugin/rows_of_step.h"

namespace weft {
namespace {

class RowsKernel : public CpuKernel {
 public:
  RowsKernel(const weft_kernel& kernel, const Step& step, RowsOfStep rows, bool reduces_row)
      : kernel_(kernel), output_(step.outputs[0]), rows_(std::move(rows)), reduces_row_(reduces_row) {}

  std::vector<KernelRange> kernels() const override { return {{.name = kernel_.name}}; }
  size_t scratch_bytes() const override { return 0; }

  void run(const StepArgs& args, const Team& team) const override {
    args.ran(team.thread, kernel_.name);
    const Range mine = share(element_count(rows_.row_axes, args.extents), 1, team);
    if (mine.first >= mine.last) return;
    std::array<const float*, kMostInputs> inputs{};
    std::array<int64_t, kMostInputs> rows{};
    for (size_t i = 0; i < rows_.inputs.size(); ++i) {
      const RowsInput& input = rows_.inputs[i];
      inputs[i] = input.weight.empty() ? static_cast<const float*>(args.data[input.value]) : input.weight.data();
      rows[i] = element_count(input.row_axes, args.extents);
    }
    const int64_t width = args.extents[rows_.along];
    const weft_rows call{.first = mine.first,
                         .last = mine.last,
                         .width = width,
                         .output_width = reduces_row_ ? 1 : width,
                         .inputs = inputs.data(),
                         .input_rows = rows.data(),
                         .constants = rows_.constants.data(),
                         .output = static_cast<float*>(args.data[output_])};
    kernel_.rows(&call);
  }

 private:
  const weft_kernel& kernel_;
  ValueId output_;
  RowsOfStep rows_;
  bool reduces_row_;
};

}  // namespace

std::unique_ptr<CpuKernel> make_rows_kernel(const KernelContext& context, const weft_kernel& kernel,
                                            const Formula& formula) {
  std::optional<RowsOfStep> rows = find_rows(context.graph, context.step, formula);
  if (!rows) return nullptr;
  return std::make_unique<RowsKernel>(kernel, context.step, std::move(*rows), formula.reduces_row);
}

}  // namespace weft
