#include "core/record/graph.h"

#include <algorithm>

#include "core/pages.h"
#include "core/record/axis_list.h"
#include "core/record/visit.h"

namespace weft {

size_t Storage::bytes() const {
  size_t elements = 1;
  for (const int64_t extent : extents) elements *= static_cast<size_t>(extent);
  return row_bytes(format, elements);
}

const std::byte* Storage::stored(size_t begin, size_t count, std::vector<std::byte>& copy) const {
  if (pieces == nullptr) return data + begin;
  copy.resize(std::max(copy.size(), count));
  pieces->copy(begin, count, copy.data());
  return copy.data();
}

void Storage::read_ahead(size_t begin, size_t count) const {
  if (pieces != nullptr) pieces->read_ahead(begin, count);
  else if (is_mapped) weft::read_ahead(data + begin, data + begin + count);
}

Element read_as(Format format) {
  if (format == Format::i32) return Element::i32;
  return format == Format::bool8 ? Element::bool8 : Element::f32;
}

Format plain_format(Element element) {
  if (element == Element::i32) return Format::i32;
  return element == Element::bool8 ? Format::bool8 : Format::f32;
}

bool is_cache_format(Format format) {
  return std::find(std::begin(kCacheFormats), std::end(kCacheFormats), format) != std::end(kCacheFormats);
}

std::string_view name(StepKind kind) {
  constexpr std::string_view kNames[kStepKindCount] = {"map",    "reduce", "contract", "attention",
                                                       "append", "custom", "scan"};
  return kNames[static_cast<size_t>(kind)];
}

bool Operand::is_looked_up() const {
  return std::any_of(view.begin(), view.end(), [](const ViewAxis& axis) { return axis.is_looked_up(); });
}

std::vector<AxisId> loop_axes(const Region& region, const Operand& operand) {
  AxisList axes;
  for (const ViewAxis& axis : operand.view) {
    if (axis.is_looked_up()) continue;
    if (axis.gather < 0) add_axis(axes, axis.axis);
    else add_axes(axes, loop_axes(region, region.operands[static_cast<size_t>(axis.gather)]));
  }
  return axes;
}

std::vector<AxisId> contraction_axes(const Region& region, const Contraction& contraction) {
  AxisList axes = region.lhs[static_cast<size_t>(contraction.lhs)].axes;
  add_axes(axes, loop_axes(region, region.operands[static_cast<size_t>(contraction.rhs)]));
  return without(axes, contraction.over);
}

Element result_element(const Region& region) {
  if (!region.post.empty()) return region.post.type();
  return region.attention || region.rotation ? Element::f32 : region.body.program.type();
}

AxisList query_axes(const Region& region) { return without(region.body.axes, region.attention->key); }

AxisList head_axes(const GraphRecord& graph, const Scan& scan) {
  AxisList axes = graph.values[graph.states[static_cast<size_t>(scan.state)].value].axes;
  axes.resize(axes.size() - 2);
  return axes;
}

std::vector<std::pair<std::string_view, int>> roles_of(const Scan& scan) {
  const bool convolution = scan.kind == Scan::Kind::convolution;
  const ScanRoles& roles = scan.roles;
  std::vector<std::pair<std::string_view, int>> all = {{"query", roles.query},
                                                       {convolution ? "taps" : "key", roles.key},
                                                       {convolution ? "input" : "value", roles.value},
                                                       {"decay", roles.decay},
                                                       {"erase", roles.erase},
                                                       {"read", roles.read},
                                                       {"bonus", roles.bonus}};
  std::erase_if(all, [](const auto& role) { return role.second < 0; });
  return all;
}

int cache_of(const GraphRecord& graph, const Region& region) {
  int cache = -1;
  for_each_operand(region, [&](const Operand& operand) {
    const ValueRecord& value = graph.values[operand.value];
    if (value.is_cached()) cache = value.cache;
  });
  return cache;
}

namespace {

std::string axis_list(const GraphRecord& graph, const std::vector<AxisId>& axes) {
  std::string text = "<";
  for (const AxisId axis : axes) {
    if (text.size() > 1) text += ", ";
    text += graph.axes[axis].name;
  }
  return text + ">";
}

std::string to_string(const GraphRecord& graph, const Operand& operand) {
  const ValueRecord& value = graph.values[operand.value];
  std::string text = "'" + value.name + "' " + std::string(name(value.format)) + "[";
  for (size_t i = 0; i < operand.view.size(); ++i) {
    const ViewAxis& axis = operand.view[i];
    if (i != 0) text += ", ";
    if (axis.gather >= 0) {
      text += graph.axes[axis.stored].name + " at operand " + std::to_string(axis.gather);
    } else if (axis.is_looked_up()) {
      text += graph.axes[axis.stored].name + " looked up";
    } else {
      text += graph.axes[axis.axis].name;
      if (axis.stored != axis.axis) text += " in " + graph.axes[axis.stored].name;
    }
    if (axis.begin != 0) text += " from " + std::to_string(axis.begin);
  }
  return text + "]";
}

std::string indented(const std::string& text) {
  std::string result;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size() - 1);
    result += "      " + text.substr(begin, end - begin + 1);
    begin = end + 1;
  }
  return result;
}

