#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "core/record/axis_list.h"
#include "core/record/view.h"
#include "ops/cpu/kernel.h"
#include "ops/plugin/plugin.h"

namespace weft {
namespace {

constexpr size_t kMostInputs = 16;

class RowsKernel : public CpuKernel {
 public:
  struct Input {
    ValueId value = kNoValue;
    std::vector<AxisId> row_axes;  // of its rows
    std::vector<float> weight;     // decoded; empty: read where it is
  };

  RowsKernel(const weft_kernel& kernel, const Step& step, std::vector<Input> inputs, std::vector<float> constants,
             std::vector<AxisId> row_axes, AxisId along, bool reduces_row)
      : kernel_(kernel),
        output_(step.outputs[0]),
        inputs_(std::move(inputs)),
        constants_(std::move(constants)),
        row_axes_(std::move(row_axes)),
        along_(along),
        reduces_row_(reduces_row) {}

  std::vector<KernelRange> kernels() const override { return {{.name = kernel_.name}}; }
  size_t scratch_bytes() const override { return 0; }

  void run(const StepArgs& args, const Team& team) const override {
    args.ran(team.thread, kernel_.name);
    const Range mine = share(element_count(row_axes_, args.extents), 1, team);
    if (mine.first >= mine.last) return;
    std::array<const float*, kMostInputs> inputs{};
    std::array<int64_t, kMostInputs> rows{};
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Input& input = inputs_[i];
      inputs[i] = input.weight.empty() ? static_cast<const float*>(args.data[input.value]) : input.weight.data();
      rows[i] = element_count(input.row_axes, args.extents);
    }
    const int64_t width = args.extents[along_];
    const weft_rows call{.first = mine.first,
                         .last = mine.last,
                         .width = width,
                         .output_width = reduces_row_ ? 1 : width,
                         .inputs = inputs.data(),
                         .input_rows = rows.data(),
                         .constants = constants_.data(),
                         .output = static_cast<float*>(args.data[output_])};
    kernel_.rows(&call);
  }

 private:
  const weft_kernel& kernel_;
  ValueId output_;
  std::vector<Input> inputs_;
  std::vector<float> constants_;
  std::vector<AxisId> row_axes_;
  AxisId along_;
  bool reduces_row_;
};

bool is_plain(const ViewAxis& axis) { return axis.gather < 0 && axis.axis == axis.stored && axis.begin == 0; }

// An operand that has rows along `along`: all those of `row_axes`, or those that they end with.
std::optional<RowsKernel::Input> as_rows(const KernelContext& context, const Operand& operand,
                                         std::span<const AxisId> row_axes, AxisId along) {
  const ValueRecord& value = context.graph.values[operand.value];
  if (value.is_cached() || value.element() != Element::f32) return std::nullopt;
  if (operand.view.empty() || !std::ranges::all_of(operand.view, is_plain)) return std::nullopt;
  RowsKernel::Input input{.value = operand.value, .row_axes = {}, .weight = {}};
  for (const ViewAxis& axis : operand.view) input.row_axes.push_back(axis.axis);
  if (input.row_axes.back() != along) return std::nullopt;
  input.row_axes.pop_back();
  const size_t count = input.row_axes.size();
  if (count > row_axes.size() || !std::ranges::equal(input.row_axes, row_axes.last(count))) return std::nullopt;
  if (value.format == Format::f32) return input;
  if (value.kind != ValueKind::weight) return std::nullopt;
  const Storage& storage = *value.storage;
  int64_t elements = 1;
  for (const int64_t extent : storage.extents) elements *= extent;
  if (elements == 0) return std::nullopt;
  input.weight.resize(static_cast<size_t>(elements));
  decode_row(value.format, storage.stored(), input.weight.size(), input.weight.data());
  return input;
}

}  // namespace

std::unique_ptr<CpuKernel> make_rows_kernel(const KernelContext& context, const weft_kernel& kernel,
                                            const Formula& formula) {
  const Step& step = context.step;
  if (step.kind != formula.kind() || step.regions.size() != 1) return nullptr;
  const Region& region = step.regions.front();
  if (region.attention || region.rotation || region.selection || !region.post.empty() || !region.lhs.empty()) {
    return nullptr;
  }
  const std::optional<FormulaMatch> found = match(formula, region);
  if (!found || found->operands.size() > kMostInputs || region.body.program.type() != Element::f32) return nullptr;
  // The row is the last axis; a norm's is the reduced one, which the result may not have.
  std::vector<AxisId> row_axes = region.axes;
  AxisId along = region.custom ? region.custom->along : region.body.reduced;
  const bool has_row = along == kNoAxis || contains(row_axes, along);
  if (has_row == formula.reduces_row || (has_row && row_axes.empty())) return nullptr;
  if (has_row) {
    if (along != kNoAxis && row_axes.back() != along) return nullptr;
    along = row_axes.back();
    row_axes.pop_back();
  }
  std::vector<RowsKernel::Input> inputs;
  for (const int operand : found->operands) {
    auto input = as_rows(context, region.operands[static_cast<size_t>(operand)], row_axes, along);
    if (!input) return nullptr;
    inputs.push_back(std::move(*input));
  }
  return std::make_unique<RowsKernel>(kernel, step, std::move(inputs), found->constants, std::move(row_axes), along,
                                      formula.reduces_row);
}

}  // namespace weft
