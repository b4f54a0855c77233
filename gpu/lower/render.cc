#include "gpu/lower/render.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "core/error.h"
#include "core/record/axis_list.h"

namespace weft {
namespace {

// Elements between neighbours on view axis `at`: the product of the storage extents after it.
int64_t stride_of(const std::vector<ViewAxis>& view, size_t at, const int64_t* extents) {
  int64_t stride = 1;
  for (size_t i = at + 1; i < view.size(); ++i) stride *= extents[view[i].stored];
  return stride;
}

std::string float_literal(float value) {
  if (std::isnan(value)) return "NAN";
  if (std::isinf(value)) return value > 0 ? "INFINITY" : "(-INFINITY)";
  char text[40];
  std::snprintf(text, sizeof text, std::signbit(value) ? "(%af)" : "%af", static_cast<double>(value));
  return text;
}

std::string int_literal(int32_t value) {
  if (value == std::numeric_limits<int32_t>::min()) return "(-2147483647 - 1)";
  return value < 0 ? "(" + std::to_string(value) + ")" : std::to_string(value);
}

size_t index_of(int32_t value) { return static_cast<size_t>(value); }

}  // namespace

std::string format_suffix(Format format) { return std::string(info(format).identifier); }

std::string format_suffix(const Leaf& leaf) {
  return format_suffix(leaf.format) + (leaf.packed == nullptr ? "" : "_" + name(leaf.packed->layout));
}

const char* c_type(Element element) { return element == Element::f32 ? "float" : "int"; }

Leaf operand_leaf(const GraphRecord& graph, const Region& region, int operand, const WeightLayouts* layouts) {
  const Operand& record = region.operands[index_of(operand)];
  const ValueRecord& value = graph.values[record.value];
  Leaf leaf;
  leaf.memory = {MemoryRef::Kind::value, record.value};
  leaf.format = value.format;
  leaf.view = record.view;
  leaf.paged = value.is_cached();
  if (layouts != nullptr && value.kind == ValueKind::weight) {
    if (const auto at = layouts->find(value.storage.get()); at != layouts->end()) leaf.packed = &at->second;
  }
  leaf.key = "operand " + std::to_string(operand);
  return leaf;
}

Leaf scratch_leaf(size_t offset, Format format, const std::vector<AxisId>& axes) {
  Leaf leaf;
  leaf.memory = {MemoryRef::Kind::scratch, offset};
  leaf.format = format;
  for (const AxisId axis : axes) leaf.view.push_back({axis, axis, 0, -1});
  leaf.key = "scratch " + std::to_string(offset);
  return leaf;
}

void CodeScope::line(const std::string& text) { code += std::string(static_cast<size_t>(indent), ' ') + text + "\n"; }

CodeScope CodeScope::inner(int more_indent) const {
  CodeScope scope = *this;
  scope.code.clear();
  scope.indent += more_indent;
  return scope;
}

std::string KernelBuilder::param(const std::string& name, ParamFunction value) {
  const auto same = [&](const KernelParam& p) { return p.name == name; };
  if (std::none_of(params_.begin(), params_.end(), same)) params_.push_back({name, std::move(value)});
  return "p." + name;
}

std::string KernelBuilder::memory(const MemoryRef& ref) {
  const auto at = std::find(memory_.begin(), memory_.end(), ref);
  const auto number = std::to_string(at - memory_.begin());
  if (at == memory_.end()) memory_.push_back(ref);
  return "m" + number;
}

int KernelBuilder::axis_number(AxisId axis) {
  const size_t number = find_axis(axes_, axis);
  if (number == axes_.size()) axes_.push_back(axis);
  return static_cast<int>(number);
}

std::string KernelBuilder::extent(AxisId axis) {
  return "(int)" +
         param("e" + std::to_string(axis_number(axis)), [axis](const GpuArgs& args) { return args.extents[axis]; });
}

std::string KernelBuilder::temporary(const char* prefix) { return prefix + std::to_string(temporaries_++); }

void KernelBuilder::coordinates(CodeScope& scope, const std::string& item, const std::vector<AxisId>& axes) {
  if (axes.empty()) return;
  std::string rest = item;
  for (size_t i = axes.size(); i-- > 0;) {
    const std::string name = temporary("c");
    if (i == 0) {
      scope.line("const int " + name + " = (int)" + rest + ";");
    } else {
      const std::string e = "(uint)" + extent(axes[i]);
      const std::string next = temporary("rest");
      scope.line("const int " + name + " = (int)(" + rest + " % " + e + ");");
      scope.line("const uint " + next + " = " + rest + " / " + e + ";");
      rest = next;
    }
    scope.coordinate[axes[i]] = name;
  }
}

std::string KernelBuilder::leaf_name(const Leaf& leaf) {
  const auto at = std::find(leaves_.begin(), leaves_.end(), leaf.key);
  const auto number = std::to_string(at - leaves_.begin());
  if (at == leaves_.end()) leaves_.push_back(leaf.key);
  return "o" + number;
}

std::string KernelBuilder::stride(const Leaf& leaf, size_t view_axis) {
  return param(leaf_name(leaf) + "_s" + std::to_string(view_axis),
               [view = leaf.view, view_axis](const GpuArgs& args) { return stride_of(view, view_axis, args.extents); });
}

std::string KernelBuilder::term(const Leaf& leaf, size_t view_axis, const std::string& coordinate) {
  if (view_axis + 1 == leaf.view.size()) return coordinate;
  return "(long)" + coordinate + " * " + stride(leaf, view_axis);
}

std::string KernelBuilder::base(const Leaf& leaf) {
  if (std::all_of(leaf.view.begin(), leaf.view.end(), [](const ViewAxis& a) { return a.begin == 0; })) return "0";
  return param(leaf_name(leaf) + "_begin", [view = leaf.view](const GpuArgs& args) {
    int64_t offset = 0;
    for (size_t i = 0; i < view.size(); ++i) offset += view[i].begin * stride_of(view, i, args.extents);
    return offset;
  });
}

KernelBuilder::Place KernelBuilder::place(CodeScope& scope, const Leaf& leaf, const std::string& looked_up) {
  std::string offset = base(leaf);
  Place result{"", "true"};
  for (size_t i = 0; i < leaf.view.size(); ++i) {
    const ViewAxis& axis = leaf.view[i];
    std::string coordinate;
    if (axis.gather >= 0 || axis.is_looked_up()) {
      coordinate = axis.gather >= 0 ? load(scope, operand_leaf(graph_, *region_, axis.gather, layouts_)) : looked_up;
      const std::string limit = param(leaf_name(leaf) + "_limit" + std::to_string(i),
                                      [stored = axis.stored](const GpuArgs& args) { return args.extents[stored]; });
      const std::string valid = temporary("ok");
      scope.line("const bool " + valid + " = " + coordinate + " >= 0 && " + coordinate + " < (int)" + limit +
                 (result.valid == "true" ? "" : " && " + result.valid) + ";");
      result.valid = valid;
    } else if (i == 0 && leaf.paged) {
      coordinate = scope.slot;
    } else if (const auto found = scope.coordinate.find(axis.axis); found != scope.coordinate.end()) {
      coordinate = found->second;
    } else {
      continue;
    }
    const std::string product = term(leaf, i, coordinate);
    offset = offset == "0" ? product : offset + " + " + product;
  }
  result.offset = temporary("at");
  scope.line("const long " + result.offset + " = " + offset + ";");
  return result;
}

std::string KernelBuilder::partial_offset(CodeScope& scope, const Leaf& leaf, const std::vector<AxisId>& axes,
                                          bool with_base) {
  std::string offset = with_base ? base(leaf) : "0";
  for (size_t i = 0; i < leaf.view.size(); ++i) {
    const AxisId axis = leaf.view[i].axis;
    if (!contains(axes, axis)) continue;
    offset += " + " + term(leaf, i, scope.coordinate.at(axis));
  }
  return offset;
}

std::string KernelBuilder::matrix_rows(const Leaf& leaf) {
  return "(int)" + param(leaf_name(leaf) + "_rows", [rows = leaf.packed->shape.rows](const GpuArgs&) { return rows; });
}

std::string KernelBuilder::matrix_k(const Leaf& leaf) {
  return "(int)" + param(leaf_name(leaf) + "_k", [k = leaf.packed->shape.k](const GpuArgs&) { return k; });
}

std::string KernelBuilder::load(CodeScope& scope, const Leaf& leaf, const std::string& looked_up) {
  const Place at = place(scope, leaf, looked_up);
  const std::string name = temporary("v");
  const std::string shape = leaf.packed == nullptr ? "" : ", " + matrix_k(leaf) + ", " + matrix_rows(leaf);
  const std::string read =
      "weft_load_" + format_suffix(leaf) + "(" + memory(leaf.memory) + ", " + at.offset + shape + ")";
  const Element element = read_as(leaf.format);
  const std::string value =
      at.valid == "true" ? read : at.valid + " ? " + read + (element == Element::f32 ? " : 0.0f" : " : 0");
  scope.line(std::string("const ") + c_type(element) + " " + name + " = " + value + ";");
  return name;
}

std::string KernelBuilder::instruction(CodeScope& scope, const ScalarProgram& program,
                                       const std::vector<std::string>& names, const ScalarInstr& instr) {
  const int count = argument_count(instr.op);
  const std::string a = count > 0 ? names[instr.a] : "";
  const std::string b = count > 1 ? names[instr.b] : "";
  const Element from = count > 0 ? program.code[instr.a].type : instr.type;
  const bool is_float = from == Element::f32;
  const auto wrapping = [&](const char* op) { return "(int)((uint)" + a + op + "(uint)" + b + ")"; };
  const auto call = [&](const char* function) { return std::string(function) + "(" + a + ")"; };
  switch (instr.op) {
    case ScalarOp::constant: return instr.type == Element::f32 ? float_literal(instr.imm_f) : int_literal(instr.imm);
    case ScalarOp::load: return load(scope, operand_leaf(graph_, *region_, instr.imm, layouts_));
    case ScalarOp::index: return scope.coordinate.at(static_cast<AxisId>(instr.imm));
    case ScalarOp::extent: return extent(static_cast<AxisId>(instr.imm));
    case ScalarOp::reduction: return scope.reduction.at(instr.imm);
    case ScalarOp::contraction: return scope.contraction.at(instr.imm);
    case ScalarOp::rotated: return scope.rotated;
    case ScalarOp::neg: return is_float ? "-" + a : "(int)(0u - (uint)" + a + ")";
    case ScalarOp::abs: return is_float ? call("fabs") : "(" + a + " < 0 ? (int)(0u - (uint)" + a + ") : " + a + ")";
    case ScalarOp::exp: return call("exp");
    case ScalarOp::log: return call("log");
    case ScalarOp::log1p: return call("log1p");
    case ScalarOp::sqrt: return call("sqrt");
    case ScalarOp::rsqrt: return "1.0f / sqrt(" + a + ")";
    case ScalarOp::tanh: return call("tanh");
    case ScalarOp::sigmoid: return call("weft_sigmoid");
    case ScalarOp::softplus: return call("weft_softplus");
    case ScalarOp::erf: return call("erf");
    case ScalarOp::sin: return call("sin");
    case ScalarOp::cos: return call("cos");
    case ScalarOp::floor: return call("floor");
    case ScalarOp::logical_not: return "!" + a;
    case ScalarOp::cast:
      if (instr.type == Element::f32) return is_float ? a : "(float)" + a;
      if (instr.type == Element::i32) return is_float ? call("weft_to_i32") : a;
      return is_float ? a + " != 0.0f" : a + " != 0";
    case ScalarOp::add: return is_float ? a + " + " + b : wrapping(" + ");
    case ScalarOp::sub: return is_float ? a + " - " + b : wrapping(" - ");
    case ScalarOp::mul: return is_float ? a + " * " + b : wrapping(" * ");
    case ScalarOp::div: return is_float ? a + " / " + b : "weft_div_i32(" + a + ", " + b + ")";
    case ScalarOp::mod: return (is_float ? "fmod(" : "weft_mod_i32(") + a + ", " + b + ")";
    case ScalarOp::min: return a + " < " + b + " ? " + a + " : " + b;
    case ScalarOp::max: return a + " > " + b + " ? " + a + " : " + b;
    case ScalarOp::pow: return "pow(" + a + ", " + b + ")";
    case ScalarOp::eq: return a + " == " + b;
    case ScalarOp::ne: return a + " != " + b;
    case ScalarOp::lt: return a + " < " + b;
    case ScalarOp::le: return a + " <= " + b;
    case ScalarOp::gt: return a + " > " + b;
    case ScalarOp::ge: return a + " >= " + b;
    case ScalarOp::logical_and: return a + " && " + b;
    case ScalarOp::logical_or: return a + " || " + b;
    case ScalarOp::select: return a + " ? " + b + " : " + names[instr.c];
    case ScalarOp::lookup: return load(scope, operand_leaf(graph_, *region_, instr.imm, layouts_), a);
  }
  throw Error("OpenCL: no rendering of scalar operation " + std::string(name(instr.op)));
}

std::string KernelBuilder::program(CodeScope& scope, const ScalarProgram& program) {
  std::vector<std::string> names;
  for (const ScalarInstr& instr : program.code) {
    const std::string value = instruction(scope, program, names, instr);
    const bool is_read = argument_count(instr.op) == 0 ? instr.op != ScalarOp::constant && instr.op != ScalarOp::extent
                                                       : instr.op == ScalarOp::lookup;
    if (is_read) {
      names.push_back(value);  // a name already
      continue;
    }
    names.push_back(temporary("t"));
    scope.line(std::string("const ") + c_type(instr.type) + " " + names.back() + " = " + value + ";");
  }
  return names.back();
}

void KernelBuilder::store(CodeScope& scope, const Target& target, const std::string& value) {
  std::string index;
  size_t first = 0;
  std::string guard;
  if (target.slots != kNoValue) {
    const std::string slot = temporary("slot");
    scope.line("const int " + slot + " = weft_load_i32(" + memory({MemoryRef::Kind::value, target.slots}) + ", " +
               scope.coordinate.at(target.axes[0]) + ");");
    guard = "if (" + slot + " >= 0) ";
    index = "(long)" + slot;
    first = 1;
  }
  for (size_t i = first; i < target.axes.size(); ++i) {
    const std::string& coordinate = scope.coordinate.at(target.axes[i]);
    index = index.empty() ? "(long)" + coordinate : "(" + index + ") * " + extent(target.axes[i]) + " + " + coordinate;
  }
  if (index.empty()) index = "0";
  scope.line(guard + "weft_store_" + format_suffix(target.format) + "(" + memory(target.memory) + ", " + index + ", " +
             value + ");");
}

std::string KernelBuilder::arguments(const std::string& params_type, bool params_in_memory) const {
  std::string text;
  for (size_t i = 0; i < memory_.size(); ++i) text += "__global uchar* b" + std::to_string(i) + ", ";
  return text + (params_in_memory ? "__global const " + params_type + "* params" : "const " + params_type + " p");
}

std::string KernelBuilder::prologue(const std::string& params_type, bool params_in_memory) const {
  std::string text;
  if (params_in_memory) text += "  const " + params_type + " p = *params;\n";
  for (size_t i = 0; i < memory_.size(); ++i) {
    const std::string n = std::to_string(i);
    text += "  __global uchar* const m" + n + " = b" + n + " + p.begin" + n + ";\n";
  }
  return text;
}

std::string KernelBuilder::params_struct(const std::string& params_type) const {
  std::string text = "typedef struct {\n  long";
  std::string line;
  for (size_t i = 0; i < memory_.size(); ++i) text += (i == 0 ? " begin" : ", begin") + std::to_string(i);
  bool first = memory_.empty();
  for (const KernelParam& p : params_) {
    text += (first ? " " : ", ") + p.name;
    first = false;
  }
  return text + ";\n} " + params_type + ";\n";
}

}  // namespace weft
