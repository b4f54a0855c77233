#include "core/tensor_view.h"

#include <string>

#include "core/error.h"

namespace weft::view_detail {

void check_extents(std::span<const AxisInfo* const> axes, std::span<const int64_t> extents, size_t values) {
  size_t elements = 1;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto wrong = [&](const std::string& what) {
      throw Error("axis '" + std::string(axes[i]->name) + "' of a view" + what);
    };
    if (extents[i] < 0) wrong(": extent " + std::to_string(extents[i]) + " is negative");
    if (axes[i]->fixed_extent != kRunTimeExtent && axes[i]->fixed_extent != extents[i]) {
      wrong(" has the fixed extent " + std::to_string(axes[i]->fixed_extent) + ", not " + std::to_string(extents[i]));
    }
    if (__builtin_mul_overflow(elements, static_cast<size_t>(extents[i]), &elements)) wrong(": the extents overflow");
  }
  if (elements != values) {
    throw Error("a view has " + std::to_string(elements) + " elements, but " + std::to_string(values) +
                " values were given");
  }
}

void refuse_row(const AxisInfo& axis, int64_t row, int64_t extent) {
  throw Error("there is no row " + std::to_string(row) + ": axis '" + std::string(axis.name) + "' is " +
              std::to_string(extent));
}

}  // namespace weft::view_detail
