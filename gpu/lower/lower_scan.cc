// Kernels of scans and convolutions: ops/scan.
#include <algorithm>
#include <bit>
#include <string>

#include "core/error.h"
#include "gpu/lower/lower_parts.h"

namespace weft::gpu_lowering {
namespace {

// Work-items hold a column of the state, of so many elements at most.
constexpr int64_t kMostRows = 4096;

}  // namespace

// Where the elements of a source are: in an operand, or in scratch, computed by an earlier kernel of this step.
Leaf RegionLowering::role_leaf(int lhs) {
  const Source& source = region_.lhs[static_cast<size_t>(lhs)];
  if (source.reductions.empty() && source.program.code.size() == 1 && source.program.code[0].op == ScalarOp::load) {
    return leaf_of(source.program.code[0].imm);
  }
  const Target target = scratch_target(source.axes, Element::f32);
  lower_source(source, target);
  return scratch_leaf(target.memory.index, Format::f32, source.axes);
}

void RegionLowering::lower_scan(const Target& target) {
  const Scan& scan = *region_.scan;
  const StateRecord& state = graph_.states[static_cast<size_t>(scan.state)];
  const AxisList& axes = graph_.values[state.value].axes;
  const bool recurrence = scan.kind == Scan::Kind::recurrence;
  const AxisId rows = axes[axes.size() - 2], columns = axes.back();
  if (max_extents_[rows] > kMostRows) {
    fail("axis '" + graph_.axes[rows].name + "' of state '" + state.name + "' may be " +
         std::to_string(max_extents_[rows]) + " long; OpenCL kernels hold at most " + std::to_string(kMostRows));
  }
  const ScanRoles& roles = scan.roles;
  const auto leaf_of_role = [&](int lhs) { return lhs < 0 ? Leaf() : role_leaf(lhs); };
  const Leaf query = leaf_of_role(roles.query), key = leaf_of_role(roles.key), value = leaf_of_role(roles.value),
             decay = leaf_of_role(roles.decay), erase = leaf_of_role(roles.erase), read = leaf_of_role(roles.read),
             bonus = leaf_of_role(roles.bonus);
  const bool per_channel = roles.decay >= 0 && contains(region_.lhs[static_cast<size_t>(roles.decay)].axes, rows);
  const ScalarProgram& program = region_.body.program;
  const bool ends_here = program.code.size() == 1 && program.code.front().op == ScalarOp::contraction;
  const Target result = ends_here ? target : scratch_target(region_.axes, Element::f32);

  KernelBuilder builder(graph_, &region_, options_.layouts);
  KernelPlan kernel;
  kernel.grid = LaunchGrid::items;
  kernel.units = count_of(region_.axes);
  builder.param("count", kernel.units);
  CodeScope scope;
  builder.coordinates(scope, "item", region_.axes);
  const std::string pos = scope.coordinate.at(state.pos), rows_extent = builder.extent(rows),
                    columns_extent = builder.extent(columns);
  std::string head = "0", heads = "1";
  if (recurrence) {
    for (const AxisId axis : head_axes(graph_, scan)) {
      head = "(" + head + ") * " + builder.extent(axis) + " + " + scope.coordinate.at(axis);
      heads += " * " + builder.extent(axis);
    }
  }
  CodeScope token = scope.inner(2);
  token.coordinate[state.pos] = "t";
  const std::string v = builder.load(token, value);
  const std::string of_head = roles.decay >= 0 && !per_channel ? "exp(" + builder.load(token, decay) + ")" : "1.0f";
  CodeScope element = token.inner(2);
  element.coordinate[rows] = "r";
  const std::string k = builder.load(element, key);
  CodeScope stored = token.inner(0);
  builder.store(stored, result, "sum");
  std::string step;
  if (recurrence) {
    const std::string q = builder.load(element, query);
    const std::string d = per_channel ? "exp(" + builder.load(element, decay) + ")" : of_head;
    std::string erased, erase_term;
    if (roles.erase >= 0) {
      erase_term = " - " + builder.load(element, erase) + " * erased";
      CodeScope inner = token.inner(2);
      inner.coordinate[rows] = "r";
      const std::string b = builder.load(inner, read);
      erased = expand_opencl("scan", "erased", {{"rows", rows_extent}, {"element", inner.code}, {"read", b}});
    }
    std::string bonus_line;
    if (roles.bonus >= 0)
      bonus_line = "      weight = weft_fma(" + q + " * " + builder.load(element, bonus) + ", " + k + ", weight);";
    step = expand_opencl("scan", "recurrence",
                         {{"token", token.code},
                          {"erased", erased},
                          {"rows", rows_extent},
                          {"element", element.code},
                          {"key", k},
                          {"value", v},
                          {"decay", d},
                          {"erase", erase_term},
                          {"query", q},
                          {"read", roles.bonus >= 0 ? "before" : "s[r]"},
                          {"bonus", bonus_line},
                          {"store", stored.code}});
  } else {
    step = expand_opencl("scan", "convolution",
                         {{"token", token.code},
                          {"rows", rows_extent},
                          {"input", v},
                          {"element", element.code},
                          {"weight", k},
                          {"store", stored.code}});
  }
  const auto memory = [&](ValueId id) { return builder.memory({MemoryRef::Kind::value, id}); };
  const std::string from = memory(state.from), to = memory(state.to), states = memory(state.value);
  const std::string most_rows =
                        std::to_string(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(max_extents_[rows], 16)))),
                    tokens = builder.extent(state.pos);
  add(builder, std::move(kernel), "scan",
      {{"coordinates", scope.code},
       {"from", from},
       {"to", to},
       {"states", states},
       {"pos", pos},
       {"head", head},
       {"heads", heads},
       {"rows", rows_extent},
       {"columns", columns_extent},
       {"column", scope.coordinate.at(columns)},
       {"most_rows", most_rows},
       {"tokens", tokens},
       {"step", step}});
  if (!ends_here) {
    lower_source(region_.body, target, {scratch_leaf(result.memory.index, Format::f32, region_.axes)});
  }
}

}  // namespace weft::gpu_lowering
