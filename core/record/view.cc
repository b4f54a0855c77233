#include "core/record/view.h"

namespace weft {

ResolvedView resolve(const Operand& operand, std::span<const AxisId> loops, const int64_t* extents) {
  ResolvedView result;
  int64_t stride = 1;
  for (size_t i = operand.view.size(); i-- > 0;) {
    const ViewAxis& axis = operand.view[i];
    result.offset += axis.begin * stride;
    if (axis.gather >= 0) {
      result.gathers[static_cast<size_t>(result.gather_count++)] = {axis.gather, stride, extents[axis.stored]};
    } else {
      for (size_t l = 0; l < loops.size(); ++l) {
        if (loops[l] == axis.axis) result.stride[l] = stride;
      }
    }
    stride *= extents[axis.stored];
  }
  return result;
}

int64_t element_count(std::span<const AxisId> axes, const int64_t* extents) {
  int64_t count = 1;
  for (const AxisId axis : axes) count *= extents[axis];
  return count;
}

}  // namespace weft
