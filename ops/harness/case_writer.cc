#include "ops/harness/case_writer.h"

#include <cctype>
#include <cmath>
#include <cstdio>

namespace weft {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "std::numeric_limits<float>::quiet_NaN()";
  if (std::isinf(value)) return std::string(value < 0 ? "-" : "") + "std::numeric_limits<float>::infinity()";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string float_literal(float value) {
  std::string text = number(static_cast<double>(value));
  if (!std::isfinite(value)) return text;
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text + "f";
}

std::string fill_text(const Fill& fill) {
  return "{.low = " + number(fill.low) + ", .high = " + number(fill.high) + ", .nonfinite = " + number(fill.nonfinite) +
         "}";
}

std::string format_text(Format format) {
  if (format == Format::bool8) return "Format::bool8";
  std::string text(name(format));
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return "Format::" + text;
}

const char* element_text(Element element) {
  constexpr const char* kNames[] = {"Element::f32", "Element::i32", "Element::bool8"};
  return kNames[static_cast<size_t>(element)];
}

const char* reduce_text(ReduceOp op) {
  constexpr const char* kNames[] = {"ReduceOp::sum", "ReduceOp::mean", "ReduceOp::max", "ReduceOp::argmax"};
  return kNames[static_cast<size_t>(op)];
}

// Names of enumerators, where name() has a shorter one.
std::string op_text(ScalarOp op) {
  if (op == ScalarOp::logical_not) return "ScalarOp::logical_not";
  if (op == ScalarOp::logical_and) return "ScalarOp::logical_and";
  if (op == ScalarOp::logical_or) return "ScalarOp::logical_or";
  return "ScalarOp::" + std::string(name(op));
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }
const char* bool_text(bool value) { return value ? "true" : "false"; }

}  // namespace

std::string program_code(const ScalarProgram& program) {
  std::string text = "[&] {\n  ScalarBuilder s;\n";
  const auto v = [](uint16_t index) { return "e" + std::to_string(index); };
  for (size_t i = 0; i < program.code.size(); ++i) {
    const ScalarInstr& instr = program.code[i];
    text += "  const Scalar " + v(static_cast<uint16_t>(i)) + " = ";
    const std::string imm = std::to_string(instr.imm);
    switch (instr.op) {
      case ScalarOp::constant:
        if (instr.type == Element::f32) text += "s.constant(" + float_literal(instr.imm_f) + ")";
        else if (instr.type == Element::i32) text += "s.constant(int32_t{" + imm + "})";
        else text += std::string("s.constant(") + bool_text(instr.imm != 0) + ")";
        break;
      case ScalarOp::load: text += "s.load(" + imm + ", " + element_text(instr.type) + ")"; break;
      case ScalarOp::index: text += "s.index(" + imm + ")"; break;
      case ScalarOp::extent: text += "s.extent(" + imm + ")"; break;
      case ScalarOp::lookup:
        text += "s.lookup(" + imm + ", " + v(instr.a) + ", " + element_text(instr.type) + ")";
        break;
      case ScalarOp::reduction: text += "s.reduction(" + imm + ", " + element_text(instr.type) + ")"; break;
      case ScalarOp::contraction: text += "s.contraction(" + imm + ")"; break;
      case ScalarOp::rotated: text += "s.rotated()"; break;
      case ScalarOp::cast: text += "cast(" + v(instr.a) + ", " + element_text(instr.type) + ")"; break;
      case ScalarOp::select: text += "where(" + v(instr.a) + ", " + v(instr.b) + ", " + v(instr.c) + ")"; break;
      default:
        text += "apply(" + op_text(instr.op) + ", " + v(instr.a) +
                (argument_count(instr.op) > 1 ? ", " + v(instr.b) : "") + ")";
    }
    text += ";\n";
  }
  return text + "  return s.finish(" + v(program.result()) + ");\n}()";
}

CaseWriter::CaseWriter(StepKind kind, const std::string& name, uint64_t seed) : builder_(kind, name, seed) {
  line("CaseBuilder c(StepKind::" + std::string(weft::name(kind)) + ", " + quoted(name) + ", " + std::to_string(seed) +
       ")");
}

std::string CaseWriter::axis_text(AxisId axis) const { return axis == kNoAxis ? "kNoAxis" : axis_names_[axis]; }

