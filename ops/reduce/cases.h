// Norms, reductions along any axis, rotations and selections that test, bench and tuner share.
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
    return where(s.index(axes[along == 0 ? 1 : 0]) > 0, s.load(x),
                 s.constant(-std::numeric_limits<float>::infinity()));
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

struct RotationShape {
  std::vector<int64_t> extents;          // of the result's axes
  size_t rotated = 0;                    // which of them is turned
  std::vector<size_t> position_axes{0};  // over which the positions vary
  RopePairs pairs = RopePairs::half_split;
  int64_t frequencies = 0;  // pairs to turn; 0: all of them, by `base`
  int32_t highest_position = 1000;
  bool norm = false;  // an rms_norm along the rotated axis before
  bool post = false;  // a program after it
  float scale = 1;
};

inline StepCase rotation_case(const RotationShape& shape) {
  std::string text = shape.pairs == RopePairs::half_split ? "rope half-split" : "rope interleaved";
  for (const int64_t extent : shape.extents) text += " " + std::to_string(extent);
  CaseBuilder c(StepKind::reduce, text + ", axis " + std::to_string(shape.rotated));
  std::vector<AxisId> axes, position_axes;
  for (const int64_t extent : shape.extents) axes.push_back(c.axis("a" + std::to_string(axes.size()), extent));
  for (const size_t i : shape.position_axes) position_axes.push_back(axes[i]);
  const int x = c.operand(c.input("x", axes)), gain = c.operand(c.weight("gain", {axes.back()}));
  Rotation rotation;
  rotation.axis = axes[shape.rotated];
  rotation.pairs = shape.pairs;
  rotation.position = c.operand(c.ids("position", position_axes, 0, shape.highest_position));
  rotation.scale = shape.scale;
  if (shape.frequencies > 0) {
    std::vector<float> frequencies;
    for (int64_t i = 0; i < shape.frequencies; ++i) frequencies.push_back(1.0f / static_cast<float>(1 + 3 * i));
    rotation.frequencies = std::make_shared<const std::vector<float>>(frequencies);
  }
  ScalarBuilder s;
  if (shape.norm) {
    ScalarBuilder square;
    c.body(axes, s.finish(s.load(x) * rsqrt(s.reduction(0) + 1e-5f) * s.load(gain)), rotation.axis,
           {{ReduceOp::mean, square.finish(square.load(x) * square.load(x))}});
  } else {
    c.body(axes, s.finish(s.load(x) + s.load(gain)));
  }
  c.rotation(rotation);
  if (shape.post) {
    ScalarBuilder p;
    c.post(p.finish(p.rotated() * 0.5f + p.load(gain)));
  }
  return c.build();
}

// The k largest along axis `along`; k = 0: argmax, ids only. Few different values, so that there are ties.
inline StepCase selection_case(std::vector<int64_t> extents, size_t along, int64_t k, bool values,
                               double nonfinite = 0, bool ties = false) {
  std::string shape;
  for (const int64_t extent : extents) shape += " " + std::to_string(extent);
  CaseBuilder c(StepKind::reduce,
                "top " + std::to_string(k) + " along axis " + std::to_string(along) + " of" + shape);
  std::vector<AxisId> axes;
  for (const int64_t extent : extents) axes.push_back(c.axis("a" + std::to_string(axes.size()), extent));
  const AxisId choice = k > 0 ? c.axis("choice", k) : kNoAxis;
  const int x = c.operand(c.input("x", axes, Format::f32, {.low = -4, .high = 4, .nonfinite = nonfinite}));
  ScalarBuilder s;
  c.body(axes, s.finish(ties ? floor(s.load(x)) : s.load(x)));
  c.selection(axes[along], choice, values);
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

inline std::vector<StepCase> rotation_cases() {
  std::vector<RotationShape> shapes;
  for (const RopePairs pairs : {RopePairs::half_split, RopePairs::interleaved}) {
    for (const int64_t dim : {2, 6, 32, 48, 64, 128}) {
      for (const int64_t rows : {0, 1, 5}) shapes.push_back({{rows, 3, dim}, 2, {0}, pairs});
      shapes.push_back({{1, 2, 7, dim}, 3, {0}, pairs, 0, 130000, false, true, 0.7f});
      shapes.push_back({{4, 2, dim}, 2, {0}, pairs, dim / 2, 1000, true});
      shapes.push_back({{4, 2, dim}, 2, {0}, pairs, (dim + 3) / 4, 1000, true, true});
      shapes.push_back({{dim, 5}, 0, {1}, pairs});
      shapes.push_back({{3, dim, 20}, 1, {0}, pairs, 0, 1000, false, false, 2});
      shapes.push_back({{3, dim, 20}, 1, {0}, pairs, 0, 1000, true});
      shapes.push_back({{2, dim, 3}, 1, {0, 2}, pairs, 0, 1000, false, true});
      shapes.push_back({{5, 3, dim}, 2, {0, 1}, pairs});
    }
    shapes.push_back({{7}, 0, {}, pairs, 2});
    shapes.push_back({{8}, 0, {}, pairs});
  }
  std::vector<StepCase> cases;
  for (const RotationShape& shape : shapes) cases.push_back(rotation_case(shape));
  return cases;
}

inline std::vector<StepCase> selection_cases() {
  std::vector<StepCase> cases;
  for (const int64_t extent : {1, 2, 8, 63, 64, 65, 256, 1000}) {
    for (const int64_t k : {0, 1, 2, 8}) {
      if (k > extent) continue;
      for (const int64_t rows : {0, 1, 3}) cases.push_back(selection_case({rows, extent}, 1, k, k > 0));
      cases.push_back(selection_case({extent, 3}, 0, k, false, 0, true));
      cases.push_back(selection_case({2, extent, 5}, 1, k, k > 0, 0.3, true));
      cases.push_back(selection_case({extent}, 0, k, k > 0, 1.0));
    }
  }
  for (const int64_t k : {0, 1, 5, 64, 65, 1000}) {
    cases.push_back(selection_case({1, 20000}, 1, k, k > 0, 0, true));
    cases.push_back(selection_case({1, 20000}, 1, k, k > 0));
  }
  cases.push_back(selection_case({2, 100}, 1, 100, true));
  cases.push_back(selection_case({2, 30}, 1, 30, true, 0.5));
  return cases;
}

}  // namespace weft
