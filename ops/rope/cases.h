// Rotations of a map's, a norm's and a contraction's result: both pairings, any axis, any positions. (Rotated keys
// that are appended to a cache are in ops/append/cases.h.)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

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
  float base = 10000;
  int64_t choices = 0;                 // of a top-k along the rotated axis at the end; 0: none
  std::vector<int64_t> sections = {};  // first pairs of those that are turned by positions of their own
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
  for (const int64_t first : shape.sections) {
    const ValueId ids = c.ids("position " + std::to_string(first), position_axes, 0, shape.highest_position);
    rotation.sections.push_back({first, c.operand(ids)});
  }
  rotation.base = shape.base;
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
  if (shape.choices > 0) c.selection(rotation.axis, c.axis("choice", shape.choices));
  return c.build();
}

// Queries of a projection. `inner` puts the head axes after the rotated one; `by_head`: each head has a position.
inline StepCase rotated_projection_case(int64_t rows, int64_t heads, int64_t group, int64_t head_dim, Format format,
                                        bool inner, bool post, bool by_head = false, bool sections = false) {
  CaseBuilder c(StepKind::contract, std::string("rotated ") + (inner ? "inner " : "") + (post ? "post " : "") +
                                        (by_head ? "by head " : "") + (sections ? "by sections " : "") + "rows " +
                                        std::to_string(rows) + " heads " + std::to_string(heads) + "x" +
                                        std::to_string(group) + "x" + std::to_string(head_dim));
  const AxisId pos = c.axis("pos", rows), kv = c.axis("kv_head", heads), g = c.axis("group", group),
               d = c.axis("head_dim", head_dim), in = c.axis("in", 64);
  const int x = c.operand(c.input("x", {pos, in}));
  const std::vector<AxisId> heads_axes = inner ? std::vector<AxisId>{d, kv, g} : std::vector<AxisId>{kv, g, d};
  std::vector<AxisId> weight_axes = heads_axes, axes = {pos};
  weight_axes.push_back(in);
  axes.insert(axes.end(), heads_axes.begin(), heads_axes.end());
  const int w = c.operand(c.weight("w", weight_axes, format));
  const int position =
      c.operand(c.ids("position", by_head ? std::vector<AxisId>{pos, kv} : std::vector<AxisId>{pos}, 0, 500));
  ScalarBuilder s, p;
  const int sum = c.contraction(c.lhs(x), w, {in});
  c.body(axes, s.finish(s.contraction(sum)));
  Rotation rotation;
  rotation.axis = d;
  rotation.position = position;
  if (sections) {
    for (const int64_t first : {head_dim / 8, head_dim / 4}) {
      rotation.sections.push_back({first, c.operand(c.ids("position " + std::to_string(first), {pos}, 0, 500))});
    }
  }
  c.rotation(rotation);
  if (post) c.post(p.finish(p.rotated() * 0.125f));
  return c.build();
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
    for (const int64_t rows : {0, 1, 5, 70}) {
      shapes.push_back({.extents = {rows, 3, 20}, .rotated = 2, .pairs = pairs, .sections = {2, 7}});
      shapes.push_back({.extents = {rows, 2, 16},
                        .rotated = 2,
                        .position_axes = {0, 1},
                        .pairs = pairs,
                        .frequencies = 6,
                        .post = true,
                        .sections = {0, 3, 5}});
    }
    // A section without pairs; sections beyond the last pair; positions that vary inside rows.
    shapes.push_back({.extents = {4, 2, 8}, .rotated = 2, .pairs = pairs, .sections = {2, 2, 9}});
    shapes.push_back({.extents = {2, 8, 3}, .rotated = 1, .position_axes = {0, 2}, .pairs = pairs, .sections = {1}});
    shapes.push_back({{7}, 0, {}, pairs, 2});
    shapes.push_back({{8}, 0, {}, pairs});
    shapes.push_back(
        {.extents = {3, 3, 64}, .rotated = 2, .pairs = pairs, .post = true, .scale = 1.5f, .base = 500, .choices = 2});
  }
  std::vector<StepCase> cases;
  for (const RotationShape& shape : shapes) cases.push_back(rotation_case(shape));
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    for (const int64_t rows : {1, 30}) {
      cases.push_back(rotated_projection_case(rows, 2, 8, 16, format, false, false));
    }
  }
  for (const int64_t rows : {1, 4, 40}) {
    for (const int64_t group : {1, 7, 8}) {
      cases.push_back(rotated_projection_case(rows, 2, group, 6, Format::f32, false, true));
    }
    cases.push_back(rotated_projection_case(rows, 2, 3, 48, Format::f16, true, false));
    cases.push_back(rotated_projection_case(rows, 1, 1, 640, Format::f16, false, false));
    cases.push_back(rotated_projection_case(rows, 3, 2, 48, Format::f32, false, true, true));
    cases.push_back(rotated_projection_case(rows, 2, 3, 32, Format::bf16, false, false, false, true));
  }
  cases.push_back(rotated_projection_case(580, 2, 1, 72, Format::f32, false, false));  // more than a tile of rows
  return cases;
}

}  // namespace weft
