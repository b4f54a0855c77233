#include "core/record/verify_program.h"

#include "core/record/axis_list.h"

namespace weft {
namespace {

bool is_number(Element type) { return type != Element::bool8; }

// The type of the result, given those of the arguments; sets `error` where the op does not accept them.
Element result_type(const ScalarInstr& instr, Element a, Element b, Element c, std::string& error) {
  const auto wants = [&error](bool holds, const char* what) {
    if (!holds) error = what;
  };
  switch (instr.op) {
    case ScalarOp::neg:
    case ScalarOp::abs: wants(is_number(a), "wants f32 or i32"); return a;
    case ScalarOp::exp:
    case ScalarOp::log:
    case ScalarOp::log1p:
    case ScalarOp::sqrt:
    case ScalarOp::rsqrt:
    case ScalarOp::tanh:
    case ScalarOp::sigmoid:
    case ScalarOp::softplus:
    case ScalarOp::erf:
    case ScalarOp::sin:
    case ScalarOp::cos:
    case ScalarOp::floor: wants(a == Element::f32, "wants f32"); return Element::f32;
    case ScalarOp::logical_not: wants(a == Element::bool8, "wants bool"); return Element::bool8;
    case ScalarOp::cast: return instr.type;
    case ScalarOp::add:
    case ScalarOp::sub:
    case ScalarOp::mul:
    case ScalarOp::div:
    case ScalarOp::mod:
    case ScalarOp::min:
    case ScalarOp::max: wants(a == b && is_number(a), "wants two f32 or two i32"); return a;
    case ScalarOp::pow: wants(a == Element::f32 && b == Element::f32, "wants two f32"); return Element::f32;
    case ScalarOp::eq:
    case ScalarOp::ne: wants(a == b, "wants two arguments of one type"); return Element::bool8;
    case ScalarOp::lt:
    case ScalarOp::le:
    case ScalarOp::gt:
    case ScalarOp::ge: wants(a == b && is_number(a), "wants two f32 or two i32"); return Element::bool8;
    case ScalarOp::logical_and:
    case ScalarOp::logical_or:
      wants(a == Element::bool8 && b == Element::bool8, "wants two bools");
      return Element::bool8;
    case ScalarOp::select: wants(a == Element::bool8 && b == c, "wants a bool and two arguments of one type"); return b;
    case ScalarOp::lookup: wants(a == Element::i32, "wants i32"); return instr.type;
    default: return instr.type;
  }
}

class ProgramChecker {
 public:
  ProgramChecker(const ProgramScope& scope, const ScalarProgram& program) : scope_(scope), program_(program) {}

  // What is wrong with the instruction, or "".
  std::string check(size_t i) const {
    const ScalarInstr& instr = program_.code[i];
    const int count = argument_count(instr.op);
    if (count == 0) return check_source(instr);
    const uint16_t arguments[] = {instr.a, instr.b, instr.c};
    for (int j = 0; j < count; ++j) {
      if (arguments[j] >= i) return "argument %" + std::to_string(arguments[j]) + " is not an earlier instruction";
    }
    std::string error;
    const auto type = [&](int j) { return j < count ? program_.code[arguments[j]].type : Element::f32; };
    const Element result = result_type(instr, type(0), type(1), type(2), error);
    if (!error.empty()) return error + given(type, count);
    if (instr.op == ScalarOp::lookup) return check_operand(instr);
    return check_type(instr, result);
  }

 private:
  template <class Type>
  static std::string given(const Type& type, int count) {
    std::string text = ", given ";
    for (int j = 0; j < count; ++j) text += (j == 0 ? "" : ", ") + std::string(name(type(j)));
    return text;
  }

  static std::string check_type(const ScalarInstr& instr, Element expected) {
    if (instr.type == expected) return "";
    return "gives " + std::string(name(expected)) + ", recorded as " + std::string(name(instr.type));
  }

  std::string check_axes(std::span<const AxisId> axes) const {
    for (const AxisId axis : axes) {
      if (!contains(scope_.axes, axis)) {
        return "varies over axis '" + scope_.graph.axes[axis].name + "', which the program does not run over";
      }
    }
    return "";
  }

