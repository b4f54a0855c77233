// Norms and reductions along any axis.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

// x * rsqrt(mean(x^2) + eps) * weight along the last of two axes (Zhang and Sennrich 2019).
inline StepCase rms_norm_case(int64_t rows, int64_t columns, Format format = Format::f32) {
  CaseBuilder c(StepKind::reduce, "rms_norm " + std::to_string(rows) + "x" + std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns);
  const int x = c.operand(c.input("x", {pos, embed}, format)), w = c.operand(c.weight("w", {embed}));
  ScalarBuilder square, map;
  const ScalarProgram squares = square.finish(square.load(x) * square.load(x));
  c.body({pos, embed}, map.finish(map.load(x) * rsqrt(map.reduction(0) + 1e-5f) * map.load(w)), embed,
         {{ReduceOp::mean, squares}});
  return c.build();
}

// Softmax along axis `along` of three, as it is recorded; with `masked`, some rows are all -inf.
inline StepCase softmax_case(std::vector<int64_t> extents, size_t along, bool masked, bool drop = false) {
  std::string shape;
  for (const int64_t extent : extents) shape += " " + std::to_string(extent);
  CaseBuilder c(StepKind::reduce, "softmax along axis " + std::to_string(along) + " of" + shape);
  std::vector<AxisId> axes;
  for (const int64_t extent : extents) axes.push_back(c.axis("a" + std::to_string(axes.size()), extent));
  const int x = c.operand(c.input("x", axes, Format::f32, {.low = -5, .high = 5}));
  ScalarBuilder first, second, map;
  const auto value = [&](ScalarBuilder& s) {
    if (!masked) return s.load(x);
    return where(s.index(axes[along == 0 ? 1 : 0]) > 0, s.load(x), s.constant(-std::numeric_limits<float>::infinity()));
  };
  const ScalarProgram largest = first.finish(value(first));
  const ScalarProgram sum = second.finish(exp(value(second) - second.reduction(0)));
  const Scalar result = exp(value(map) - map.reduction(0)) / map.reduction(1);
  if (drop) {  // the log of the sum instead, without the axis
    std::vector<AxisId> rest = axes;
    rest.erase(rest.begin() + static_cast<ptrdiff_t>(along));
    c.body(rest, map.finish(log(map.reduction(1)) + map.reduction(0)), axes[along],
           {{ReduceOp::max, largest}, {ReduceOp::sum, sum}});
  } else {
    c.body(axes, map.finish(result), axes[along], {{ReduceOp::max, largest}, {ReduceOp::sum, sum}});
  }
  return c.build();
}

// (x - mean) * rsqrt(mean((x - mean)^2) + eps) * w + b: the second reduction reads the first.
inline StepCase layer_norm_case(int64_t rows, int64_t columns) {
  CaseBuilder c(StepKind::reduce, "layer_norm " + std::to_string(rows) + "x" + std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns);
  const int x = c.operand(c.input("x", {pos, embed})), w = c.operand(c.weight("w", {embed}, Format::bf16));
  const int b = c.operand(c.weight("b", {embed}));
  ScalarBuilder first, second, map;
  const ScalarProgram mean = first.finish(first.load(x));
  const Scalar centred = second.load(x) - second.reduction(0);
  const ScalarProgram variance = second.finish(centred * centred);
  const Scalar scaled = (map.load(x) - map.reduction(0)) * rsqrt(map.reduction(1) + 1e-5f);
  c.body({pos, embed}, map.finish(scaled * map.load(w) + map.load(b)), embed,
         {{ReduceOp::mean, mean}, {ReduceOp::mean, variance}});
  return c.build();
}

