// Kernels of contractions: ops/contract.
#include <algorithm>
#include <iterator>
#include <utility>

#include "gpu/lower/lower_parts.h"
#include "gpu/lower/opencl_text.h"

namespace weft::gpu_lowering {
namespace {

std::vector<OpenClPick>::const_iterator pick_for(const std::vector<OpenClPick>& picks, int64_t rows) {
  return std::find_if(picks.begin(), picks.end(), [&](const OpenClPick& pick) { return rows <= pick.last_rows; });
}

// What contractions run for a range of rows, by contraction.
struct Variant {
  int64_t last_rows = kAnyRows;
  std::vector<const OpenClKernel*> kernels;
};

std::vector<Variant> variants_of(const std::vector<std::vector<OpenClPick>>& picks) {
  std::vector<Variant> variants;
  for (int64_t first = 1;;) {
    Variant& variant = variants.emplace_back();
    for (const std::vector<OpenClPick>& of_one : picks) {
      const auto at = pick_for(of_one, first);
      variant.kernels.push_back(at->kernel);
      variant.last_rows = std::min(variant.last_rows, at->last_rows);
    }
    if (variant.last_rows == kAnyRows) return variants;
    first = variant.last_rows + 1;
  }
}

// Whether one kernel can compute what these rows do.
bool can_be_one(const std::vector<const OpenClKernel*>& kernels, const GpuShape& shape) {
  return std::all_of(kernels.begin(), kernels.end(), [&](const OpenClKernel* kernel) {
    return kernel->columns_on(shape) == kernels.front()->columns_on(shape) &&
           kernel->activations.tile == kernels.front()->activations.tile;
  });
}

}  // namespace

std::vector<OpenClPick> RegionLowering::picks_for(int contraction) {
  const Contraction& record = region_.contractions[static_cast<size_t>(contraction)];
  const Leaf rhs = leaf_of(record.rhs);
  const Leaf lhs = lhs_leaf(record.lhs, record.over);
  if (lhs.paged || rhs.paged) {
    const ValueId value = region_.operands[static_cast<size_t>(record.rhs)].value;
    fail("operand '" + graph_.values[value].name + "': only attention reads a paged cache");
  }
  const bool is_contiguous = is_flat(rhs, record.over, region_) && is_flat(lhs, record.over, region_);
  const Layout layout = rhs.packed != nullptr ? rhs.packed->layout : kStored;
  return pick_opencl_kernels(shape_, rhs.format, layout, is_contiguous, options_.forced);
}

void RegionLowering::lower_contractions(const Target& target) {
  bool fused = region_.body.reductions.empty();
  std::vector<int> all;
  std::vector<std::vector<OpenClPick>> picks;
  for (size_t i = 0; i < region_.contractions.size(); ++i) {
    fused = fused && same_set(contraction_axes(region_, region_.contractions[i]), region_.body.axes);
    all.push_back(static_cast<int>(i));
    picks.push_back(picks_for(all.back()));
  }
  for (const Variant& variant : variants_of(picks)) fused = fused && can_be_one(variant.kernels, shape_);
  if (fused) {
    lower_contract_kernel(all, std::move(picks), &region_.body, target);
    return;
  }
  std::vector<Leaf> results;
  for (const int i : all) {
    const Target result =
        scratch_target(contraction_axes(region_, region_.contractions[static_cast<size_t>(i)]), Element::f32);
    lower_contract_kernel({i}, {picks[static_cast<size_t>(i)]}, nullptr, result);
    results.push_back(scratch_leaf(result.memory.index, Format::f32, result.axes));
  }
  lower_source(region_.body, target, results);
}

AxisList RegionLowering::rows_of(const std::vector<int>& contractions, const Target& target) const {
  AxisList rows = target.axes;
  for (const int i : contractions) {
    const Contraction& record = region_.contractions[static_cast<size_t>(i)];
    rows = without(rows, loop_axes(region_, region_.operands[static_cast<size_t>(record.rhs)]));
  }
  return rows;
}

// A stage with a variant for each range of rows for which other kernels are picked.
void RegionLowering::lower_contract_kernel(const std::vector<int>& contractions,
                                           std::vector<std::vector<OpenClPick>> picks, const Source* body,
                                           const Target& target) {
  const AxisList rows = rows_of(contractions, target);
  for (size_t c = 0; c < contractions.size(); ++c) {
    // Where each result has a right-hand row of its own, groups have one row, whatever they are in other kernels.
    if (rows.empty()) picks[c] = {{kAnyRows, picks[c].front().kernel}};
    const Leaf rhs = leaf_of(region_.contractions[static_cast<size_t>(contractions[c])].rhs);
    int64_t first = 1;
    for (const OpenClPick& pick : picks[c]) {
      const auto& file = pick.kernel->file;
      if (file != nullptr && std::ranges::find(plan_.files, file) == plan_.files.end()) plan_.files.push_back(file);
      add_kernel(plan_.kernels, {.name = pick.kernel->name,
                                 .first_rows = first,
                                 .last_rows = pick.last_rows,
                                 .right = static_cast<ValueId>(rhs.memory.index),
                                 .format = rhs.format,
                                 .layout = pick.kernel->layout});
      first = pick.last_rows == kAnyRows ? kAnyRows : pick.last_rows + 1;
    }
  }
  plan_.stages.emplace_back();
  for (const Variant& variant : variants_of(picks)) {
    KernelPlan kernel = contract_kernel(contractions, variant.kernels, body, target, rows);
    if (variant.last_rows != kAnyRows) {
      kernel.applies = [count = count_of(rows), last = variant.last_rows](const GpuArgs& args) {
        return count(args) <= last;
      };
    }
    plan_.stages.back().push_back(std::move(kernel));
  }
}

// The sums of one contraction. What a kernel's text is given:
//
// n, rows             the contraction's number; rows of a tile
// columns, parts      columns that a team sums at once; lanes that share each of them
// lhs, rhs            memory of both sides
// format              suffix of the functions that load from rhs: core/format/NAME/NAME.cl
// lhs_rows            declares where each row of the tile begins: lhs[${rows}]
//
// where contracted elements must be contiguous
//
// rhs_offset, valid   the first element of the right-hand row; false where an id is out of range
// rhs_code            declares what these need
// matrix_rows         of a packed weight: the rows of one of its matrices
//
// and else, for contracted coordinates `k`
//
// value, lhs_step     the right-hand element; where the left-hand one lies behind the first of its row
// depth_code          declares what these need
std::string RegionLowering::contract_part(KernelBuilder& builder, const CodeScope& columns, int contraction,
                                          const OpenClKernel& kernel, const AxisList& rows) {
  const Contraction& record = region_.contractions[static_cast<size_t>(contraction)];
  const Leaf rhs = leaf_of(record.rhs);
  const Leaf lhs = lhs_leaf(record.lhs, record.over);
  const std::string n = std::to_string(contraction), tile = std::to_string(kernel.activations.tile);
  builder.param("depth" + n, count_of(record.over));
  const std::string lhs_memory = builder.memory(lhs.memory), rhs_memory = builder.memory(rhs.memory);

  CodeScope row = columns.inner(4);
  builder.coordinates(row, "row", rows);
  AxisList outer;
  for (const ViewAxis& axis : lhs.view) {
    if (!contains(record.over, axis.axis)) outer.push_back(axis.axis);
  }
  const std::string offset = builder.partial_offset(row, lhs, outer, true);
  const std::string lhs_rows =
      expand_opencl("contract", "lhs_row", {{"rows", tile}, {"row_code", row.code}, {"offset", offset}});
  const int team_columns = kernel.columns_on(shape_);
  const std::string column_count = std::to_string(team_columns), parts = std::to_string(shape_.lanes / team_columns);
  const std::string format = format_suffix(rhs), what = "kernel '" + kernel.name + "'";
  std::vector<OpenClValue> values = {{"n", n},
                                     {"rows", tile},
                                     {"columns", column_count},
                                     {"parts", parts},
                                     {"lhs", lhs_memory},
                                     {"lhs_rows", lhs_rows},
                                     {"rhs", rhs_memory},
                                     {"format", format}};
  if (kernel.needs_contiguous) {
    CodeScope code = columns.inner(2);
    const KernelBuilder::Place at = builder.place(code, rhs);
    const std::string matrix_rows = rhs.packed != nullptr ? builder.matrix_rows(rhs) : "";
    const OpenClValue more[] = {
        {"rhs_code", code.code}, {"rhs_offset", at.offset}, {"valid", at.valid}, {"matrix_rows", matrix_rows}};
    values.insert(values.end(), std::begin(more), std::end(more));
    return expand_text(kernel.text, what, values);
  }
  CodeScope code = columns.inner(6);
  builder.coordinates(code, "k", record.over);
  const std::string value = builder.load(code, rhs);
  const std::string lhs_step = builder.partial_offset(code, lhs, record.over, false);
  const OpenClValue more[] = {{"depth_code", code.code}, {"value", value}, {"lhs_step", lhs_step}};
  values.insert(values.end(), std::begin(more), std::end(more));
  return expand_text(kernel.text, what, values);
}

// `kernels`: by contraction; alike in what they must agree on.
KernelPlan RegionLowering::contract_kernel(const std::vector<int>& contractions,
                                           const std::vector<const OpenClKernel*>& kernels, const Source* body,
                                           const Target& target, const AxisList& rows) {
  KernelBuilder builder(graph_, &region_, options_.layouts);
  const AxisList column_axes = without(target.axes, rows);
  const int64_t tile = kernels.front()->activations.tile, team_columns = kernels.front()->columns_on(shape_);
  KernelPlan plan;
  plan.grid = LaunchGrid::teams;
  const ParamFunction column_tiles = [columns = count_of(column_axes), team_columns](const GpuArgs& args) {
    return (columns(args) + team_columns - 1) / team_columns;
  };
  plan.units = [column_tiles, row_count = count_of(rows), tile](const GpuArgs& args) {
    return column_tiles(args) * ((row_count(args) + tile - 1) / tile);
  };
  builder.param("units", plan.units);
  builder.param("columns", count_of(column_axes));
  builder.param("column_tiles", column_tiles);
  builder.param("rows", count_of(rows));
  CodeScope columns;
  builder.coordinates(columns, "column", column_axes);
  std::string parts;
  for (size_t i = 0; i < contractions.size(); ++i) {
    parts += contract_part(builder, columns, contractions[i], *kernels[i], rows);
    plan.ran.push_back(kernels[i]->name);
  }
  CodeScope epilogue = columns.inner(4);
  builder.coordinates(epilogue, "row", rows);
  std::string value;
  for (const int i : contractions) {
    value = "sum" + std::to_string(i) + "[t]";
    epilogue.contraction[i] = value;
  }
  if (body != nullptr) value = builder.program(epilogue, body->program);
  builder.store(epilogue, target, value);
  return finish_kernel(builder, std::move(plan), "contract", "kernel", kernels_++, shape_,
                       {{"rows", std::to_string(tile)},
                        {"columns", std::to_string(team_columns)},
                        {"column_coordinates", columns.code},
                        {"contractions", parts},
                        {"epilogue", epilogue.code}});
}

}  // namespace weft::gpu_lowering