  static std::string out_of_range(const char* what, int32_t index, size_t count) {
    return "reads " + std::string(what) + " " + std::to_string(index) + " of " + std::to_string(count);
  }

  // Of what a load or a lookup reads.
  std::string check_operand(const ScalarInstr& instr) const {
    const auto index = static_cast<size_t>(instr.imm);
    const std::vector<Operand>& operands = scope_.region.operands;
    if (instr.imm < 0 || index >= operands.size()) return out_of_range("operand", instr.imm, operands.size());
    const Operand& operand = operands[index];
    const ValueRecord& value = scope_.graph.values[operand.value];
    const std::string what = "operand " + std::to_string(index) + " ('" + value.name + "') ";
    const std::string error = check_axes(loop_axes(scope_.region, operand));
    if (!error.empty()) return what + error;
    if (operand.is_looked_up() != (instr.op == ScalarOp::lookup)) {
      return what + (operand.is_looked_up() ? "has an axis that is looked up" : "has no axis that is looked up");
    }
    if (operand.is_looked_up() && value.element() == Element::bool8) return what + "is looked up, and holds bools";
    if (value.cache >= 0 && (!scope_.cached || operand.is_looked_up())) {
      return what + "lies in a cache; only the score of an attention reads it";
    }
    return check_type(instr, value.element());
  }

  std::string check_source(const ScalarInstr& instr) const {
    const auto index = static_cast<size_t>(instr.imm);
    const auto in = [&](size_t count) { return instr.imm >= 0 && index < count; };
    switch (instr.op) {
      case ScalarOp::load: return check_operand(instr);
      case ScalarOp::index:
        if (!in(scope_.graph.axes.size())) return out_of_range("axis", instr.imm, scope_.graph.axes.size());
        if (!contains(scope_.axes, static_cast<AxisId>(index))) {
          return "reads the coordinate on axis '" + scope_.graph.axes[index].name +
                 "', which the program does not run over";
        }
        return check_type(instr, Element::i32);
      case ScalarOp::extent:
        if (!in(scope_.graph.axes.size())) return out_of_range("axis", instr.imm, scope_.graph.axes.size());
        for (const CacheRecord& cache : scope_.graph.caches) {
          if (cache.key == index) {
            return "reads the extent of axis '" + scope_.graph.axes[index].name + "', which each sequence of cache '" +
                   cache.name + "' has its own of";
          }
        }
        return check_type(instr, Element::i32);
      case ScalarOp::reduction:
        if (!in(scope_.reductions.size())) return out_of_range("reduction", instr.imm, scope_.reductions.size());
        return check_type(instr, scope_.reductions[index].op == ReduceOp::argmax
                                     ? Element::i32
                                     : scope_.reductions[index].program.type());
      case ScalarOp::contraction: {
        if (!in(scope_.contractions.size())) {
          return out_of_range("contraction", instr.imm, scope_.contractions.size());
        }
        const std::string error = check_axes(scope_.contractions[index]);
        if (!error.empty()) return "contraction " + std::to_string(index) + " " + error;
        return check_type(instr, Element::f32);
      }
      case ScalarOp::rotated:
        if (!scope_.rotated) return "only the program after a rotation reads the rotated value";
        return check_type(instr, Element::f32);
      default: return "";  // a constant of any type
    }
  }

  const ProgramScope& scope_;
  const ScalarProgram& program_;
};

}  // namespace

void verify_program(const ProgramScope& scope, const ScalarProgram& program,
                    const std::function<void(const std::string&)>& fail) {
  if (program.empty()) fail("is empty");
  if (program.code.size() > 0xffff) fail("has more than 65535 instructions");
  const ProgramChecker checker(scope, program);
  for (size_t i = 0; i < program.code.size(); ++i) {
    const std::string error = checker.check(i);
    if (!error.empty()) {
      fail("instruction " + std::to_string(i) + " (" + std::string(name(program.code[i].op)) + "): " + error);
    }
  }
}

}  // namespace weft
