#include "runtime/plan/fold_steps.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "core/record/visit.h"

namespace weft {

namespace {

// The records of a step as text, which equal steps share; the formats of values are left out unless asked for.
// Axes and values are numbered in the order in which the step names them.
class Signature {
 public:
  Signature(const GraphRecord& graph, const int64_t* extents, bool formats)
      : graph_(graph), extents_(extents), formats_(formats) {}

  std::string of(const Step& step) && {
    add(step.kind), add(step.cache >= 0);
    for (const Region& region : step.regions) add(region);
    for (const ValueId output : step.outputs) value(output);
    return std::move(text_);
  }

 private:
  template <class Number>
  void add(Number number) {
    text_ += std::to_string(static_cast<int64_t>(number)) + " ";
  }

  void axis(AxisId id) {
    if (id == kNoAxis) return add(-1);
    const auto [entry, added] = axes_.try_emplace(id, axes_.size());
    add(entry->second);
    if (added) text_ += graph_.axes[id].name + "=" + std::to_string(extents_[id]) + " ";
  }

  void axes(const std::vector<AxisId>& ids) {
    add(ids.size());
    for (const AxisId id : ids) axis(id);
  }

  void value(ValueId id) {
    const auto [entry, added] = values_.try_emplace(id, values_.size());
    add(entry->second);
    if (!added) return;
    const ValueRecord& record = graph_.values[id];
    add(record.kind == ValueKind::input ? ValueKind::intermediate : record.kind), axes(record.axes);
    if (formats_) add(record.format);
  }

  void program(const ScalarProgram& program) {
    add(program.code.size());
    for (const ScalarInstr& instr : program.code) {
      add(instr.op), add(instr.type), add(instr.a), add(instr.b), add(instr.c);
      if (instr.op == ScalarOp::index || instr.op == ScalarOp::extent) {
        axis(static_cast<AxisId>(instr.imm));
      } else {
        add(instr.imm);  // i32 constants count too: the length of a window
      }
    }
  }

  void source(const Source& source) {
    axes(source.axes), axis(source.reduced), add(source.reductions.size());
    for (const Reduction& reduction : source.reductions) add(reduction.op);
  }

  void add(const Region& region) {
    axes(region.axes), add(region.operands.size());
    for_each_operand(region, [this](const Operand& operand) {
      value(operand.value), add(operand.view.size());
      for (const ViewAxis& view : operand.view) axis(view.axis), axis(view.stored), add(view.gather);
    });
    add(region.lhs.size()), add(region.post.empty());
    for_each_source(region, [this](const Source& each) { source(each); });
    for_each_program(region, [this](const ScalarProgram& each) { program(each); });
    add(region.contractions.size());
    for (const Contraction& contraction : region.contractions) {
      add(contraction.lhs), add(contraction.rhs), axes(contraction.over);
    }
    add(region.attention.has_value());
    if (region.attention) {
      axis(region.attention->key), add(region.attention->value), add(region.attention->statistics);
      add(region.attention->sink.empty());
    }
    add(region.rotation.has_value());
    if (region.rotation) axis(region.rotation->axis), add(region.rotation->pairs), add(region.rotation->position);
    if (region.rotation) {
      for (const RotationSection& section : region.rotation->sections) add(section.first), add(section.position);
    }
    add(region.selection.has_value());
    if (!region.selection) return;
    axis(region.selection->axis), axis(region.selection->choice), add(region.selection->values);
  }

