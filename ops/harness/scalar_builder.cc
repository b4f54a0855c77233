#include "ops/harness/scalar_builder.h"

#include <vector>

#include "core/error.h"

namespace weft {
namespace {

Scalar append(const std::shared_ptr<ScalarProgram>& program, const ScalarInstr& instr) {
  return {program, program->add(instr)};
}

Element result_type(ScalarOp op, Element argument) {
  return op >= ScalarOp::eq && op <= ScalarOp::logical_or ? Element::bool8 : argument;
}

}  // namespace

Scalar ScalarBuilder::source(ScalarOp op, Element type, int32_t imm) {
  return append(program_, {.op = op, .type = type, .imm = imm});
}

Scalar ScalarBuilder::constant(float value) {
  return append(program_, {.op = ScalarOp::constant, .type = Element::f32, .imm_f = value});
}

Scalar ScalarBuilder::constant(int32_t value) {
  return append(program_, {.op = ScalarOp::constant, .type = Element::i32, .imm = value});
}

Scalar ScalarBuilder::constant(bool value) {
  return append(program_, {.op = ScalarOp::constant, .type = Element::bool8, .imm = value ? 1 : 0});
}

Scalar ScalarBuilder::lookup(int operand, const Scalar& at, Element type) {
  return append(at.program, {.op = ScalarOp::lookup, .type = type, .a = at.at, .imm = operand});
}

ScalarProgram ScalarBuilder::finish(const Scalar& result) const {
  if (result.program != program_) throw Error("ScalarBuilder::finish: the scalar belongs to another builder");
  const std::vector<ScalarInstr>& code = program_->code;
  std::vector<bool> needed(code.size(), false);
  needed[result.at] = true;
  for (size_t i = result.at + size_t{1}; i-- > 0;) {
    if (!needed[i]) continue;
    const uint16_t arguments[] = {code[i].a, code[i].b, code[i].c};
    for (int j = 0; j < argument_count(code[i].op); ++j) needed[arguments[j]] = true;
  }
  ScalarProgram program;
  std::vector<uint16_t> moved(code.size(), 0);
  for (size_t i = 0; i <= result.at; ++i) {
    if (!needed[i]) continue;
    ScalarInstr instr = code[i];
    const int count = argument_count(instr.op);
    if (count > 0) instr.a = moved[instr.a];
    if (count > 1) instr.b = moved[instr.b];
    if (count > 2) instr.c = moved[instr.c];
    program.code.push_back(instr);
    moved[i] = program.result();
  }
  return program;
}

Scalar apply(ScalarOp op, const Scalar& a) {
  return append(a.program, {.op = op, .type = result_type(op, a.type()), .a = a.at});
}

Scalar apply(ScalarOp op, const Scalar& a, const Scalar& b) {
  if (a.program != b.program) throw Error("scalars of two builders cannot meet in one instruction");
  return append(a.program, {.op = op, .type = result_type(op, a.type()), .a = a.at, .b = b.at});
}

Scalar where(const Scalar& condition, const Scalar& yes, const Scalar& no) {
  return append(condition.program,
                {.op = ScalarOp::select, .type = yes.type(), .a = condition.at, .b = yes.at, .c = no.at});
}

Scalar cast(const Scalar& a, Element type) {
  return append(a.program, {.op = ScalarOp::cast, .type = type, .a = a.at});
}

Scalar constant_like(const Scalar& like, double value) {
  ScalarInstr instr{.op = ScalarOp::constant, .type = like.type()};
  if (instr.type == Element::f32) {
    instr.imm_f = static_cast<float>(value);
  } else {
    instr.imm = instr.type == Element::i32 ? static_cast<int32_t>(value) : (value != 0 ? 1 : 0);
  }
  return append(like.program, instr);
}

}  // namespace weft
