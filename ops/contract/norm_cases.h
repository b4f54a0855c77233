// Norms as the epilogue of contractions: along each axis of a result, of lines shorter and longer than a tile, alone
// and before a rotation or a choice. (Those of appended fields are in ops/append/cases.h.)
#pragma once

#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

enum class CaseNorm { rms, layer, l2 };

struct NormEpilogueShape {
  int64_t rows = 1, heads = 3, dim = 16, k = 64;
  Format format = Format::f32;
  CaseNorm norm = CaseNorm::rms;
  size_t along = 2;          // of pos, head, dim
  bool biased = false;       // a bias before, a residual sum after
  bool gated = false;        // of silu(x . gate) * (x . up)
  bool scaled_rows = false;  // by a contraction that lacks the other axes
  bool permuted = false;     // stored as head, pos, dim
  int rotated = -1;          // which of the axes is turned after it
  bool post = false;         // a program after that
  int64_t choices = 0;       // of a top-k along dim at the end
  bool positive = false;     // a comparison: the result is bool8
  Fill fill = {};
};

namespace norm_epilogues {

inline std::string label(const NormEpilogueShape& shape) {
  const char* norms[] = {"rms", "layer", "l2"};
  const char* axes[] = {"pos", "head", "dim"};
  std::string text = std::string(norms[static_cast<size_t>(shape.norm)]) + " norm of " +
                     std::string(name(shape.format)) + " " + std::to_string(shape.rows) + "x" +
                     std::to_string(shape.heads) + "x" + std::to_string(shape.dim) + " along " + axes[shape.along];
  if (shape.biased) text += " biased";
  if (shape.gated) text += " gated";
  if (shape.scaled_rows) text += " scaled rows";
  if (shape.permuted) text += " permuted";
  if (shape.rotated >= 0) text += std::string(" turned along ") + axes[shape.rotated];
  if (shape.post) text += " post";
  if (shape.choices > 0) text += " chosen";
  if (shape.positive) text += " positive";
  if (shape.fill.nonfinite > 0) text += " not all finite";
  return text;
}

// Sets the body: the norm of `value(s)`, times `gain`, plus `residual`; -1: none. Its epsilon is large, so that errors
// of values near 0 are not magnified.
template <class Value>
void normalized(CaseBuilder& c, const std::vector<AxisId>& axes, AxisId along, CaseNorm norm, const Value& value,
                int gain, int residual, bool positive = false) {
  constexpr float kEps = 0.05f;
  std::vector<Reduction> reductions;
  ScalarBuilder s, first, second;
  Scalar x = value(s);
  switch (norm) {
    case CaseNorm::rms:
    case CaseNorm::l2: {
      const Scalar v = value(first);
      reductions.push_back({norm == CaseNorm::rms ? ReduceOp::mean : ReduceOp::sum, first.finish(v * v)});
      x = x * rsqrt(s.reduction(0) + kEps);
      break;
    }
    case CaseNorm::layer: {
      reductions.push_back({ReduceOp::mean, first.finish(value(first))});
      const Scalar centered = value(second) - second.reduction(0);
      reductions.push_back({ReduceOp::mean, second.finish(centered * centered)});
      x = (x - s.reduction(0)) * rsqrt(s.reduction(1) + kEps);
      break;
    }
  }
  if (gain >= 0) x = x * s.load(gain);
  if (residual >= 0) x = s.load(residual) + x;
  c.body(axes, s.finish(positive ? x > 0.25f : x), along, std::move(reductions));
}

}  // namespace norm_epilogues

