#include "runtime/plan/cache_formats.h"

#include "core/comma_list.h"
#include "core/error.h"
#include "core/record/axis_list.h"
#include "core/record/visit.h"
#include "runtime/plan/extents.h"

namespace weft {

namespace {

// Whether the elements over `inner` of each key lie side by side, in whole blocks.
bool reads_blocks(const Operand& operand, const std::vector<AxisId>& inner, const ExtentTable& extents, int64_t block) {
  if (inner.empty() || operand.view.size() <= inner.size()) return false;
  const size_t first = operand.view.size() - inner.size();
  for (size_t i = 0; i < inner.size(); ++i) {
    const ViewAxis& axis = operand.view[first + i];
    if (axis.axis != inner[i] || (i > 0 && axis.stored != axis.axis)) return false;
  }
  const ViewAxis& last = operand.view.back();
  return last.begin % block == 0 && extents[last.axis] % block == 0;
}

// Whether a program of the region reads the operand element by element.
bool is_loaded(const Region& region, size_t operand) {
  bool loaded = false;
  for_each_program(region, [&](const ScalarProgram& program) {
    for (const ScalarInstr& instr : program.code) {
      loaded |= instr.op == ScalarOp::load && instr.imm == static_cast<int32_t>(operand);
    }
  });
  return loaded;
}

// Fields that a step reads otherwise than by blocks.
std::vector<bool> read_by_elements(const GraphRecord& graph, const ExtentTable& extents, int64_t block) {
  std::vector<bool> result(graph.values.size());
  for (const Step& step : graph.steps) {
    for (const Region& region : step.regions) {
      for (size_t i = 0; i < region.operands.size(); ++i) {
        const Operand& operand = region.operands[i];
        if (graph.values[operand.value].kind != ValueKind::cache_field) continue;
        bool otherwise = is_loaded(region, i);
        const auto read = [&](const std::vector<AxisId>& inner) {
          otherwise = otherwise || !reads_blocks(operand, inner, extents, block);
        };
        for (const Contraction& contraction : region.contractions) {
          if (contraction.rhs == static_cast<int>(i)) read(contraction.over);
        }
        if (region.attention && region.attention->value == static_cast<int>(i)) {
          read(without(loop_axes(region, operand), region.body.axes));
        }
        if (otherwise) result[operand.value] = true;
      }
    }
  }
  return result;
}

}  // namespace

std::vector<bool> scored_fields(const GraphRecord& graph) {
  std::vector<bool> result(graph.values.size());
  for (const Step& step : graph.steps) {
    for (const Region& region : step.regions) {
      for (size_t i = 0; i < region.operands.size(); ++i) {
        const ValueId value = region.operands[i].value;
        if (graph.values[value].kind != ValueKind::cache_field) continue;
        bool scored = is_loaded(region, i);
        for (const Contraction& contraction : region.contractions) scored |= contraction.rhs == static_cast<int>(i);
        if (scored) result[value] = true;
      }
    }
  }
  return result;
}

std::vector<CacheFallback> set_cache_formats(GraphRecord& graph, std::optional<Format> scored,
                                             std::optional<Format> others) {
  for (const std::optional<Format>& format : {scored, others}) {
    if (format && !is_cache_format(*format)) {
      throw Error("a cache cannot be stored in " + std::string(name(*format)) + ": there are " + cache_format_names());
    }
  }
  const std::vector<bool> is_scored = scored_fields(graph);
  const ExtentTable extents = ExtentTable::of_graph(graph);
  std::vector<bool> by_elements;  // when it is first asked for: cache formats have blocks of one size
  std::vector<CacheFallback> fallbacks;
  for (const CacheRecord& cache : graph.caches) {
    for (const ValueId field : cache.fields) {
      ValueRecord& value = graph.values[field];
      value.format = (is_scored[field] ? scored : others).value_or(value.format);
      const Format wanted = value.format;
      const auto block = static_cast<int64_t>(info(wanted).block_elements);
      if (block == 1) continue;
      if (by_elements.empty()) by_elements = read_by_elements(graph, extents, block);
      const AxisId last = value.axes.back();
      const std::string& axis = graph.axes[last].name;
      std::string reason;
      if (value.axes.size() == 1) {
        reason = "its rows have one element";
      } else if (!extents.known(last)) {
        reason = "the extent of " + axis + " is known at run time only";
      } else if (extents[last] % block != 0) {
        reason = std::to_string(block) + " does not divide " + axis + " " + std::to_string(extents[last]);
      } else if (by_elements[field]) {
        reason = "a step reads it otherwise than by blocks of " + std::to_string(block);
      } else {
        continue;
      }
      value.format = Format::f16;
      fallbacks.push_back({field, wanted, std::move(reason)});
    }
  }
  return fallbacks;
}

std::string cache_format_names() {
  std::vector<std::string> names;
  for (const Format format : kCacheFormats) names.emplace_back(info(format).identifier);
  return comma_list(names);
}

std::optional<Format> cache_format(std::string_view name) {
  for (const Format format : kCacheFormats) {
    if (info(format).identifier == name) return format;
  }
  return std::nullopt;
}

}  // namespace weft