std::string CaseWriter::list(const std::vector<AxisId>& axes) const {
  std::string text = "{";
  for (const AxisId axis : axes) text += (text.size() > 1 ? ", " : "") + axis_text(axis);
  return text + "}";
}

AxisId CaseWriter::axis(const std::string& name, int64_t extent) {
  const std::string unique = name + std::to_string(axis_names_.size());
  line("[[maybe_unused]] const AxisId " + unique + " = c.axis(" + quoted(unique) + ", " + std::to_string(extent) + ")");
  axis_names_.push_back(unique);
  extents_.push_back(extent);
  return builder_.axis(unique, extent);
}

AxisId CaseWriter::key_axis(const std::string& name) {
  const std::string unique = name + std::to_string(axis_names_.size());
  line("const AxisId " + unique + " = c.key_axis(" + quoted(unique) + ")");
  axis_names_.push_back(unique);
  extents_.push_back(-1);
  return builder_.key_axis(unique);
}

ValueId CaseWriter::input(const std::string& name, const std::vector<AxisId>& axes, Format format, Fill fill) {
  const std::string unique = name + std::to_string(value_names_.size());
  line("const ValueId " + unique + " = c.input(" + quoted(unique) + ", " + list(axes) + ", " + format_text(format) +
       ", " + fill_text(fill) + ")");
  value_names_.push_back(unique);
  return builder_.input(unique, axes, format, fill);
}

ValueId CaseWriter::ids(const std::string& name, const std::vector<AxisId>& axes, int32_t low, int32_t high) {
  const std::string unique = name + std::to_string(value_names_.size());
  line("const ValueId " + unique + " = c.ids(" + quoted(unique) + ", " + list(axes) + ", " + std::to_string(low) +
       ", " + std::to_string(high) + ")");
  value_names_.push_back(unique);
  return builder_.ids(unique, axes, low, high);
}

ValueId CaseWriter::weight(const std::string& name, const std::vector<AxisId>& axes, Format format, Fill fill) {
  const std::string unique = name + std::to_string(value_names_.size());
  line("const ValueId " + unique + " = c.weight(" + quoted(unique) + ", " + list(axes) + ", " + format_text(format) +
       ", " + fill_text(fill) + ")");
  value_names_.push_back(unique);
  return builder_.weight(unique, axes, format, fill);
}

CaseCache CaseWriter::cache(const CacheSpec& spec) {
  std::string sequences, fields, formats;
  for (const CaseSequence& s : spec.sequences) {
    sequences += (sequences.empty() ? "{" : ", {") + std::to_string(s.length) + ", " + std::to_string(s.rows) + ", " +
                 std::to_string(s.shared_pages) + ", " + std::to_string(s.gone_pages) + "}";
  }
  for (const std::vector<AxisId>& axes : spec.fields) fields += (fields.empty() ? "" : ", ") + list(axes);
  for (const Format format : spec.formats) formats += (formats.empty() ? "" : ", ") + format_text(format);
  line("const CaseCache " + spec.name + " = c.cache({.name = " + quoted(spec.name) + ", .key = " + axis_text(spec.key) +
       ", .pos = " + axis_text(spec.pos) + ", .page_size = " + std::to_string(spec.page_size) + ", .sequences = {" +
       sequences + "}, .fields = {" + fields + "}, .formats = {" + formats + "}, .shuffled_rows = " +
       bool_text(spec.shuffled_rows) + ", .first_position = " + std::to_string(spec.first_position) +
       ", .skip_every = " + std::to_string(spec.skip_every) + ", .fill = " + fill_text(spec.fill) + "})");
  const CaseCache cache = builder_.cache(spec);
  value_names_.resize(cache.positions + 1);
  for (size_t f = 0; f < cache.fields.size(); ++f) {
    value_names_[cache.fields[f]] = spec.name + ".fields[" + std::to_string(f) + "]";
  }
  value_names_[cache.positions] = spec.name + ".positions";
  value_names_[cache.pos_values] = spec.name + ".pos_values";
  value_names_[cache.slots] = spec.name + ".slots";
  value_names_[cache.seq] = spec.name + ".seq";
  return cache;
}

int CaseWriter::operand(ValueId value) {
  line("c.operand(" + value_names_[value] + ")");
  return builder_.operand(value);
}

