#include "core/record/scalar.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

namespace weft {
namespace {

struct OpInfo {
  std::string_view name;
  int arguments;
};

constexpr OpInfo kOps[kScalarOpCount] = {
    {"constant", 0}, {"load", 0},  {"index", 0}, {"extent", 0},  {"reduction", 0}, {"contraction", 0},
    {"rotated", 0},  {"neg", 1},   {"abs", 1},   {"exp", 1},     {"log", 1},       {"log1p", 1},
    {"sqrt", 1},     {"rsqrt", 1}, {"tanh", 1},  {"sigmoid", 1}, {"softplus", 1},  {"erf", 1},
    {"sin", 1},      {"cos", 1},   {"floor", 1}, {"not", 1},     {"cast", 1},      {"add", 2},
    {"sub", 2},      {"mul", 2},   {"div", 2},   {"mod", 2},     {"min", 2},       {"max", 2},
    {"pow", 2},      {"eq", 2},    {"ne", 2},    {"lt", 2},      {"le", 2},        {"gt", 2},
    {"ge", 2},       {"and", 2},   {"or", 2},    {"select", 3},  {"lookup", 1},
};

int32_t wrapped(int64_t value) { return static_cast<int32_t>(static_cast<uint32_t>(value)); }

int32_t truncate_saturated(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 2147483647.0) return std::numeric_limits<int32_t>::max();
  if (value <= -2147483648.0) return std::numeric_limits<int32_t>::min();
  return static_cast<int32_t>(value);
}

ScalarValue cast(const ScalarValue& x, Element from, Element to) {
  if (to == Element::f32) return {from == Element::f32 ? x.f : static_cast<double>(x.i), 0};
  if (to == Element::i32) return {0, from == Element::f32 ? truncate_saturated(x.f) : x.i};
  return {0, from == Element::f32 ? x.f != 0 : x.i != 0};
}

double unary(ScalarOp op, double x) {
  switch (op) {
    case ScalarOp::neg: return -x;
    case ScalarOp::abs: return std::fabs(x);
    case ScalarOp::exp: return std::exp(x);
    case ScalarOp::log: return std::log(x);
    case ScalarOp::log1p: return std::log1p(x);
    case ScalarOp::sqrt: return std::sqrt(x);
    case ScalarOp::rsqrt: return 1.0 / std::sqrt(x);
    case ScalarOp::tanh: return std::tanh(x);
    case ScalarOp::sigmoid: return 1.0 / (1.0 + std::exp(-x));
    case ScalarOp::softplus: return (x < 0 ? 0.0 : x) + std::log1p(std::exp(-std::fabs(x)));
    case ScalarOp::erf: return std::erf(x);
    case ScalarOp::sin: return std::sin(x);
    case ScalarOp::cos: return std::cos(x);
    default: return std::floor(x);
  }
}

double binary(ScalarOp op, double a, double b) {
  switch (op) {
    case ScalarOp::add: return a + b;
    case ScalarOp::sub: return a - b;
    case ScalarOp::mul: return a * b;
    case ScalarOp::div: return a / b;
    case ScalarOp::mod: return std::fmod(a, b);
    case ScalarOp::min: return a < b ? a : b;
    case ScalarOp::max: return a > b ? a : b;
    default: return std::pow(a, b);
  }
}

int32_t binary(ScalarOp op, int32_t a, int32_t b) {
  const int64_t x = a, y = b;
  switch (op) {
    case ScalarOp::add: return wrapped(x + y);
    case ScalarOp::sub: return wrapped(x - y);
    case ScalarOp::mul: return wrapped(x * y);
    case ScalarOp::div: return b == 0 ? 0 : wrapped(x / y);
    case ScalarOp::mod: return b == 0 ? 0 : wrapped(x % y);
    case ScalarOp::min: return std::min(a, b);
    default: return std::max(a, b);
  }
}

template <class T>
bool compare(ScalarOp op, T a, T b) {
  switch (op) {
    case ScalarOp::eq: return a == b;
    case ScalarOp::ne: return a != b;
    case ScalarOp::lt: return a < b;
    case ScalarOp::le: return a <= b;
    case ScalarOp::gt: return a > b;
    default: return a >= b;
  }
}

}  // namespace

