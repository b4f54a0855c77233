#include "gpu/lower/lower.h"

#include <algorithm>

#include "core/align.h"
#include "core/error.h"
#include "core/record/view.h"
#include "core/record/visit.h"
#include "gpu/lower/lower_parts.h"
#include "gpu/lower/opencl_text.h"

namespace weft {

using namespace gpu_lowering;

std::string StepPlan::source() const {
  std::string text;
  for (const auto& stage : stages) {
    for (const KernelPlan& kernel : stage) text += "\n" + kernel.source;
  }
  return text;
}

std::string program_head(const GpuShape& shape) {
  return "#define WEFT_LANES " + std::to_string(shape.lanes) + "\n#define WEFT_GROUP " + std::to_string(shape.group) +
         "\n" + std::string(opencl_text("common")) + std::string(opencl_text("formats"));
}

StepPlan lower_step(const GraphRecord& graph, const Step& step, const int64_t* max_extents, const GpuShape& shape,
                    const LowerOptions& options) {
  if (auto plan = lower_rows(graph, step, shape, options)) return std::move(*plan);
  if (step.kind == StepKind::custom) refuse_op(step);
  StepPlan plan;
  for (size_t i = 0; i < step.regions.size(); ++i) {
    const Region& region = step.regions[i];
    std::vector<Target> targets;
    if (step.kind == StepKind::append) {
      const ValueId field = step.outputs[i];
      targets.push_back({{MemoryRef::Kind::value, field},
                         graph.values[field].format,
                         region.axes,
                         graph.caches[static_cast<size_t>(step.cache)].slots});
    } else {
      for (const ValueId output : step.outputs) {
        const ValueRecord& value = graph.values[output];
        targets.push_back({{MemoryRef::Kind::value, output}, value.format, value.axes, kNoValue});
      }
    }
    for (const Target& target : targets) {
      const bool is_field = step.kind == StepKind::append && is_cache_format(target.format);
      if (info(target.format).block_elements != 1 && !is_field) {
        throw Error("step '" + step.name + "': OpenCL kernels do not write " + std::string(name(target.format)));
      }
    }
    RegionLowering(graph, step, region, max_extents, shape, options, plan).run(targets);
  }
  if (step.kind == StepKind::append) {
    lower_positions(graph, graph.caches[static_cast<size_t>(step.cache)], shape, plan);
  }
  return plan;
}

namespace gpu_lowering {

bool same_set(const AxisList& a, const AxisList& b) { return without(a, b).empty() && without(b, a).empty(); }

std::function<int64_t(const GpuArgs&)> count_of(const AxisList& axes) {
  return [axes](const GpuArgs& args) { return element_count(axes, args.extents); };
}

void RegionLowering::fail(const std::string& what) const { throw Error("step '" + step_.name + "': " + what); }

Target RegionLowering::scratch_target(const AxisList& axes, Element element) {
  const Format format = plain_format(element);
  int64_t count = 1;
  for (const AxisId axis : axes) {
    if (max_extents_[axis] < 0) fail("axis '" + graph_.axes[axis].name + "' has no extent to plan scratch for");
    count *= max_extents_[axis];
  }
  const size_t offset = plan_.scratch_bytes;
  plan_.scratch_bytes += align_up(static_cast<size_t>(count) * info(format).block_bytes);
  return {{MemoryRef::Kind::scratch, offset}, format, axes, kNoValue};
}

void RegionLowering::check_blocks() const {
  for_each_operand(region_, [&](const Operand& operand) {
    const ValueRecord& value = graph_.values[operand.value];
    const uint32_t block = info(value.format).block_elements;
    if (block == 1 || operand.view.empty()) return;
    // A block may span several axes: what counts are all elements of the value.
    int64_t elements = 1;
    for (const AxisId axis : value.axes) elements *= max_extents_[axis];
    if (elements % block != 0) {
      fail("operand '" + value.name + "' has " + std::to_string(elements) + " elements, which cut a block of " +
           std::string(name(value.format)));
    }
  });
}

void RegionLowering::run(const std::vector<Target>& outputs) {
  check_blocks();
  if (info(outputs[0].format).block_elements == 1) return compute(outputs);
  const Target rows = scratch_target(region_.axes, Element::f32);
  compute({rows});
  lower_encoding(rows, outputs[0]);
}

// Rows in scratch as blocks, which no kernel of elements writes, into the slots of a field.
void RegionLowering::lower_encoding(const Target& rows, const Target& field) {
  const int64_t block = info(field.format).block_elements;
  if (block != 32 || region_.axes.size() == 1 || max_extents_[region_.axes.back()] % block != 0) {
    fail("the rows of a cache field are not whole blocks of " + std::string(name(field.format)));
  }
  KernelBuilder builder(graph_, nullptr, nullptr);
  KernelPlan kernel;
  kernel.grid = LaunchGrid::items;
  kernel.units = [count = count_of(region_.axes), block](const GpuArgs& args) { return count(args) / block; };
  builder.param("count", kernel.units);
  builder.param("row_blocks", [count = count_of({region_.axes.begin() + 1, region_.axes.end()}),
                               block](const GpuArgs& args) { return count(args) / block; });
  const std::string slots = builder.memory({MemoryRef::Kind::value, field.slots});
  const std::string from = builder.memory(rows.memory), to = builder.memory(field.memory);
  kernel.ran = {"encode"};
  add_kernel(plan_.kernels, {.name = "encode"});
  plan_.stages.emplace_back();
  plan_.stages.back().push_back(
      finish_kernel(builder, std::move(kernel), "append", "encode", kernels_++, shape_,
                    {{"slots", slots}, {"rows", from}, {"field", to}, {"format", format_suffix(field.format)}}));
}

void RegionLowering::compute(const std::vector<Target>& outputs) {
  kernels_ = 0;
  for (const auto& stage : plan_.stages) kernels_ += static_cast<int>(stage.size());
  const bool turns = region_.rotation || !region_.post.empty();
  const Element element = region_.attention ? Element::f32 : region_.body.program.type();
  Target body = outputs[0];
  if (turns || region_.selection) body = scratch_target(region_.axes, element);
  if (region_.attention) {
    // Nothing follows in a step with statistics: its outputs are they.
    lower_attention(body, std::span(outputs).subspan(region_.attention->statistics ? 1 : outputs.size()));
  } else if (region_.scan) {
    lower_scan(body);
  } else if (!region_.contractions.empty()) {
    lower_contractions(body);
  } else {
    lower_source(region_.body, body);
  }
  if (turns) {
    Target turned = outputs[0];
    if (region_.selection) turned = scratch_target(region_.axes, result_element(region_));
    lower_rotation(scratch_leaf(body.memory.index, body.format, region_.axes), turned);
    body = turned;
  }
  if (region_.selection) {
    lower_selection(scratch_leaf(body.memory.index, body.format, region_.axes), outputs);
  }
}

bool RegionLowering::is_flat(const Leaf& leaf, const AxisList& over, const Region& region) const {
  const std::vector<ViewAxis>& view = leaf.view;
  if (view.size() < over.size()) return false;
  const size_t first = view.size() - over.size();
  const int64_t block = info(leaf.format).block_elements;
  const bool plain = block == 1;
  int64_t row = 1;
  for (const AxisId axis : over) row *= max_extents_[axis];
  if (!plain && row % block != 0) return false;  // a row would begin within a block
  for (size_t i = 0; i < over.size(); ++i) {
    const ViewAxis& axis = view[first + i];
    if (axis.gather >= 0 || axis.axis != over[i]) return false;
    if (leaf.paged && first + i == 0) return false;
    // Rows of blocks must begin with a block; inner axes must be whole to follow each other without gaps.
    if ((i > 0 || !plain) && (axis.stored != axis.axis || axis.begin != 0)) return false;
  }
  for (size_t i = 0; i < first; ++i) {
    if (!plain && i + 1 == view.size()) return false;  // blocks across an axis that is not contracted
    if (view[i].gather < 0) {
      if (contains(over, view[i].axis)) return false;
      continue;
    }
    for (const AxisId axis : loop_axes(region, region.operands[static_cast<size_t>(view[i].gather)])) {
      if (contains(over, axis)) return false;
    }
  }
  return true;
}

Leaf RegionLowering::lhs_leaf(int lhs, const AxisList& over) {
  const Source& source = region_.lhs[static_cast<size_t>(lhs)];
  if (source.reductions.empty() && source.program.code.size() == 1 && source.program.code[0].op == ScalarOp::load) {
    const Leaf leaf = leaf_of(source.program.code[0].imm);
    const auto gathers = [](const ViewAxis& axis) { return axis.gather >= 0; };
    const bool gathered = std::any_of(leaf.view.begin(), leaf.view.end(), gathers);
    if (leaf.paged) return leaf;
    if (leaf.format == Format::f32 && !gathered && is_flat(leaf, over, region_)) return leaf;
  }
  for (const auto& [key, leaf] : staged_) {
    if (key.first == lhs && key.second == over) return leaf;
  }
  const AxisList axes = joined(without(source.axes, over), over);
  const Target target = scratch_target(axes, Element::f32);
  lower_source(source, target);
  const Leaf leaf = scratch_leaf(target.memory.index, Format::f32, axes);
  staged_.push_back({{lhs, over}, leaf});
  return leaf;
}

KernelPlan finish_kernel(KernelBuilder& builder, KernelPlan plan, const char* op, const char* section, int number,
                         const GpuShape& shape, std::initializer_list<OpenClValue> values) {
  const std::string id = "@_" + std::to_string(number);
  plan.name = "weft_" + std::string(op) + "_" + id;
  plan.memory = builder.memory_refs();
  plan.params_in_memory = builder.argument_bytes() + 8 * plan.memory.size() + 16 > shape.max_argument_bytes;
  const std::string type = "params_" + id;
  const std::string arguments = builder.arguments(type, plan.params_in_memory);
  const std::string prologue = builder.prologue(type, plan.params_in_memory);
  std::vector<OpenClValue> all = {{"kernel", plan.name}, {"arguments", arguments}, {"prologue", prologue}};
  all.insert(all.end(), values.begin(), values.end());
  plan.source = builder.params_struct(type) + expand_opencl(op, section, all);
  plan.params = builder.take_params();
  return plan;
}

void RegionLowering::add(KernelBuilder& builder, KernelPlan plan, const char* op,
                         std::initializer_list<OpenClValue> values) {
  plan.ran = {op};
  add_kernel(plan_.kernels, {.name = op});
  plan_.stages.emplace_back();
  plan_.stages.back().push_back(finish_kernel(builder, std::move(plan), op, "kernel", kernels_++, shape_, values));
}

void lower_positions(const GraphRecord& graph, const CacheRecord& cache, const GpuShape& shape, StepPlan& plan) {
  KernelBuilder builder(graph, nullptr, nullptr);
  KernelPlan kernel;
  kernel.grid = LaunchGrid::items;
  kernel.units = count_of({cache.pos});
  builder.param("count", kernel.units);
  const auto memory = [&](ValueId value) { return builder.memory({MemoryRef::Kind::value, value}); };
  const std::string slots = memory(cache.slots), positions = memory(cache.positions), values = memory(cache.pos_values);
  int number = 0;
  for (const auto& stage : plan.stages) number += static_cast<int>(stage.size());
  kernel.ran = {"positions"};
  add_kernel(plan.kernels, {.name = "positions"});
  plan.stages.emplace_back();
  plan.stages.back().push_back(finish_kernel(builder, std::move(kernel), "append", "positions", number, shape,
                                             {{"slots", slots}, {"positions", positions}, {"values", values}}));
}

}  // namespace gpu_lowering
}  // namespace weft
