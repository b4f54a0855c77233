// Kernels of contractions and attention: ops/contract, ops/attention.
#include <algorithm>

#include "gpu/lower/lower_parts.h"
#include "gpu/lower/opencl_text.h"

namespace weft::gpu_lowering {
namespace {

ParamFunction depth_of(const AxisList& over) { return count_of(over); }

// Contracted axes' coordinates from the linear index `k`, in a scope that may also need them for gathers.
void depth_coordinates(KernelBuilder& builder, CodeScope& scope, const AxisList& over) {
  builder.coordinates(scope, "k", over);
}

}  // namespace

void RegionLowering::lower_contractions(const Target& target) {
  bool fused = region_.body.reductions.empty();
  for (const Contraction& contraction : region_.contractions) {
    fused = fused && same_set(contraction_axes(region_, contraction), region_.body.axes);
  }
  if (fused) {
    std::vector<int> all;
    for (size_t i = 0; i < region_.contractions.size(); ++i) all.push_back(static_cast<int>(i));
    lower_contract_kernel(all, &region_.body, target);
    return;
  }
  std::vector<Leaf> results;
  for (size_t i = 0; i < region_.contractions.size(); ++i) {
    const Target result = scratch_target(contraction_axes(region_, region_.contractions[i]), Element::f32);
    lower_contract_kernel({static_cast<int>(i)}, nullptr, result);
    results.push_back(scratch_leaf(result.memory.index, Format::f32, result.axes));
  }
  lower_source(region_.body, target, results);
}

void RegionLowering::lower_contract_kernel(const std::vector<int>& contractions, const Source* body,
                                           const Target& target) {
  // Rows: the axes with which no rhs varies. A team sums several of them against one row of each rhs.
  AxisList rows = target.axes;
  for (const int i : contractions) {
    const Contraction& contraction = region_.contractions[static_cast<size_t>(i)];
    const Operand& rhs = region_.operands[static_cast<size_t>(contraction.rhs)];
    rows = without(rows, loop_axes(region_, rhs));
    // Prologues run before; from here on lhs_leaf() only finds them.
    if (lhs_leaf(contraction.lhs, contraction.over).paged || operand_leaf(graph_, region_, contraction.rhs).paged) {
      fail("operand '" + graph_.values[rhs.value].name + "': only attention reads a paged cache");
    }
  }
  const std::string before = plan_.kernels;
  constexpr int kRowTile = 4;
  KernelPlan one = contract_kernel(contractions, body, target, rows, 1);
  plan_.stages.emplace_back();
  if (rows.empty()) {
    plan_.stages.back().push_back(std::move(one));
  } else {
    one.applies = [count = count_of(rows)](const GpuArgs& args) { return count(args) <= 1; };
    plan_.stages.back().push_back(std::move(one));
    plan_.stages.back().push_back(contract_kernel(contractions, body, target, rows, kRowTile));
  }
  plan_.kernels = before + (before.empty() ? "contract" : " + contract");
  for (const int i : contractions) {
    const int rhs = region_.contractions[static_cast<size_t>(i)].rhs;
    plan_.kernels += (i == contractions.front() ? "/" : ",") + format_suffix(operand_leaf(graph_, region_, rhs).format);
  }
}

std::string RegionLowering::contract_part(KernelBuilder& builder, const CodeScope& columns, int contraction,
                                          const AxisList& rows, int row_tile) {
  const Contraction& record = region_.contractions[static_cast<size_t>(contraction)];
  const Leaf rhs = operand_leaf(graph_, region_, record.rhs);
  const Leaf lhs = lhs_leaf(record.lhs, record.over);
  const std::string n = std::to_string(contraction);
  builder.param("depth" + n, depth_of(record.over));
  const std::string tile = std::to_string(row_tile);
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
  if (is_flat(rhs, record.over, region_) && is_flat(lhs, record.over, region_)) {
    CodeScope code = columns.inner(2);
    const KernelBuilder::Place at = builder.place(code, rhs);
    return expand_opencl("contract", "flat",
                         {{"n", n},
                          {"rows", tile},
                          {"lhs", lhs_memory},
                          {"lhs_rows", lhs_rows},
                          {"rhs", rhs_memory},
                          {"rhs_code", code.code},
                          {"rhs_offset", at.offset},
                          {"valid", at.valid},
                          {"format", format_suffix(rhs.format)}});
  }
  CodeScope code = columns.inner(6);
  depth_coordinates(builder, code, record.over);
  const std::string value = builder.load(code, rhs);
  return expand_opencl("contract", "general",
                       {{"n", n},
                        {"rows", tile},
                        {"lhs", lhs_memory},
                        {"lhs_rows", lhs_rows},
                        {"depth_code", code.code},
                        {"value", value},
                        {"lhs_step", builder.partial_offset(code, lhs, record.over, false)}});
}

KernelPlan RegionLowering::contract_kernel(const std::vector<int>& contractions, const Source* body,
                                           const Target& target, const AxisList& rows, int row_tile) {
  KernelBuilder builder(graph_, &region_);
  const AxisList column_axes = without(target.axes, rows);
  KernelPlan plan;
  plan.grid = LaunchGrid::teams;
  plan.units = [columns = count_of(column_axes), row_count = count_of(rows), row_tile](const GpuArgs& args) {
    return columns(args) * ((row_count(args) + row_tile - 1) / row_tile);
  };
  builder.param("units", plan.units);
  builder.param("columns", count_of(column_axes));
  builder.param("rows", count_of(rows));
  CodeScope columns;
  builder.coordinates(columns, "column", column_axes);
  std::string parts;
  for (const int i : contractions) parts += contract_part(builder, columns, i, rows, row_tile);
  CodeScope epilogue = columns.inner(4);
  builder.coordinates(epilogue, "row", rows);
  std::string value;
  for (const int i : contractions) {
    value = "sum" + std::to_string(i) + "[t]";
    epilogue.contraction[i] = value;
  }
  if (body != nullptr) value = builder.program(epilogue, body->program);
  builder.store(epilogue, target, value);
  return finish(builder, std::move(plan), "contract",
                {{"rows", std::to_string(row_tile)},
                 {"column_coordinates", columns.code},
                 {"contractions", parts},
                 {"epilogue", epilogue.code}});
}

std::string RegionLowering::score_part(KernelBuilder& builder, CodeScope& scope, int contraction) {
  const Contraction& record = region_.contractions[static_cast<size_t>(contraction)];
  const Leaf rhs = operand_leaf(graph_, region_, record.rhs);
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
  const Leaf value = operand_leaf(graph_, region_, attention.value);
  if (!region_.body.reductions.empty()) fail("a score with a reduction of its own");
  const int cache = cache_of(graph_, region_);
  for (const Contraction& contraction : region_.contractions) lhs_leaf(contraction.lhs, contraction.over);

  KernelBuilder builder(graph_, &region_);
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