std::string_view name(Element element) {
  constexpr std::string_view kNames[] = {"f32", "i32", "bool"};
  return kNames[static_cast<size_t>(element)];
}

std::string_view name(ScalarOp op) { return kOps[static_cast<size_t>(op)].name; }
int argument_count(ScalarOp op) { return kOps[static_cast<size_t>(op)].arguments; }

uint16_t ScalarProgram::add(ScalarInstr instr) {
  for (size_t i = 0; i < code.size(); ++i) {
    // Constants compare by their bits: 0 and -0 differ, and a NaN equals itself.
    const bool same_bits = std::bit_cast<uint32_t>(code[i].imm_f) == std::bit_cast<uint32_t>(instr.imm_f);
    if (same_bits && (code[i] == instr || std::isnan(instr.imm_f))) return static_cast<uint16_t>(i);
  }
  code.push_back(instr);
  return result();
}

ScalarValue evaluate(const ScalarProgram& program, const std::function<ScalarValue(const ScalarInstr&)>& source,
                     const std::function<ScalarValue(const ScalarInstr&, int32_t)>& table) {
  std::vector<ScalarValue> values;
  values.reserve(program.code.size());
  for (const ScalarInstr& instr : program.code) {
    if (instr.op == ScalarOp::constant) {
      values.push_back({static_cast<double>(instr.imm_f), instr.imm});
      continue;
    }
    const int arguments = argument_count(instr.op);
    if (arguments == 0) {
      values.push_back(source(instr));
      continue;
    }
    const ScalarValue a = values[instr.a];
    const ScalarValue b = arguments > 1 ? values[instr.b] : ScalarValue{};
    const Element type = program.code[instr.a].type;
    ScalarValue result;
    if (instr.op == ScalarOp::lookup) {
      result = table(instr, a.i);
    } else if (instr.op == ScalarOp::cast) {
      result = cast(a, type, instr.type);
    } else if (instr.op == ScalarOp::select) {
      result = a.i != 0 ? b : values[instr.c];
    } else if (instr.op == ScalarOp::logical_not) {
      result.i = a.i == 0;
    } else if (instr.op == ScalarOp::logical_and || instr.op == ScalarOp::logical_or) {
      result.i = instr.op == ScalarOp::logical_and ? (a.i != 0 && b.i != 0) : (a.i != 0 || b.i != 0);
    } else if (instr.op >= ScalarOp::eq && instr.op <= ScalarOp::ge) {
      result.i = type == Element::f32 ? compare(instr.op, a.f, b.f) : compare(instr.op, a.i, b.i);
    } else if (type == Element::f32) {
      result.f = arguments == 1 ? unary(instr.op, a.f) : binary(instr.op, a.f, b.f);
    } else if (arguments == 1) {  // neg and abs are the i32 ones
      result.i = instr.op == ScalarOp::neg || a.i < 0 ? wrapped(-int64_t{a.i}) : a.i;
    } else {
      result.i = binary(instr.op, a.i, b.i);
    }
    values.push_back(result);
  }
  return values.back();
}

std::string to_string(const ScalarProgram& program) {
  std::string text;
  for (size_t i = 0; i < program.code.size(); ++i) {
    const ScalarInstr& instr = program.code[i];
    text += "%" + std::to_string(i) + " = " + std::string(name(instr.op)) + " " + std::string(name(instr.type));
    const uint16_t arguments[] = {instr.a, instr.b, instr.c};
    const int count = argument_count(instr.op);
    for (int j = 0; j < count; ++j) text += " %" + std::to_string(arguments[j]);
    if (instr.op == ScalarOp::constant && instr.type == Element::f32) {
      char number[32];
      std::snprintf(number, sizeof number, " %.9g", static_cast<double>(instr.imm_f));
      text += number;
    } else if ((count == 0 && instr.op != ScalarOp::rotated) || instr.op == ScalarOp::lookup) {
      text += " " + std::to_string(instr.imm);
    }
    text += "\n";
  }
  return text;
}

}  // namespace weft