int CaseWriter::operand(ValueId value, const std::vector<ViewAxis>& view) {
  std::string text;
  for (const ViewAxis& axis : view) {
    if (!text.empty()) text += ", ";
    if (axis.gather >= 0) {
      text += "gathered(" + axis_text(axis.stored) + ", " + std::to_string(axis.gather) + ")";
    } else if (axis.is_looked_up()) {
      text += "looked_up(" + axis_text(axis.stored) + ")";
    } else if (axis.stored == axis.axis) {
      text += "whole(" + axis_text(axis.axis) + ")";
    } else {
      text +=
          "sliced(" + axis_text(axis.axis) + ", " + axis_text(axis.stored) + ", " + std::to_string(axis.begin) + ")";
    }
  }
  line("c.operand(" + value_names_[value] + ", {" + text + "})");
  return builder_.operand(value, view);
}

std::string CaseWriter::source_arguments(const std::vector<AxisId>& axes, const ScalarProgram& program, AxisId reduced,
                                         const std::vector<Reduction>& reductions) const {
  std::string text = "(" + list(axes) + ", " + program_code(program);
  if (reduced != kNoAxis) {
    text += ", " + axis_text(reduced) + ", {";
    for (size_t i = 0; i < reductions.size(); ++i) {
      text += std::string(i == 0 ? "{" : ", {") + reduce_text(reductions[i].op) + ", " +
              program_code(reductions[i].program) + "}";
    }
    text += "}";
  }
  return text + ")";
}

int CaseWriter::lhs(const std::vector<AxisId>& axes, const ScalarProgram& program, AxisId reduced,
                    const std::vector<Reduction>& reductions) {
  line("c.lhs" + source_arguments(axes, program, reduced, reductions));
  return builder_.lhs(axes, program, reduced, reductions);
}

int CaseWriter::contraction(int lhs, int rhs, const std::vector<AxisId>& over) {
  line("c.contraction(" + std::to_string(lhs) + ", " + std::to_string(rhs) + ", " + list(over) + ")");
  return builder_.contraction(lhs, rhs, over);
}

void CaseWriter::body(const std::vector<AxisId>& axes, const ScalarProgram& program, AxisId reduced,
                      const std::vector<Reduction>& reductions) {
  line("c.body" + source_arguments(axes, program, reduced, reductions));
  builder_.body(axes, program, reduced, reductions);
}

void CaseWriter::attention(AxisId key, int value, bool statistics, const ScalarProgram& sink) {
  std::string more;
  if (statistics || !sink.empty()) more = std::string(", ") + bool_text(statistics);
  if (!sink.empty()) more += ", " + program_code(sink);
  line("c.attention(" + axis_text(key) + ", " + std::to_string(value) + more + ")");
  builder_.attention(key, value, statistics, sink);
}

void CaseWriter::rotation(const Rotation& rotation) {
  std::string frequencies = "nullptr";
  if (rotation.frequencies) {
    frequencies.clear();
    for (const float f : *rotation.frequencies) frequencies += (frequencies.empty() ? "" : ", ") + float_literal(f);
    frequencies = "std::make_shared<const std::vector<float>>(std::vector<float>{" + frequencies + "})";
  }
  std::string sections;
  for (const RotationSection& section : rotation.sections) {
    sections += (sections.empty() ? "{" : ", {") + std::to_string(section.first) + ", " +
                std::to_string(section.position) + "}";
  }
  line("c.rotation({.axis = " + axis_text(rotation.axis) +
       ", .pairs = RopePairs::" + (rotation.pairs == RopePairs::half_split ? "half_split" : "interleaved") +
       ", .position = " + std::to_string(rotation.position) + ", .frequencies = " + frequencies +
       ", .base = " + float_literal(rotation.base) + ", .scale = " + float_literal(rotation.scale) + ", .sections = {" +
       sections + "}})");
  builder_.rotation(rotation);
}

void CaseWriter::post(const ScalarProgram& program) {
  line("c.post(" + program_code(program) + ")");
  builder_.post(program);
}

void CaseWriter::selection(AxisId axis, AxisId choice, bool values) {
  line("c.selection(" + axis_text(axis) + ", " + axis_text(choice) + ", " + bool_text(values) + ")");
  builder_.selection(axis, choice, values);
}

void CaseWriter::append_to(const CaseCache& cache) {
  line("c.append_to(cache)");
  builder_.append_to(cache);
}

void CaseWriter::next_region() {
  line("c.next_region()");
  builder_.next_region();
}

}  // namespace weft
