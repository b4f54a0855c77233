#include "ops/harness/run_cpu.h"

#include <omp.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/error.h"
#include "core/record/axis_list.h"
#include "core/record/view.h"
#include "ops/cpu/kernel.h"

namespace weft {
namespace {

bool stored_in_order(const Operand& operand, std::span<const AxisId> axes) {
  // The contracted axes must be the last of the view, whole, and in this order.
  if (axes.size() > operand.view.size()) return false;
  const size_t first = operand.view.size() - axes.size();
  for (size_t i = 0; i < axes.size(); ++i) {
    const ViewAxis& axis = operand.view[first + i];
    if (axis.gather >= 0 || axis.axis != axes[i] || axis.stored != axis.axis) return false;
  }
  return true;
}

// Packs as WeightPacker says; keeps what it has moved.
class CasePacker : public WeightPacker {
 public:
  explicit CasePacker(const StepCase& step_case) : case_(step_case) {}

  const std::byte* pack(const Region& region, const Operand& operand, std::span<const AxisId> axes,
                        Format& format) override {
    const ValueRecord& value = case_.graph.values[operand.value];
    format = value.format;
    const std::byte* data = case_.bytes[operand.value].data();
    if (stored_in_order(operand, axes)) return data;
    for (const AxisId axis : axes) {
      const bool found = std::any_of(operand.view.begin(), operand.view.end(),
                                     [axis](const ViewAxis& v) { return v.gather < 0 && v.axis == axis; });
      if (!found) throw Error("case '" + case_.name() + "': cannot pack gathered axes of '" + value.name + "'");
    }
    static_cast<void>(region);
    // Stored elements, decoded, with the axes of `axes` moved to the end.
    const auto count = static_cast<size_t>(case_.element_count(operand.value));
    std::vector<float> decoded(count);
    decode_row(value.format, data, count, decoded.data());
    std::vector<size_t> order;
    const auto is_packed = [&](const ViewAxis& v) { return v.gather < 0 && contains(axes, v.axis); };
    for (size_t i = 0; i < operand.view.size(); ++i) {
      if (!is_packed(operand.view[i])) order.push_back(i);
    }
    for (const AxisId axis : axes) {
      for (size_t i = 0; i < operand.view.size(); ++i) {
        if (operand.view[i].gather < 0 && operand.view[i].axis == axis) order.push_back(i);
      }
    }
    std::vector<size_t> strides(operand.view.size(), 1);
    for (size_t i = operand.view.size(); i-- > 1;) strides[i - 1] = strides[i] * extent(operand.view[i]);
    CaseBytes packed(count * sizeof(float));
    auto* to = reinterpret_cast<float*>(packed.data());
    std::vector<size_t> at(order.size(), 0);
    for (size_t n = 0; n < count; ++n) {
      size_t from = 0;
      for (size_t i = 0; i < order.size(); ++i) from += at[i] * strides[order[i]];
      to[n] = decoded[from];
      for (size_t i = order.size(); i-- > 0;) {
        if (++at[i] < extent(operand.view[order[i]])) break;
        at[i] = 0;
      }
    }
    packed_.push_back(packed);
    format = Format::f32;
    return packed.data();
  }

 private:
  size_t extent(const ViewAxis& axis) const { return static_cast<size_t>(case_.extents[axis.stored]); }

  const StepCase& case_;
  std::vector<CaseBytes> packed_;
};

std::unique_ptr<CpuKernel> kernel_of(const StepCase& step_case, Precision precision, int threads, CasePacker& packer) {
  const KernelContext context{.graph = step_case.graph,
                              .step = step_case.step(),
                              .max_extents = step_case.max_extents.data(),
                              .precision = precision,
                              .threads = threads,
                              .packer = &packer};
  std::unique_ptr<CpuKernel> kernel = select_cpu_kernel(context);
  if (!kernel) throw Error("case '" + step_case.name() + "': no CPU kernel");
  return kernel;
}

}  // namespace

std::string cpu_kernel_name(const StepCase& step_case, Precision precision) {
  step_case.reset();
  CasePacker packer(step_case);
  return kernel_of(step_case, precision, 1, packer)->name();
}

Outputs run_cpu(const StepCase& step_case, Precision precision, int threads) {
  step_case.reset();
  CasePacker packer(step_case);
  const std::unique_ptr<CpuKernel> kernel = kernel_of(step_case, precision, threads, packer);
  const CaseBytes scratch(kernel->scratch_bytes());
  StepArgs args = step_case.args();
  args.scratch = scratch.data();
#pragma omp parallel num_threads(threads)
  {
    const Team team{.thread = omp_get_thread_num(), .threads = threads};
    kernel->run(args, team);
  }
  return step_case.outputs();
}

}  // namespace weft
