// Kernels of contractions and attention: ops/contract, ops/attention.
#include <algorithm>
#include <iterator>

#include "gpu/lower/lower_parts.h"
#include "gpu/lower/opencl_text.h"

namespace weft::gpu_lowering {
namespace {

ParamFunction depth_of(const AxisList& over) { return count_of(over); }

// Contracted axes' coordinates from the linear index `k`, in a scope that may also need them for gathers.
void depth_coordinates(KernelBuilder& builder, CodeScope& scope, const AxisList& over) {
  builder.coordinates(scope, "k", over);
}

std::vector<OpenClPick>::const_iterator pick_for(const std::vector<OpenClPick>& picks, int64_t rows) {
  return std::find_if(picks.begin(), picks.end(), [&](const OpenClPick& pick) { return rows <= pick.last_rows; });
}
const OpenClKernel& kernel_for(const std::vector<OpenClPick>& picks, int64_t rows) {
  return *pick_for(picks, rows)->kernel;
}

// Whether the kernels of such picks can be one kernel, whatever the number of rows.
bool share_a_kernel(const std::vector<std::vector<OpenClPick>>& all) {
  for (const std::vector<OpenClPick>& picks : all) {
    for (const OpenClPick& pick : picks) {
      const OpenClKernel& other = kernel_for(all.front(), pick.last_rows);
      if (other.columns != pick.kernel->columns || other.activations.tile != pick.kernel->activations.tile)
        return false;
    }
  }
  return true;
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
  if (fused && share_a_kernel(picks)) {
    lower_contract_kernel(all, &region_.body, target);
    return;
  }
  std::vector<Leaf> results;
  for (const int i : all) {
    const Target result =
        scratch_target(contraction_axes(region_, region_.contractions[static_cast<size_t>(i)]), Element::f32);
    lower_contract_kernel({i}, nullptr, result);
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
void RegionLowering::lower_contract_kernel(const std::vector<int>& contractions, const Source* body,
                                           const Target& target) {
  const AxisList rows = rows_of(contractions, target);
  std::vector<std::vector<OpenClPick>> picks;
  for (const int i : contractions) {
    picks.push_back(picks_for(i));
    // Where each result has a right-hand row of its own, groups have one row, whatever they are in other kernels.
    if (rows.empty()) picks.back() = {{kAnyRows, picks.back().front().kernel}};
    const Leaf rhs = leaf_of(region_.contractions[static_cast<size_t>(i)].rhs);
    int64_t first = 1;
    for (const OpenClPick& pick : picks.back()) {
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
  for (int64_t first = 1;;) {
    std::vector<const OpenClKernel*> kernels;
    int64_t last = kAnyRows;
    for (const std::vector<OpenClPick>& of_one : picks) {
      const auto at = pick_for(of_one, first);
      kernels.push_back(at->kernel);
      last = std::min(last, at->last_rows);
    }
    KernelPlan variant = contract_kernel(contractions, kernels, body, target, rows);
    if (last != kAnyRows) {
      variant.applies = [count = count_of(rows), last](const GpuArgs& args) { return count(args) <= last; };
    }
    plan_.stages.back().push_back(std::move(variant));
    if (last == kAnyRows) return;
    first = last + 1;
  }
}

// The sums of one contraction: the kernel's text with
//   n, rows, columns, parts   its number; rows of a tile; columns that a team sums at once; lanes that share one of
//   them lhs, lhs_rows             left-hand memory; declares the offset of each row of the tile, lhs[${rows}] rhs,
//   format               right-hand memory; suffix of the functions of core/format/NAME/NAME.cl
// and, where contracted elements must be contiguous,
//   rhs_code, rhs_offset, valid   declares the right-hand row's first element; false where an id is out of range
//   matrix_rows               of a packed weight: the rows of one of its matrices
// else
//   depth_code, value         of the right-hand element at contracted coordinates k; declared by depth_code
//   lhs_step                  where the left-hand element lies behind the row's first
std::string RegionLowering::contract_part(KernelBuilder& builder, const CodeScope& columns, int contraction,
                                          const OpenClKernel& kernel, const AxisList& rows) {
  const Contraction& record = region_.contractions[static_cast<size_t>(contraction)];
  const Leaf rhs = leaf_of(record.rhs);
  const Leaf lhs = lhs_leaf(record.lhs, record.over);
  const std::string n = std::to_string(contraction), tile = std::to_string(kernel.activations.tile);
  builder.param("depth" + n, depth_of(record.over));
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
  depth_coordinates(builder, code, record.over);
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

std::string RegionLowering::score_part(KernelBuilder& builder, CodeScope& scope, int contraction) {
  const Contraction& record = region_.contractions[static_cast<size_t>(contraction)];
  const Leaf rhs = leaf_of(record.rhs);
  const Leaf lhs = lhs_leaf(record.lhs, record.over);
  const std::string n = std::to_string(contraction);
  builder.param("depth" + n, depth_of(record.over));
  scope.contraction[contraction] = "con" + n;
  if (!lhs.paged && is_flat(lhs, record.over, region_) && is_flat(rhs, record.over, region_)) {
    const KernelBuilder::Place at = builder.place(scope, rhs);
    const KernelBuilder::Place from = builder.place(scope, lhs);
    return expand_opencl("attention", "flat",
                         {{"n", n},
                          {"lhs", builder.memory(lhs.memory)},
                          {"rhs", builder.memory(rhs.memory)},
                          {"lhs_offset", from.offset},
                          {"rhs_offset", at.offset},
                          {"valid", at.valid},
                          {"format", format_suffix(rhs.format)}});
  }
  CodeScope code = scope.inner(4);
  depth_coordinates(builder, code, record.over);
  const std::string a = builder.load(code, lhs);
  const std::string b = builder.load(code, rhs);
  return expand_opencl("attention", "general", {{"n", n}, {"depth_code", code.code}, {"lhs_value", a}, {"value", b}});
}

void RegionLowering::lower_attention(const Target& target) {
  const KeyAttention& attention = *region_.attention;
  const AxisList query = without(region_.body.axes, attention.key);
  const Leaf value = leaf_of(attention.value);
  if (!region_.body.reductions.empty()) fail("a score with a reduction of its own");
  const int cache = cache_of(graph_, region_);
  for (const Contraction& contraction : region_.contractions) lhs_leaf(contraction.lhs, contraction.over);

  KernelBuilder builder(graph_, &region_, options_.layouts);
  const AxisList own = without(target.axes, query);
  const int64_t most = static_cast<int64_t>(shape_.local_bytes) / 8 - 64;
  const auto slice = [width = count_of(own), most](const GpuArgs& args) {
    return std::max<int64_t>(1, std::min<int64_t>({width(args), 1024, most}));
  };
  KernelPlan plan;
  plan.grid = LaunchGrid::groups;
  plan.units = count_of(query);
  plan.units_y = [width = count_of(own), slice](const GpuArgs& args) {
    return (width(args) + slice(args) - 1) / slice(args);
  };
  plan.local_bytes = [slice](const GpuArgs& args) { return slice(args) * 4; };
  builder.param("width", count_of(own));
  builder.param("slice", slice);

  CodeScope scope;
  builder.coordinates(scope, "query", query);
  std::string first_key = "0";
  if (cache < 0) {
    scope.line("const int keys = " + builder.extent(attention.key) + ";");
  } else {
    const auto c = static_cast<size_t>(cache);
    const CacheRecord& record = graph_.caches[c];
    if (!contains(query, record.pos)) fail("the query lacks axis '" + graph_.axes[record.pos].name + "'");
    const std::string sequences =
        builder.param("sequences", [c](const GpuArgs& args) { return args.pages[c].sequences; });
    builder.param("max_pages", [c](const GpuArgs& args) { return args.pages[c].max_pages; });
    builder.param("page_size", [c](const GpuArgs& args) { return args.pages[c].page_size; });
    scope.line("const int seq = weft_load_i32(" + builder.memory({MemoryRef::Kind::value, record.seq}) + ", " +
               scope.coordinate.at(record.pos) + ");");
    scope.line("const int keys = seq >= 0 && seq < (int)" + sequences + " ? weft_load_i32(" +
               builder.memory({MemoryRef::Kind::lengths, c}) + ", seq) : 0;");
    first_key = "(keys > 0 ? weft_load_i32(" + builder.memory({MemoryRef::Kind::first_keys, c}) + ", seq) : 0)";
  }
  CodeScope score = scope.inner(4);
  score.coordinate[attention.key] = "key";
  if (cache >= 0) {
    score.line("const int page = weft_load_i32(" +
               builder.memory({MemoryRef::Kind::pages, static_cast<size_t>(cache)}) +
               ", seq * p.max_pages + key / (int)p.page_size);");
    score.line("const long slot = (long)page * p.page_size + key % (int)p.page_size;");
    score.slot = "slot";
  }
  for (size_t i = 0; i < region_.contractions.size(); ++i) {
    const std::string part = score_part(builder, score, static_cast<int>(i));
    score.code += part;
  }
  const std::string result = builder.program(score, region_.body.program);
  const KernelBuilder::Place row = builder.place(score, value);

  CodeScope width = scope.inner(6);
  CodeScope output = scope.inner(2);
  builder.coordinates(width, "(uint)(first + d)", own);
  builder.coordinates(output, "(uint)(first + d)", own);
  const std::string element = "weft_load_" + format_suffix(value.format) + "(" + builder.memory(value.memory) +
                              ", row_offset + " + builder.partial_offset(width, value, own, false) + ")";
  builder.store(output, target, "result");
  add(builder, std::move(plan), "attention",
      {{"query_code", scope.code},
       {"first_key", first_key},
       {"score_code", score.code},
       {"score", result},
       {"value_row", row.valid == "true" ? row.offset : row.valid + " ? " + row.offset + " : -1"},
       {"width_code", width.code},
       {"value", row.valid == "true" ? element : "(row_offset < 0 ? 0.0f : " + element + ")"},
       {"result_code", output.code}});
}

}  // namespace weft::gpu_lowering