  const GraphRecord& graph_;
  const int64_t* extents_;
  const bool formats_;
  std::map<AxisId, size_t> axes_;
  std::map<ValueId, size_t> values_;
  std::string text_;
};

// The parts of a name around its number: "blk.", 3, ".q".
struct NumberedName {
  std::string before, after;
  std::optional<int64_t> number;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (static_cast<unsigned char>(c) & 0x80) != 0;
}

// The first number between separators ("gpt2.h.3.mlp1": 3), or else the first of all ("layer3.mlp1": 3).
NumberedName parse_name(const std::string& name) {
  NumberedName found;
  for (size_t begin = 0; begin < name.size();) {
    if (!is_digit(name[begin])) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < name.size() && is_digit(name[end])) ++end;
    const bool alone = (begin == 0 || !is_letter(name[begin - 1])) && (end == name.size() || !is_letter(name[end]));
    int64_t number = 0;
    const bool fits = std::from_chars(name.data() + begin, name.data() + end, number).ec == std::errc();
    if (fits && (alone || !found.number)) found = {name.substr(0, begin), name.substr(end), number};
    if (alone && fits) break;
    begin = end;
  }
  if (!found.number) found.before = name;
  return found;
}

// "0-5", "0,2,…,30", "0-1,4,7,…,19,20-21". `numbers`: ascending, each once.
std::string ranges(const std::vector<int64_t>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;  // the end of the longest run of equal distances
    const int64_t distance = end < numbers.size() ? numbers[end] - numbers[i] : 0;
    while (end < numbers.size() && numbers[end] - numbers[end - 1] == distance) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[i]);
    if (distance == 1) {
      text += "-" + std::to_string(numbers[end - 1]);
      i = end;
    } else if (end - i >= 4) {
      text += "," + std::to_string(numbers[i + 1]) + ",\u2026," + std::to_string(numbers[end - 1]);
      i = end;
    } else {
      ++i;
    }
  }
  return text;
}

}  // namespace

size_t steps_per_layer(const GraphRecord& graph) {
  std::optional<size_t> before;
  size_t distance = 0;
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    if (graph.steps[i].kind != StepKind::attention) continue;
    if (before && distance != 0 && i - *before != distance) return 0;
    if (before) distance = i - *before;
    before = i;
  }
  return distance;
}

std::vector<EqualSteps> fold_steps(const GraphRecord& graph, const std::vector<std::string>& kernels,
                                   const int64_t* extents) {
  const size_t period = steps_per_layer(graph);
  const auto first_attention =
      static_cast<size_t>(std::find_if(graph.steps.begin(), graph.steps.end(),
                                       [](const Step& step) { return step.kind == StepKind::attention; }) -
                          graph.steps.begin());

  struct Line {
    NumberedName name;
    std::vector<size_t> steps;
    std::vector<int64_t> numbers;
    size_t place = 0;  // first step with this place in a layer
  };
  std::vector<Line> lines;
  std::map<std::string, size_t> places;
  std::map<std::pair<std::string, std::string>, size_t> line_of;  // place and signature
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    const Step& step = graph.steps[i];
    NumberedName name = parse_name(step.name);
    // Steps that the model did not name are named after their index, which says nothing about their place.
    const bool named = !step.name.empty() && step.name != "s" + std::to_string(i);
    std::string place = "name " + name.before + "*" + name.after + " " + std::string(weft::name(step.kind));
    if (!named) {
      place = period > 0 ? std::to_string((i + period - first_attention % period) % period) : std::string();
      place += " " + Signature(graph, extents, false).of(step);
    }
    const size_t first = places.try_emplace(place, i).first->second;
    const std::string signature = Signature(graph, extents, true).of(step) + kernels[i];
    const auto [entry, added] = line_of.try_emplace({place, signature}, lines.size());
    if (added) lines.push_back({name, {}, {}, first});
    Line& line = lines[entry->second];
    line.steps.push_back(i);
    if (name.number) line.numbers.push_back(*name.number);
  }
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.place < b.place; });

  std::vector<EqualSteps> result;
  for (Line& line : lines) {
    std::string text = graph.steps[line.steps.front()].name;
    if (line.steps.size() > 1 && line.name.number) {
      std::sort(line.numbers.begin(), line.numbers.end());
      line.numbers.erase(std::unique(line.numbers.begin(), line.numbers.end()), line.numbers.end());
      text = line.name.before + ranges(line.numbers) + line.name.after;
    }
    result.push_back({std::move(text), std::move(line.steps)});
  }
  return result;
}

}  // namespace weft