inline StepCase norm_epilogue_case(const NormEpilogueShape& shape) {
  using namespace norm_epilogues;
  CaseBuilder c(StepKind::contract, label(shape));
  const AxisId pos = c.axis("pos", shape.rows), head = c.axis("head", shape.heads), d = c.axis("dim", shape.dim),
               in = c.axis("in", shape.k);
  const AxisId of[] = {pos, head, d};
  const std::vector<AxisId> axes =
      shape.permuted ? std::vector<AxisId>{head, pos, d} : std::vector<AxisId>{pos, head, d};
  const int x = c.operand(c.input("x", {pos, in}, Format::f32, shape.fill));
  const int lhs = c.lhs(x);
  c.contraction(lhs, c.operand(c.weight("w", {head, d, in}, shape.format)), {in});
  if (shape.gated) c.contraction(lhs, c.operand(c.weight("up", {head, d, in}, shape.format)), {in});
  if (shape.scaled_rows) c.contraction(lhs, c.operand(c.weight("scale", {in})), {in});
  const int gain = c.operand(c.weight("gain", {of[shape.along]}));
  const int bias = shape.biased ? c.operand(c.weight("bias", {head, d})) : -1;
  const int residual = shape.biased ? c.operand(c.input("residual", {pos, head, d})) : -1;
  normalized(
      c, axes, of[shape.along], shape.norm,
      [&](ScalarBuilder& s) {
        Scalar value = s.contraction(0);
        if (shape.gated) value = value * sigmoid(value) * s.contraction(1) * 0.25f;
        if (shape.scaled_rows) value = value * sigmoid(s.contraction(1));
        if (bias >= 0) value = value + s.load(bias);
        return value;
      },
      gain, residual, shape.positive);
  if (shape.rotated >= 0) {
    Rotation rotation;
    rotation.axis = of[shape.rotated];
    rotation.position = c.operand(c.ids("position", {rotation.axis == pos ? head : pos}, 0, 500));
    c.rotation(rotation);
  }
  if (shape.post) {
    ScalarBuilder p;
    c.post(p.finish(p.rotated() * 0.5f));
  }
  if (shape.choices > 0) c.selection(d, c.axis("choice", shape.choices));
  return c.build();
}

inline std::vector<StepCase> norm_epilogue_cases() {
  std::vector<StepCase> cases;
  const auto add = [&cases](const NormEpilogueShape& shape) { cases.push_back(norm_epilogue_case(shape)); };
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    for (const int64_t rows : {1, 30}) {
      add({.rows = rows, .format = format});
      add({.rows = rows, .dim = 600, .format = format, .biased = true});
      add({.rows = rows, .heads = 2, .dim = 64, .format = format, .rotated = 2});
    }
  }
  // Lines around vectors, tiles and the widest tile; several and one of them in a row of the result.
  for (const int64_t dim : {1, 2, 3, 15, 16, 17, 64, 65, 130, 511, 512, 513, 1030}) {
    for (const int64_t rows : {1, 30}) {
      add({.rows = rows, .heads = 1, .dim = dim});
      add({.rows = rows, .heads = dim > 200 ? 2 : 7, .dim = dim, .format = Format::q8_0, .biased = true});
    }
  }
  for (const CaseNorm norm : {CaseNorm::rms, CaseNorm::layer, CaseNorm::l2}) {
    for (const int64_t rows : {1, 30}) {
      for (const size_t along : {size_t{0}, size_t{1}, size_t{2}}) {
        add({.rows = rows, .norm = norm, .along = along});
        if (norm != CaseNorm::rms) continue;
        add({.rows = rows, .norm = norm, .along = along, .biased = true, .permuted = true});
        add({.rows = rows, .norm = norm, .along = along, .gated = true});
        add({.rows = rows, .norm = norm, .along = along, .scaled_rows = true});
        add({.rows = rows, .norm = norm, .along = along, .rotated = 2, .post = true});
      }
      add({.rows = rows, .dim = 700, .norm = norm});
    }
  }
  for (const int64_t rows : {1, 4, 40}) {
    add({.rows = rows, .heads = 4, .dim = 48, .biased = true, .rotated = 2, .post = true});
    add({.rows = rows, .heads = 1, .dim = 640, .rotated = 2});              // neither is done in a tile
    add({.rows = rows, .heads = 4, .dim = 200, .rotated = 1});              // the norm alone is
    add({.rows = rows, .heads = 6, .dim = 8, .rotated = 1, .post = true});  // a turned line holds several of the norm
    add({.rows = rows, .heads = 2, .dim = 20, .rotated = 0});
    add({.rows = rows, .dim = 33, .choices = 4});
    add({.rows = rows, .dim = 33, .positive = true});
  }
  add({.rows = 577, .heads = 1, .dim = 130, .k = 32});  // more than a tile of rows
  add({.rows = 577, .heads = 2, .dim = 72, .k = 32, .format = Format::q8_0, .rotated = 2});
  // Empty extents.
  add({.rows = 0});
  add({.rows = 5, .heads = 0});
  add({.rows = 5, .dim = 0});
  add({.rows = 5, .dim = 0, .along = 1});
  for (const int64_t rows : {2, 30}) add({.rows = rows, .k = 0});
  // NaN and infinities.
  for (const int64_t rows : {1, 4, 30}) {
    add({.rows = rows, .fill = {.nonfinite = 0.01}});
    add({.rows = rows, .dim = 600, .norm = CaseNorm::layer, .fill = {.nonfinite = 0.01}});
  }
  return cases;
}

}  // namespace weft
