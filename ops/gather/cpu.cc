// Rows of a table selected by ids, such as the embeddings of tokens: each row is decoded straight into the result.
#include <cstring>
#include <optional>

#include "core/align.h"
#include "core/record/view.h"
#include "ops/cpu/decode_tile.h"
#include "ops/cpu/kernel.h"
#include "ops/matrices.h"

namespace weft {
namespace {

class GatherKernel : public CpuKernel {
 public:
  explicit GatherKernel(const KernelContext& context) : output_(context.step.outputs[0]) {
    const Region& region = context.step.regions[0];
    const Operand& table = *gathered_table(context.graph, context.step);
    const Operand& ids = region.operands[static_cast<size_t>(table.view[0].gather)];
    table_ = table.value;
    ids_ = ids.value;
    format_ = context.graph.values[table_].format;
    table_axis_ = table.view[0].stored;
    for (const ViewAxis& axis : ids.view) id_axes_.push_back(axis.axis);
    for (size_t i = 1; i < table.view.size(); ++i) row_axes_.push_back(table.view[i].axis);
    const ValueRecord& value = context.graph.values[table_];
    const ChosenLayout* chosen = value.kind == ValueKind::weight ? context.weights->layout_of(table_) : nullptr;
    if (chosen != nullptr) {
      packed_ = context.weights->interleaved(table_);
      layout_.emplace(format_, chosen->layout, chosen->shape);
      stored_row_bytes_ = align_up(row_bytes(format_, static_cast<size_t>(chosen->shape.k)));
      threads_ = static_cast<size_t>(context.threads);
    }
  }

  std::vector<KernelRange> kernels() const override {
    return {
        {.name = layout_ ? kPackedName : kName, .format = format_, .layout = layout_ ? layout_->layout() : kStored}};
  }
  size_t scratch_bytes() const override { return threads_ * stored_row_bytes_; }

  void run(const StepArgs& args, const Team& team) const override {
    const auto* ids = static_cast<const int32_t*>(args.data[ids_]);
    const auto* table = static_cast<const std::byte*>(args.data[table_]);
    auto* out = static_cast<float*>(args.data[output_]);
    const int64_t row = element_count(row_axes_, args.extents);
    const int64_t rows = args.extents[table_axis_];
    std::byte* stored = args.scratch + static_cast<size_t>(team.thread) * stored_row_bytes_;
    args.ran(team.thread, layout_ ? kPackedName : kName);
    const Range mine = share(element_count(id_axes_, args.extents), 1, team);
    for (int64_t i = mine.first; i < mine.last; ++i) {
      if (ids[i] < 0 || ids[i] >= rows) {
        std::memset(out + i * row, 0, static_cast<size_t>(row) * sizeof(float));
      } else if (layout_) {
        layout_->unpack_row(packed_, ids[i], stored);
        decode_elements(format_, stored, 0, row, out + i * row);
      } else {
        decode_elements(format_, table, ids[i] * row, row, out + i * row);
      }
    }
  }

 private:
  static constexpr const char* kName = "gather";
  static constexpr const char* kPackedName = "gather-packed";

  ValueId output_ = kNoValue, table_ = kNoValue, ids_ = kNoValue;
  Format format_ = Format::f32;
  AxisId table_axis_ = kNoAxis;
  std::vector<AxisId> id_axes_, row_axes_;
  std::optional<Interleaved> layout_;
  const std::byte* packed_ = nullptr;
  size_t stored_row_bytes_ = 0, threads_ = 0;
};

}  // namespace

std::unique_ptr<CpuKernel> make_gather_kernel(const KernelContext& context) {
  if (gathered_table(context.graph, context.step) == nullptr) return nullptr;
  return std::make_unique<GatherKernel>(context);
}

}  // namespace weft
