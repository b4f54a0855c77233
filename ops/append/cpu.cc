// Appending to a cache: a region per field, whose rows go to the slots of the batch; and their positions.
//
// The regions run one after the other without a barrier between them; rows are written where they belong as soon
// as they are computed, by way of a buffer where something follows the body (a rotation) or where the field is not
// stored in f32.
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/align.h"
#include "core/error.h"
#include "ops/contract/region.h"
#include "ops/cpu/encode_tile.h"

namespace weft {
namespace {

// A field that is a map or a norm.
class RowRegion {
 public:
  RowRegion(const KernelContext& context, const Region& region, ValueId output)
      : region_(&region),
        output_(output),
        format_(context.graph.values[output].format),
        rows_(context, region, region.body, {region.axes.front()}, {region.axes.begin() + 1, region.axes.end()}),
        epilogue_(context, region, {&output, 1}) {
    const auto take = [this](size_t bytes) { return std::exchange(scratch_bytes_, scratch_bytes_ + align_up(bytes)); };
    finish_at_ = take(epilogue_.scratch_bytes());
    thread_bytes_ = align_up(rows_.workspace_bytes());
    threads_at_ = take(thread_bytes_ * static_cast<size_t>(context.threads));
  }
  size_t scratch_bytes() const { return scratch_bytes_; }
  bool stages_rows() const { return epilogue_.needed() || !rows_.by_rows() || format_ != Format::f32; }

  void run(const StepArgs& args, const Team& team, std::byte* scratch, const int32_t* slots, std::byte* out) const {
    LhsRun rows = rows_.bind(args, scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_);
    const int64_t width = rows.k();
    const bool by_rows = !epilogue_.needed() || (epilogue_.by_rows() && epilogue_.row_axis() > 0);
    auto* staged = static_cast<float*>(args.data[output_]);
    float* body = epilogue_.needed() ? epilogue_.body(args, scratch + finish_at_) : staged;
    if (!rows_.by_rows() || !by_rows) {
      if (rows_.in_place()) {
        const Range range = share(rows.rows(), 1, team);
        for (int64_t r = range.first; r < range.last; ++r) copy(rows.row(r), width, body + r * width);
      } else {
        rows.evaluate_share(team, body);
      }
      team.barrier();
      if (epilogue_.needed()) {
        epilogue_.run(args, team, scratch + finish_at_);
        team.barrier();
      }
    }
    int64_t lines = 1;  // of a row, as Epilogue counts them
    for (size_t i = 1; i < epilogue_.row_axis(); ++i) lines *= args.extents[region_->axes[i]];
    const Range range = share(rows.rows(), 1, team);
    for (int64_t r = range.first; r < range.last; ++r) {
      if (slots[r] < 0) continue;
      const float* row = staged + r * width;
      if (rows_.by_rows() && by_rows) {
        if (!epilogue_.needed() && rows_.in_place()) {
          row = rows.row(r);
        } else if (!stages_rows()) {
          rows.evaluate(r, r + 1, reinterpret_cast<float*>(out) + slots[r] * width);
          continue;
        } else if (rows_.in_place()) {
          copy(rows.row(r), width, body + r * width);
        } else {
          rows.evaluate(r, r + 1, body + r * width);
        }
        if (epilogue_.needed()) {
          epilogue_.finish_rows(args, team, scratch + finish_at_, r * lines, (r + 1) * lines);
        }
      }
      encode_elements(format_, row, out, slots[r] * width, width);
    }
  }

