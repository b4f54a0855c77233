#include "gpu/lower/kernel_table.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "gpu/lower/opencl_text.h"

namespace weft {
namespace {

// A row for single left-hand rows, and one for tiles of four, which read each weight once for all of them.
void add_pair(OpenClKernelTable& table, const OpenClKernel& row) {
  table.add(row);
  OpenClKernel tiles = row;
  tiles.name += "-4";
  tiles.activations.tile = 4;
  tiles.first_rows = 2;
  tiles.preference += 1;
  table.add(tiles);
}

void add_built_in(OpenClKernelTable& table) {
  const auto section = [](std::string_view name) { return std::string(opencl_section("contract", name)); };
  const auto has_lanes = [](const GpuShape& shape) { return shape.lanes > 1; };

  OpenClKernel stored;
  stored.formats.assign(std::begin(kFloatFormats), std::end(kFloatFormats));
  stored.name = "cl-strided";
  stored.text = section("strided");
  add_pair(table, stored);
  stored.name = "cl-dot";
  stored.text = section("dot");
  stored.needs_contiguous = true;
  stored.preference = 2;
  add_pair(table, stored);

  // Lanes that read 64 neighbouring bytes, one run of each row, make one access of it: what a device with lanes is fast
  // at, and what one without has no use for.
  OpenClKernel interleaved;
  interleaved.formats = {Format::q8_0};
  interleaved.layout = kRows16;
  interleaved.is_for = has_lanes;
  interleaved.name = "cl-x16-strided";
  interleaved.text = section("strided");
  add_pair(table, interleaved);
  interleaved.name = "cl-x16";
  interleaved.text = section("interleaved");
  interleaved.columns = kRows16.rows;
  interleaved.needs_contiguous = true;
  interleaved.preference = 4;
  add_pair(table, interleaved);
}

// Rows for the kernels of files that have none yet.
void add_from_files(OpenClKernelTable& table) {
  static std::mutex adding;
  const std::lock_guard lock(adding);
  for (const OpenClProductKernel* kernel : opencl_products_table().all()) {
    if (table.find(kernel->name) != nullptr) continue;
    OpenClKernel row;
    static_cast<ProductRow&>(row) = *kernel;
    const FormatInfo& format = info(kernel->formats.front());
    row.text = expand_opencl("plugin", "products",
                             {{"function", kernel->name},
                              {"block_elements", std::to_string(format.block_elements)},
                              {"block_bytes", std::to_string(format.block_bytes)},
                              // Given to the text of each contraction.
                              {"n", "${n}"},
                              {"rows", "${rows}"},
                              {"lhs", "${lhs}"},
                              {"lhs_rows", "${lhs_rows}"},
                              {"rhs", "${rhs}"},
                              {"rhs_code", "${rhs_code}"},
                              {"rhs_offset", "${rhs_offset}"},
                              {"valid", "${valid}"}});
    row.needs_contiguous = true;
    row.file = kernel->file;
    table.add(std::move(row));
  }
}

std::vector<const OpenClKernel*> serving(const GpuShape& shape, Format format, bool is_contiguous,
                                         const OpenClKernel* forced) {
  std::vector<const OpenClKernel*> rows = opencl_kernel_table().all();
  std::stable_partition(rows.begin(), rows.end(),
                        [&](const OpenClKernel* row) { return row->is_for == nullptr || row->is_for(shape); });
  return serving_rows(rows, forced, [&](const OpenClKernel& row) {
    return row.takes(format) && (is_contiguous || !row.needs_contiguous);
  });
}

}  // namespace

void OpenClKernelTable::add(OpenClKernel row) {
  check_row(row);
  const auto refuse = [&](const std::string& why) { throw Error("kernel '" + row.name + "': " + why); };
  if (row.text.empty()) refuse("it has no text");
  if (row.activations.element != ActivationElement::floats) refuse("OpenCL kernels take activations as f32");
  if (row.columns < 1 || (row.columns & (row.columns - 1)) != 0) {
    refuse("a team of lanes cannot sum " + std::to_string(row.columns) + " outputs: it has to be a power of two");
  }
  rows_.add(std::move(row));
}

OpenClKernelTable& opencl_kernel_table() {
  static OpenClKernelTable* const table = [] {
    auto* built_in = new OpenClKernelTable;  // lives as long as the program: plans may be made while it ends
    add_built_in(*built_in);
    return built_in;
  }();
  add_from_files(*table);
  return *table;
}

std::vector<OpenClPick> pick_opencl_kernels(const GpuShape& shape, Format format, const Layout& layout,
                                            bool is_contiguous, const OpenClKernel* forced) {
  return pick_rows(serving(shape, format, is_contiguous, forced), format, layout, Precision::exact);
}

Layout preferred_layout(const GpuShape& shape, Format format, const OpenClKernel* forced) {
  return layout_of_preferred(serving(shape, format, true, forced));
}

}  // namespace weft
