#include "tests/opencl_cases.h"

#include <algorithm>
#include <limits>
#include <string>

namespace weft {
namespace {

using namespace opencl_cases;
constexpr float kInf = std::numeric_limits<float>::infinity();

// ---- map

StepCase all_f32_ops(int64_t n) {
  CaseBuilder c(StepKind::map, sized("f32 ops", {n}));
  const AxisId a = c.axis("a", n), b = c.axis("b", 7);
  ScalarBuilder s;
  const Scalar x = s.load(c.operand(c.input("x", {a, b}))), y = s.load(c.operand(c.input("y", {b})));
  const Scalar positive = abs(x) + 0.25f;
  const Scalar sums = exp(x) + log(positive) + log1p(x + 1.0f) + sqrt(positive) + rsqrt(positive) + tanh(y) +
                      sigmoid(x) + softplus(x * 8.0f) + erf(x * 3.0f) + sin(x) + cos(y);
  const Scalar rest = floor(x * 3.0f) - x / (positive + 1.0f) + pow(positive, y) + minimum(x, y) * maximum(x, y) + -y;
  c.body({b, a}, s.finish(where(x < y && !(x == y), sums, rest) + (cast(s.index(a), Element::f32) % 3.0f)));
  return c.build();
}

StepCase all_i32_ops() {
  CaseBuilder c(StepKind::map, "i32 ops");
  const AxisId n = c.axis("n", 8);
  const ValueId a = c.ids("a", {n}, 0, 1), b = c.ids("b", {n}, 0, 1);
  constexpr int32_t kLow = std::numeric_limits<int32_t>::min(), kHigh = std::numeric_limits<int32_t>::max();
  c.set(a, std::vector<int32_t>{kLow, kHigh, -7, 7, 0, kLow, 5, kHigh});
  c.set(b, std::vector<int32_t>{-1, 2, 2, -2, 0, 0, 3, kHigh});
  ScalarBuilder s;
  const Scalar x = s.load(c.operand(a), Element::i32), y = s.load(c.operand(b), Element::i32);
  const Scalar sums = (x + y) + (x - y) * 3 + x / y + x % y + (-x) + abs(y);
  c.body({n}, s.finish(where(x >= y || x != y, sums + minimum(x, y), maximum(x, y) * y) + s.index(n)));
  return c.build();
}

StepCase casts() {
  CaseBuilder c(StepKind::map, "casts of non-finite and large values");
  const AxisId n = c.axis("n", 9);
  const ValueId x = c.input("x", {n});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  c.set(x, std::vector<float>{nan, kInf, -kInf, 3e9f, -3e9f, 2.9f, -2.9f, 0.0f, -2147483648.0f});
  ScalarBuilder s;
  c.body({n}, s.finish(cast(s.load(c.operand(x)), Element::i32)));
  return c.build();
}

StepCase bools(bool nonfinite) {
  CaseBuilder c(StepKind::map, nonfinite ? "bools of non-finite values" : "bools");
  const AxisId n = c.axis("n", 33);
  const ValueId x = c.input("x", {n}, Format::f32, {-1, 1, nonfinite ? 0.6 : 0.0}), y = c.input("y", {n});
  const ValueId z = c.input("z", {n}, Format::bool8);
  ScalarBuilder s;
  const Scalar a = s.load(c.operand(x)), b = s.load(c.operand(y)), k = s.load(c.operand(z), Element::bool8);
  c.body({n},
         s.finish(((a < b) == k) || (a != a && maximum(a, b) > 0.0f) || cast(minimum(b, a), Element::bool8) == !k));
  return c.build();
}

StepCase gathers(Format format) {
  CaseBuilder c(StepKind::map, "gather " + std::string(name(format)));
  const int64_t block = info(format).block_elements;
  const AxisId row = c.axis("row", 5), group = c.axis("group", 2), vocab = c.axis("vocab", 9);
  const AxisId d = c.axis("d", std::max<int64_t>(64, block));
  const AxisId part = c.axis("part", 7), k = c.axis("k", 4);
  const ValueId table = c.weight("table", {vocab, d}, format);
  const int ids = c.operand(c.ids("ids", {row, group}, -2, 11));
  const int nested = c.operand(c.ids("list", {k}, 0, 5));
  const int through = c.operand(c.ids("through", {row}, -1, 5), {gathered(row, nested)});
  ScalarBuilder s;
  const Scalar first = s.load(c.operand(table, {gathered(vocab, ids), sliced(part, d, 31)}));
  const Scalar second = s.load(c.operand(table, {gathered(vocab, through), sliced(part, d, 3)}));
  c.body({row, group, k, part}, s.finish(first + second * 2.0f));
  return c.build();
}

// Each element of a few blocks of every format.
StepCase every_block_format(double nonfinite) {
  CaseBuilder c(StepKind::map, "elements of every block format" + std::string(nonfinite > 0 ? ", nonfinite" : ""));
  const AxisId n = c.axis("n", 6 * static_cast<int64_t>(kMaxBlockElements));
  ScalarBuilder s;
  Scalar sum = s.constant(0.0f);
  float factor = 1;
  for (const Format format : kBlockFormats) {
    const int x = c.operand(c.weight(std::string(name(format)), {n}, format, {.nonfinite = nonfinite}));
    sum = sum + s.load(x) * factor;
    factor += 0.25f;
  }
  c.body({n}, s.finish(sum));
  return c.build();
}

// A view that splits an axis and slices one part of it.
StepCase views(int64_t n) {
  CaseBuilder c(StepKind::map, sized("views", {n}));
  const AxisId a = c.axis("a", n), b = c.axis("b", 12), outer = c.axis("outer", 4), inner = c.axis("inner", 3);
  const AxisId part = c.axis("part", 2);
  ScalarBuilder s;
  const ValueId x = c.input("x", {a, b}, Format::bf16);
  c.body({inner, a, part}, s.finish(s.load(c.operand(x, {whole(a), sliced(part, outer, 1), whole(inner)}))));
  return c.build();
}

// More arguments than a kernel takes by value.
StepCase many_operands() {
  CaseBuilder c(StepKind::map, "many operands");
  std::vector<AxisId> axes;
  for (int i = 0; i < 8; ++i) axes.push_back(c.axis("a" + std::to_string(i), 2));
  ScalarBuilder s;
  Scalar sum = s.constant(0.5f);
  for (int i = 0; i < 20; ++i) {
    std::vector<AxisId> own = axes;
    std::swap(own[0], own[static_cast<size_t>(i % 8)]);
    std::swap(own[7], own[static_cast<size_t>(i * 3 % 8)]);
    sum = sum + s.load(c.operand(c.input("x" + std::to_string(i), own)));
  }
  c.body(axes, s.finish(sum));
  return c.build();
}

// ---- reduce

StepCase soft_max(int64_t rows, int64_t n, double nonfinite = 0) {
  CaseBuilder c(StepKind::reduce, sized("softmax", {rows, n, nonfinite > 0}));
  const AxisId a = c.axis("a", rows), b = c.axis("b", n), tail = c.axis("tail", 2);
  ScalarBuilder s;
  const Scalar x = s.load(c.operand(c.input("x", {a, b, tail}, Format::f16, {-4, 4, nonfinite})));
  const Scalar powered = exp(x - s.reduction(0));
  c.body({a, b, tail}, s.finish(powered / s.reduction(1)), b,
         {{ReduceOp::max, s.finish(x)}, {ReduceOp::sum, s.finish(powered)}});
  return c.build();
}

StepCase rms_norm(int64_t rows, int64_t n) {
  CaseBuilder c(StepKind::reduce, sized("rms_norm", {rows, n}));
  const AxisId a = c.axis("a", rows), b = c.axis("b", n);
  ScalarBuilder s;
  const Scalar x = s.load(c.operand(c.input("x", {a, b}))), w = s.load(c.operand(c.weight("w", {b}, Format::f16)));
  c.body({a, b}, s.finish(x * rsqrt(s.reduction(0) + 1e-5f) * w), b, {{ReduceOp::mean, s.finish(x * x)}});
  return c.build();
}

StepCase reduction(ReduceOp op, Element type, int64_t n, double nonfinite = 0) {
  CaseBuilder c(StepKind::reduce, sized("reduction " + std::to_string(static_cast<int>(op)) + std::string(name(type)),
                                        {n, nonfinite > 0}));
  const AxisId a = c.axis("a", 3), b = c.axis("b", n), tail = c.axis("tail", 2);
  const Format format = type == Element::f32 ? Format::f32 : Format::i32;
  const ValueId x = c.input("x", {a, b, tail}, format, {-50, 50, nonfinite});
  ScalarBuilder s;
  const Element result = op == ReduceOp::argmax ? Element::i32 : type;
  const ScalarProgram element = just_load(c.operand(x), type);
  c.body({tail, a}, s.finish(s.reduction(0, result)), b, {{op, element}});
  return c.build();
}

}  // namespace

std::vector<StepCase> opencl_map_cases() {
  std::vector<StepCase> cases;
  for (const int64_t n : {0, 1, 5, 64}) cases.push_back(all_f32_ops(n));
  cases.push_back(all_i32_ops());
  cases.push_back(casts());
  cases.push_back(bools(false));
  cases.push_back(bools(true));
  cases.push_back(every_block_format(0));
  cases.push_back(every_block_format(0.05));
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0, Format::q6_k}) {
    cases.push_back(gathers(format));
  }
  for (const int64_t n : {0, 1, 3}) cases.push_back(views(n));
  cases.push_back(many_operands());
  return cases;
}

std::vector<StepCase> opencl_reduce_cases() {
  std::vector<StepCase> cases;
  for (const int64_t n : {0, 1, 31, 65, 300}) {
    cases.push_back(soft_max(3, n));
    cases.push_back(rms_norm(2, n));
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::max, ReduceOp::argmax}) {
      cases.push_back(reduction(op, Element::f32, n));
      if (op != ReduceOp::mean) cases.push_back(reduction(op, Element::i32, n));
    }
  }
  cases.push_back(soft_max(0, 5));
  cases.push_back(soft_max(9, 20, 0.02));
  cases.push_back(reduction(ReduceOp::max, Element::f32, 40, 0.5));
  cases.push_back(reduction(ReduceOp::argmax, Element::f32, 40, 0.5));
  return cases;
}

}  // namespace weft
