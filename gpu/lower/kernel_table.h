// The table of OpenCL kernels that compute the products of contractions, from which a plan picks as it does on the CPU
// (ops/cpu/kernel_table.h). Rows can be added at run time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/format/format.h"
#include "core/record/layout.h"
#include "gpu/lower/gpu_shape.h"
#include "ops/kernel_row.h"
#include "ops/plugin/opencl_file.h"

namespace weft {

struct OpenClKernel : ProductRow {
  // The OpenCL C that declares and computes `float sum${n}[${rows}]`: a section of ops/contract/opencl.cl, where it is
  // said what is given to it.
  std::string text;
  // Neighbouring outputs that a team of lanes sums at once, or as many as there are lanes if these are fewer; powers of
  // two. Contractions share a kernel, and so their epilogue, where their rows agree on this and on the tile.
  int columns = 1;
  bool needs_contiguous = false;  // contracted elements follow each other, on both sides
  // The devices that it is for; on others it is picked where nothing else serves, or where it is asked for. Null: all.
  bool (*is_for)(const GpuShape&) = nullptr;
  std::shared_ptr<const OpenClFile> file;  // of a user, whose function the text calls; null: none

  int columns_on(const GpuShape& shape) const { return columns < shape.lanes ? columns : shape.lanes; }
};

// Rows stay where they are and are never removed; threads may read and add at once.
class OpenClKernelTable {
 public:
  // Throws Error where the name is taken, or the row could never be picked.
  void add(OpenClKernel row);
  // By falling preference, then as they were added.
  std::vector<const OpenClKernel*> all() const { return rows_.all(); }
  // Null where there is none of that name.
  const OpenClKernel* find(std::string_view name) const { return rows_.find(name); }

 private:
  KernelRows<OpenClKernel> rows_;
};

// The one that plans use, with the built-in rows and those of users' files (ops/plugin/opencl_file.h).
OpenClKernelTable& opencl_kernel_table();

// The kernels that a plan runs on a device for right-hand rows of `format` in `layout`: ranges of rows without gaps,
// from 1 on. `is_contiguous`: whether contracted elements are. `forced`: this one where it can serve. Throws Error
// where nothing serves.
using OpenClPick = RowPick<OpenClKernel>;
std::vector<OpenClPick> pick_opencl_kernels(const GpuShape& shape, Format format, const Layout& layout,
                                            bool is_contiguous, const OpenClKernel* forced = nullptr);

// The layout that the preferred kernels for this format read on a device.
Layout preferred_layout(const GpuShape& shape, Format format, const OpenClKernel* forced = nullptr);

}  // namespace weft