 private:
  static void copy(const float* from, int64_t count, float* to) {
    if (count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
  }

  const Region* region_;
  ValueId output_;
  Format format_;  // of the field
  LhsRows rows_;
  Epilogue epilogue_;
  size_t finish_at_ = 0, thread_bytes_ = 0, threads_at_ = 0, scratch_bytes_ = 0;
};

class AppendKernel final : public CpuKernel {
 public:
  explicit AppendKernel(const KernelContext& context)
      : cache_(&context.graph.caches[static_cast<size_t>(context.step.cache)]), values_(context.graph.values.size()) {
    const auto take = [this](size_t bytes) { return std::exchange(scratch_bytes_, scratch_bytes_ + align_up(bytes)); };
    bool stages = false;
    for (size_t i = 0; i < context.step.regions.size(); ++i) {
      const Region& region = context.step.regions[i];
      const ValueId output = context.step.outputs[i];
      const ValueRecord& value = context.graph.values[output];
      if (!is_cache_format(value.format)) {
        throw Error("step '" + context.step.name + "': cache field '" + value.name + "' cannot be stored in " +
                    std::string(weft::name(value.format)));
      }
      if (const auto block = static_cast<int64_t>(info(value.format).block_elements);
          block > 1 && (region.axes.size() == 1 || context.max_extents[region.axes.back()] % block != 0)) {
        throw Error("step '" + context.step.name + "': the rows of cache field '" + value.name +
                    "' are not whole blocks of " + std::string(weft::name(value.format)));
      }
      Field& field = fields_.emplace_back();
      field.output = output;
      if (region.contractions.empty()) field.rows.emplace(context, region, output);
      else field.contract.emplace(context, region, std::span(&output, 1));
      field.scratch_at = take(field.contract ? field.contract->scratch_bytes() : field.rows->scratch_bytes());
      field.stages = field.contract ? field.contract->stages_rows() : field.rows->stages_rows();
      stages = stages || field.stages;
      const auto elements = static_cast<size_t>(element_count(region.axes, context.max_extents));
      field.staged_at = take(field.stages ? elements * sizeof(float) : 0);
    }
    data_bytes_ = stages ? align_up(values_ * sizeof(void*)) : 0;
    data_at_ = take(data_bytes_ * static_cast<size_t>(context.threads));
  }

  std::vector<KernelRange> kernels() const override {
    std::vector<KernelRange> all;
    for (const Field& field : fields_) {
      if (field.contract) field.contract->add_kernels(all);
      else add_kernel(all, {.name = kRowsName});
    }
    return all;
  }
  size_t scratch_bytes() const override { return scratch_bytes_; }

  void run(const StepArgs& args, const Team& team) const override {
    const auto* slots = static_cast<const int32_t*>(args.data[cache_->slots]);
    StepArgs local = args;
    if (data_bytes_ > 0) {  // buffers take the place of the pools, which are written by slots
      auto** data = reinterpret_cast<void**>(args.scratch + data_at_ + static_cast<size_t>(team.thread) * data_bytes_);
      std::copy(args.data, args.data + values_, data);
      for (const Field& field : fields_) {
        if (field.stages) data[field.output] = args.scratch + field.staged_at;
      }
      local.data = data;
    }
    for (const Field& field : fields_) {
      std::byte* scratch = args.scratch + field.scratch_at;
      auto* pool = static_cast<std::byte*>(args.data[field.output]);
      if (field.contract) field.contract->run(local, team, scratch, slots, pool);
      else field.rows->run(local, team, scratch, slots, pool);
      if (field.rows) args.ran(team.thread, kRowsName);
    }
    if (team.thread != 0 || cache_->positions == kNoValue) return;
    auto* positions = static_cast<int32_t*>(args.data[cache_->positions]);
    const auto* values = static_cast<const int32_t*>(args.data[cache_->pos_values]);
    for (int64_t r = 0; r < args.extents[cache_->pos]; ++r) {
      if (slots[r] >= 0) positions[slots[r]] = values[r];
    }
  }

 private:
  static constexpr const char* kRowsName = "append/rows";

  struct Field {
    ValueId output = kNoValue;
    std::optional<ContractRegion> contract;  // one of the two
    std::optional<RowRegion> rows;
    bool stages = false;
    size_t scratch_at = 0, staged_at = 0;
  };
  const CacheRecord* cache_;
  size_t values_;
  std::vector<Field> fields_;
  size_t data_at_ = 0, data_bytes_ = 0, scratch_bytes_ = 0;
};

}  // namespace

std::unique_ptr<CpuKernel> make_append_kernel(const KernelContext& context) {
  if (context.step.kind != StepKind::append) return nullptr;
  return std::make_unique<AppendKernel>(context);
}

}  // namespace weft
