// Kernels of maps and reductions, rotations and selections: ops/map, ops/reduce, ops/rope, ops/select.
#include <cstdio>

#include "gpu/lower/lower_parts.h"
#include "gpu/lower/opencl_text.h"

namespace weft::gpu_lowering {
namespace {

// Declares what the body reads of contractions that were computed before.
void load_contractions(KernelBuilder& builder, CodeScope& scope, const ScalarProgram& program,
                       const std::vector<Leaf>& contractions) {
  for (const ScalarInstr& instr : program.code) {
    if (instr.op != ScalarOp::contraction || scope.contraction.count(instr.imm) != 0) continue;
    scope.contraction[instr.imm] = builder.load(scope, contractions[static_cast<size_t>(instr.imm)]);
  }
}

std::string reduction_text(KernelBuilder& builder, CodeScope& scope, const Source& source, size_t number,
                           const std::vector<Leaf>& contractions) {
  const Reduction& reduction = source.reductions[number];
  const std::string n = std::to_string(number);
  const bool is_float = reduction.program.type() == Element::f32;
  const bool sums = reduction.op == ReduceOp::sum || reduction.op == ReduceOp::mean;
  CodeScope element = scope.inner(sums ? 4 : 2);
  if (reduction.op == ReduceOp::argmax) element.indent += 2;
  element.coordinate[source.reduced] = "at";
  load_contractions(builder, element, reduction.program, contractions);
  const std::string value = builder.program(element, reduction.program);
  const std::string extent = builder.extent(source.reduced);
  const std::string type = is_float ? "float" : "int";
  const std::string suffix = is_float ? "f32" : "i32";
  const auto int_sum = [](const std::string& a, const std::string& b) {
    return "(int)((uint)" + a + " + (uint)" + b + ")";
  };
  // Each section takes those of the values that it names.
  std::string text = expand_opencl("reduce",
                                   sums                            ? "sum"
                                   : reduction.op == ReduceOp::max ? "max"
                                                                   : "argmax",
                                   {{"n", n},
                                    {"type", type},
                                    {"suffix", suffix},
                                    {"extent", extent},
                                    {"element", element.code},
                                    {"value", value},
                                    {"sum_run", is_float ? "run + " + value : int_sum("run", value)},
                                    {"sum_all", is_float ? "red" + n + " + run" : int_sum("red" + n, "run")},
                                    {"lowest", is_float ? "-INFINITY" : "(-2147483647 - 1)"},
                                    {"ordered", is_float ? value + " == " + value + " && " : ""}});
  scope.reduction[static_cast<int32_t>(number)] = "red" + n;
  if (reduction.op == ReduceOp::mean) {
    text += "  const float mean" + n + " = (float)red" + n + " / (float)(" + extent + ");\n";
    scope.reduction[static_cast<int32_t>(number)] = "mean" + n;
  }
  return text;
}

}  // namespace

void RegionLowering::lower_source(const Source& source, const Target& target, const std::vector<Leaf>& contractions) {
  if (!source.reductions.empty()) return lower_reduce(source, target, contractions);
  KernelBuilder builder(graph_, &region_, options_.layouts);
  KernelPlan plan;
  plan.grid = LaunchGrid::items;
  plan.units = count_of(target.axes);
  builder.param("count", plan.units);
  CodeScope scope;
  builder.coordinates(scope, "item", target.axes);
  load_contractions(builder, scope, source.program, contractions);
  const std::string value = builder.program(scope, source.program);
  builder.store(scope, target, value);
  add(builder, std::move(plan), "map", {{"code", scope.code}});
}

void RegionLowering::lower_reduce(const Source& source, const Target& target, const std::vector<Leaf>& contractions) {
  KernelBuilder builder(graph_, &region_, options_.layouts);
  const bool along = contains(target.axes, source.reduced);
  const AxisList rows = without(target.axes, source.reduced);
  KernelPlan plan;
  plan.grid = LaunchGrid::teams;
  plan.units = count_of(rows);
  builder.param("count", plan.units);
  CodeScope scope;
  builder.coordinates(scope, "row", rows);
  for (size_t i = 0; i < source.reductions.size(); ++i) {
    scope.code += reduction_text(builder, scope, source, i, contractions);
  }
  if (along) {
    CodeScope element = scope.inner(2);
    element.coordinate[source.reduced] = "at";
    load_contractions(builder, element, source.program, contractions);
    builder.store(element, target, builder.program(element, source.program));
    scope.code +=
        expand_opencl("reduce", "along", {{"extent", builder.extent(source.reduced)}, {"element", element.code}});
  } else {
    CodeScope first = scope.inner(2);
    load_contractions(builder, first, source.program, contractions);
    builder.store(first, target, builder.program(first, source.program));
    scope.code += "  if (weft_lane == 0) {\n" + first.code + "  }\n";
  }
  add(builder, std::move(plan), "reduce", {{"code", scope.code}});
}

void RegionLowering::lower_rotation(const Leaf& from, const Target& target) {
  KernelBuilder builder(graph_, &region_, options_.layouts);
  KernelPlan plan;
  plan.grid = LaunchGrid::items;
  plan.units = count_of(region_.axes);
  builder.param("count", plan.units);
  CodeScope scope;
  builder.coordinates(scope, "item", region_.axes);
  CodeScope own = scope.inner(0);
  const std::string own_value = builder.load(own, from);
  std::string rotate;
  if (region_.rotation) {
    const Rotation& rotation = *region_.rotation;
    const bool given = rotation.frequencies && !rotation.frequencies->empty();
    const size_t constant = plan_.constants.size();
    StepConstants& constants = plan_.constants.emplace_back();
    if (given) {
      constants.values = *rotation.frequencies;
      constants.capacity = constants.values.size();
      builder.param("pairs", [pairs = static_cast<int64_t>(constants.capacity)](const GpuArgs&) { return pairs; });
    } else {
      constants.rotary_axis = rotation.axis;
      constants.rotary_base = rotation.base;
      constants.capacity = static_cast<size_t>(max_extents_[rotation.axis] / 2);
      builder.param("pairs", [axis = rotation.axis](const GpuArgs& args) { return args.extents[axis] / 2; });
    }
    const std::string at = scope.coordinate.at(rotation.axis);
    const bool half_split = rotation.pairs == RopePairs::half_split;
    const std::string pairs_text = expand_opencl("rope", half_split ? "half_split" : "interleaved", {{"at", at}});
    CodeScope other = scope.inner(2);
    other.coordinate[rotation.axis] = "other_at";
    const std::string other_value = builder.load(other, from);
    std::string position = builder.load(other, leaf_of(rotation.position));
    for (const RotationSection& section : rotation.sections) {
      position = "(pair >= " + std::to_string(section.first) + " ? " + builder.load(other, leaf_of(section.position)) +
                 " : " + position + ")";
    }
    char scale[40];
    std::snprintf(scale, sizeof scale, " * %af", static_cast<double>(rotation.scale));
    rotate = expand_opencl("rope", "rotate",
                           {{"pairs", pairs_text},
                            {"other", other.code},
                            {"position", position},
                            {"frequencies", builder.memory({MemoryRef::Kind::constants, constant})},
                            {"other_value", other_value},
                            {"own_value", own_value},
                            {"scale", rotation.scale == 1.0f ? "" : scale}});
  }
  CodeScope post = scope.inner(0);
  post.rotated = "rotated";
  const std::string value = region_.post.empty() ? "rotated" : builder.program(post, region_.post);
  builder.store(post, target, value);
  add(builder, std::move(plan), "rope",
      {{"coordinates", scope.code},
       {"own", own.code},
       {"own_value", own_value},
       {"rotate", rotate},
       {"post", post.code}});
}

void RegionLowering::lower_selection(const Leaf& from, const std::vector<Target>& outputs) {
  KernelBuilder builder(graph_, &region_, options_.layouts);
  const Selection& selection = *region_.selection;
  const AxisList rows = without(region_.axes, selection.axis);
  KernelPlan plan;
  plan.grid = LaunchGrid::teams;
  plan.units = count_of(rows);
  builder.param("count", plan.units);
  builder.param("choices", [choice = selection.choice](const GpuArgs& args) {
    return choice == kNoAxis ? int64_t{1} : args.extents[choice];
  });
  CodeScope scope;
  builder.coordinates(scope, "row", rows);
  CodeScope element = scope.inner(4);
  element.coordinate[selection.axis] = "at";
  const std::string value = builder.load(element, from);
  CodeScope result = scope.inner(4);
  if (selection.choice != kNoAxis) result.coordinate[selection.choice] = "choice";
  if (selection.values) builder.store(result, outputs[0], "best");
  builder.store(result, outputs.back(), "id");
  const std::string extent = builder.extent(selection.axis);
  add(builder, std::move(plan), "select",
      {{"coordinates", scope.code},
       {"extent", extent},
       {"element", element.code},
       {"value", value},
       {"result", result.code}});
}

}  // namespace weft::gpu_lowering
