// Kernels of attention: ops/attention.
#include <algorithm>

#include "gpu/lower/lower_parts.h"
#include "gpu/lower/opencl_text.h"

namespace weft::gpu_lowering {

std::string RegionLowering::score_part(KernelBuilder& builder, CodeScope& scope, int contraction) {
  const Contraction& record = region_.contractions[static_cast<size_t>(contraction)];
  const Leaf rhs = leaf_of(record.rhs);
  const Leaf lhs = lhs_leaf(record.lhs, record.over);
  const std::string n = std::to_string(contraction);
  builder.param("depth" + n, count_of(record.over));
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
  builder.coordinates(code, "k", record.over);
  const std::string a = builder.load(code, lhs);
  const std::string b = builder.load(code, rhs);
  return expand_opencl("attention", "general", {{"n", n}, {"depth_code", code.code}, {"lhs_value", a}, {"value", b}});
}

void RegionLowering::lower_attention(const Target& target, std::span<const Target> statistics) {
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
  // The first slice writes the statistics, even where the result has no elements.
  plan.units_y = [width = count_of(own), slice, least = int64_t{statistics.empty() ? 0 : 1}](const GpuArgs& args) {
    return std::max(least, (width(args) + slice(args) - 1) / slice(args));
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
  std::string sink_code;
  if (!attention.sink.empty()) {
    CodeScope of_row = scope.inner(2);
    const std::string sink = builder.program(of_row, attention.sink);
    sink_code = expand_opencl(
        "attention", "sink",
        {{"code", of_row.code},
         {"sink", sink},
         {"statistics", statistics.empty() ? std::string_view() : opencl_section("attention", "sink_statistics")}});
  }
  std::string_view logs, add_logs;
  std::string statistics_code;
  if (!statistics.empty()) {
    CodeScope of_row = scope.inner(2);
    for (size_t i = 0; i < statistics.size(); ++i) builder.store(of_row, statistics[i], std::string(kStatistics[i]));
    logs = opencl_section("attention", "logs");
    add_logs = opencl_section("attention", "add_logs");
    statistics_code = expand_opencl("attention", "statistics", {{"code", of_row.code}});
  }
  add(builder, std::move(plan), "attention",
      {{"query_code", scope.code},
       {"first_key", first_key},
       {"score_code", score.code},
       {"score", result},
       {"value_row", row.valid == "true" ? row.offset : row.valid + " ? " + row.offset + " : -1"},
       {"width_code", width.code},
       {"value", row.valid == "true" ? element : "(row_offset < 0 ? 0.0f : " + element + ")"},
       {"result_code", output.code},
       {"logs", logs},
       {"add_logs", add_logs},
       {"sink", sink_code},
       {"statistics", statistics_code}});
}

}  // namespace weft::gpu_lowering