constexpr std::string_view kReduceNames[] = {"sum", "mean", "max", "argmax"};

std::string to_string(const GraphRecord& graph, std::string_view title, const Source& source) {
  std::string text = "    " + std::string(title) + " " + axis_list(graph, source.axes) + "\n";
  for (size_t i = 0; i < source.reductions.size(); ++i) {
    text += "    reduction " + std::to_string(i) + ": " +
            std::string(kReduceNames[static_cast<size_t>(source.reductions[i].op)]) + " over " +
            graph.axes[source.reduced].name + "\n" + indented(to_string(source.reductions[i].program));
  }
  return text + indented(to_string(source.program));
}

}  // namespace

std::string to_string(const GraphRecord& graph, const Step& step) {
  std::string text = std::string(name(step.kind)) + " '" + step.name + "'\n";
  for (const Region& region : step.regions) {
    text += "  region " + axis_list(graph, region.axes) + "\n";
    for (size_t i = 0; i < region.operands.size(); ++i) {
      text += "    operand " + std::to_string(i) + ": " + to_string(graph, region.operands[i]) + "\n";
    }
    for (size_t i = 0; i < region.lhs.size(); ++i) {
      text += to_string(graph, "lhs " + std::to_string(i), region.lhs[i]);
    }
    for (size_t i = 0; i < region.contractions.size(); ++i) {
      const Contraction& contraction = region.contractions[i];
      text += "    contraction " + std::to_string(i) + ": lhs " + std::to_string(contraction.lhs) + " with operand " +
              std::to_string(contraction.rhs) + " over " + axis_list(graph, contraction.over) + "\n";
    }
    if (region.scan) {
      text += std::string("    ") + (region.scan->kind == Scan::Kind::recurrence ? "recurrence" : "convolution") +
              " with state '" + graph.states[static_cast<size_t>(region.scan->state)].name + "'";
      for (const auto& [role, lhs] : roles_of(*region.scan)) {
        text += ", " + std::string(role) + " lhs " + std::to_string(lhs);
      }
      text += "\n";
    }
    text += to_string(graph, "body", region.body);
    if (region.attention) {
      text += "    softmax over " + graph.axes[region.attention->key].name + ", contracted with operand " +
              std::to_string(region.attention->value) + (region.attention->statistics ? ", with statistics" : "") +
              "\n";
      if (!region.attention->sink.empty()) text += "    sink\n" + indented(to_string(region.attention->sink));
    }
    if (region.rotation) {
      text += "    rotate " + graph.axes[region.rotation->axis].name + " by operand " +
              std::to_string(region.rotation->position);
      for (const RotationSection& section : region.rotation->sections) {
        text += ", from pair " + std::to_string(section.first) + " by operand " + std::to_string(section.position);
      }
      text += "\n";
      if (!region.post.empty()) text += "    post\n" + indented(to_string(region.post));
    }
    if (region.custom) {
      text += "    op " + region.custom->name + " along " + graph.axes[region.custom->along].name + "\n";
    }
    if (region.selection) {
      text += "    select along " + graph.axes[region.selection->axis].name + "\n";
    }
  }
  text += "  writes";
  for (const ValueId output : step.outputs) {
    const ValueRecord& value = graph.values[output];
    text += " '" + value.name + "' " + std::string(name(value.format)) + axis_list(graph, value.axes);
  }
  return text + "\n";
}

}  // namespace weft