// One reduction of a value over axis `along`; the value's axes may be stored in the opposite order.
inline StepCase reduction_case(ReduceOp op, std::vector<int64_t> extents, size_t along, bool reversed,
                               Element type = Element::f32, double nonfinite = 0) {
  constexpr const char* kNames[] = {"sum", "mean", "max", "argmax"};
  std::string shape = reversed ? " reversed" : "";
  for (const int64_t extent : extents) shape += " " + std::to_string(extent);
  CaseBuilder c(StepKind::reduce, kNames[static_cast<int>(op)] + std::string(" of ") + std::string(name(type)) +
                                      " along axis " + std::to_string(along) + " of" + shape);
  std::vector<AxisId> axes;
  for (const int64_t extent : extents) axes.push_back(c.axis("a" + std::to_string(axes.size()), extent));
  const std::vector<AxisId> stored = reversed ? std::vector<AxisId>(axes.rbegin(), axes.rend()) : axes;
  const ValueId value = type == Element::i32 ? c.ids("x", stored, -1000, 1000)
                                             : c.input("x", stored, Format::f32, {.nonfinite = nonfinite});
  const int x = c.operand(value);
  ScalarBuilder s, map;
  std::vector<AxisId> rest = axes;
  rest.erase(rest.begin() + static_cast<ptrdiff_t>(along));
  const Element result = op == ReduceOp::argmax ? Element::i32 : type;
  c.body(rest, map.finish(map.reduction(0, result)), axes[along], {{op, s.finish(s.load(x, type))}});
  return c.build();
}

inline std::vector<StepCase> norm_cases() {
  std::vector<StepCase> cases;
  for (const int64_t columns : {1, 2, 15, 16, 17, 64, 255, 256, 257, 288, 1000, 4096}) {
    for (const int64_t rows : {0, 1, 3}) cases.push_back(rms_norm_case(rows, columns));
    cases.push_back(rms_norm_case(5, columns, Format::f16));
    cases.push_back(layer_norm_case(2, columns));
    cases.push_back(softmax_case({3, columns}, 1, true));
    cases.push_back(softmax_case({3, columns}, 1, false, true));
    cases.push_back(softmax_case({columns, 3}, 0, true));
  }
  for (const size_t along : {0u, 1u, 2u}) {
    cases.push_back(softmax_case({3, 5, 7}, along, true));
    cases.push_back(softmax_case({2, 70, 300}, along, false));
    cases.push_back(softmax_case({2, 9, 300}, along, true, true));
    cases.push_back(softmax_case({1, 1, 1}, along, false));
  }
  cases.push_back(rms_norm_case(4, 64, Format::q8_0));
  cases.push_back(softmax_case({3, 0}, 1, false));
  cases.push_back(softmax_case({3, 0}, 1, false, true));
  return cases;
}

inline std::vector<StepCase> reduction_cases() {
  std::vector<StepCase> cases;
  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::max, ReduceOp::argmax}) {
    for (const bool reversed : {false, true}) {
      for (const size_t along : {0u, 1u, 2u}) {
        cases.push_back(reduction_case(op, {3, 7, 5}, along, reversed));
        cases.push_back(reduction_case(op, {1, 1, 1}, along, reversed));
        cases.push_back(reduction_case(op, {17, 33, 16}, along, reversed));
        cases.push_back(reduction_case(op, {2, 6, 300}, along, reversed, Element::f32,
                                       op == ReduceOp::max || op == ReduceOp::argmax ? 0.3 : 0));
        if (op != ReduceOp::mean) cases.push_back(reduction_case(op, {4, 30, 20}, along, reversed, Element::i32));
      }
    }
    cases.push_back(reduction_case(op, {0}, 0, false));
    cases.push_back(reduction_case(op, {0, 5}, 0, false));
    cases.push_back(reduction_case(op, {5, 0}, 1, false));
    cases.push_back(reduction_case(op, {0, 5}, 1, false));
    cases.push_back(reduction_case(op, {1, 20000}, 1, false));
    cases.push_back(reduction_case(op, {20000}, 0, false));
    if (op != ReduceOp::mean) cases.push_back(reduction_case(op, {3, 0}, 1, false, Element::i32));
  }
  return cases;
}

}  // namespace weft
