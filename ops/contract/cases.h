// Contractions that tests, benchmarks and the tuner share: extents around every edge of the kernels, every format,
// every form of prologue, epilogue and right-hand side.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ops/contract/norm_cases.h"
#include "ops/harness/case.h"

namespace weft {

// out[pos, out] = x[pos, k] . w[out, k], as plain as can be.
inline StepCase linear_case(int64_t rows, int64_t outputs, int64_t k, Format format, uint64_t seed = 1, Fill fill = {},
                            Fill weight_fill = {}) {
  CaseBuilder c(StepKind::contract,
                (weight_fill.nonfinite > 0 ? "nonfinite weight " : "linear ") + std::string(name(format)) + " " +
                    std::to_string(rows) + "x" + std::to_string(outputs) + "x" + std::to_string(k),
                seed);
  const AxisId pos = c.axis("pos", rows), out = c.axis("out", outputs), in = c.axis("in", k);
  const int x = c.operand(c.input("x", {pos, in}, Format::f32, fill));
  const int w = c.operand(c.weight("w", {out, in}, format, weight_fill));
  ScalarBuilder s;
  const int sum = c.contraction(c.lhs(x), w, {in});
  c.body({pos, out}, s.finish(s.contraction(sum)));
  return c.build();
}

namespace contract_cases {

// An extent of 32, or one that together with 6 more is whole blocks: so that blocks span axes.
inline int64_t part_of_rows(Format format) { return info(format).block_elements > 32 ? 128 : 32; }
inline int64_t block_or(int64_t least, Format format) {
  return std::max(least, static_cast<int64_t>(info(format).block_elements));
}

inline Scalar silu(const Scalar& x) { return x * sigmoid(x); }

// rms_norm of operand `x` along `axis`, times a weight.
inline int normalized(CaseBuilder& c, int x, int weight, std::vector<AxisId> axes, AxisId axis) {
  ScalarBuilder square, scale;
  const Scalar v = square.load(x);
  const Scalar mean = scale.reduction(0);
  return c.lhs(std::move(axes), scale.finish(scale.load(x) * rsqrt(mean + 1e-5f) * scale.load(weight)), axis,
               {{ReduceOp::mean, square.finish(v * v)}});
}

// Norm before, residual sum after.
inline StepCase normed(int64_t rows, int64_t outputs, int64_t k, Format format) {
  CaseBuilder c(StepKind::contract, "norm, residual " + std::string(name(format)) + " rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", outputs), in = c.axis("in", k);
  const int x = c.operand(c.input("x", {pos, in}));
  const int g = c.operand(c.weight("g", {in}));
  const int w = c.operand(c.weight("w", {embed, in}, format));
  const int residual = c.operand(c.input("residual", {pos, embed}));
  ScalarBuilder s;
  const int sum = c.contraction(normalized(c, x, g, {pos, in}, in), w, {in});
  c.body({pos, embed}, s.finish(s.load(residual) + s.contraction(sum)));
  return c.build();
}

// silu(x . gate) * (x . up): two contractions of one left-hand side.
inline StepCase gated(int64_t rows, int64_t hidden_extent, int64_t k, Format format, Format up_format) {
  CaseBuilder c(StepKind::contract, "gated " + std::string(name(format)) + " rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), hidden = c.axis("hidden", hidden_extent), in = c.axis("in", k);
  const int x = c.operand(c.input("x", {pos, in}));
  const int gate = c.operand(c.weight("gate", {hidden, in}, format));
  const int up = c.operand(c.weight("up", {hidden, in}, up_format));
  ScalarBuilder s;
  const int lhs = c.lhs(x);
  const int g = c.contraction(lhs, gate, {in}), u = c.contraction(lhs, up, {in});
  c.body({pos, hidden}, s.finish(silu(s.contraction(g)) * s.contraction(u)));
  return c.build();
}

// The weight is stored with the contracted axis first, or in the middle.
inline StepCase transposed(int64_t rows, Format format, bool weight) {
  CaseBuilder c(StepKind::contract, std::string("transposed ") + (weight ? "weight " : "input ") +
                                        std::string(name(format)) + " rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), a = c.axis("a", 5), b = c.axis("b", block_or(32, format)),
               in = c.axis("in", 37);
  const int x = c.operand(c.input("x", {pos, in}));
  const int w = c.operand(weight ? c.weight("w", {a, in, b}, format) : c.input("w", {a, in, b}, format));
  ScalarBuilder s;
  const int sum = c.contraction(c.lhs(x), w, {in});
  c.body({pos, a, b}, s.finish(s.contraction(sum) + s.constant(1.0f)));
  return c.build();
}

// A batch axis: each head has a separate weight. `leading` puts it before the positions.
inline StepCase batched(int64_t rows, int64_t heads, Format format, bool leading) {
  CaseBuilder c(StepKind::contract, std::string("batched ") + (leading ? "leading " : "") + std::string(name(format)) +
                                        " " + std::to_string(rows) + "x" + std::to_string(heads));
  const AxisId pos = c.axis("pos", rows), head = c.axis("head", heads), in = c.axis("in", block_or(64, format)),
               out = c.axis("out", 19);
  const std::vector<AxisId> row = leading ? std::vector<AxisId>{head, pos} : std::vector<AxisId>{pos, head};
  const int x = c.operand(c.input("x", {row[0], row[1], in}));
  const int w = c.operand(c.weight("w", {head, out, in}, format));
  ScalarBuilder s;
  const int sum = c.contraction(c.lhs(x), w, {in});
  c.body({row[0], row[1], out}, s.finish(s.contraction(sum)));
  return c.build();
}

// Experts that each row chooses; some ids are out of range. With `summed`, the chosen experts' results are added
// up.
inline StepCase experts(int64_t rows, int64_t choices, int64_t count, Format format, bool summed) {
  CaseBuilder c(StepKind::contract, std::string("experts ") + (summed ? "summed " : "") + std::string(name(format)) +
                                        " " + std::to_string(rows) + "x" + std::to_string(choices) + " of " +
                                        std::to_string(count));
  const AxisId pos = c.axis("pos", rows), choice = c.axis("choice", choices), expert = c.axis("expert", count),
               in = c.axis("in", block_or(64, format)), out = c.axis("out", 33);
  const int ids = c.operand(c.ids("ids", {pos, choice}, -1, static_cast<int32_t>(count) + 1));
  const int w = c.operand(c.weight("w", {expert, out, in}, format), {gathered(expert, ids), whole(out), whole(in)});
  ScalarBuilder s, p;
  if (summed) {
    const int x = c.operand(c.input("x", {pos, choice, in})), weight = c.operand(c.input("p", {pos, choice}));
    const int lhs = c.lhs({pos, choice, in}, p.finish(p.load(weight) * p.load(x)));
    c.contraction(lhs, w, {choice, in});
    c.body({pos, out}, s.finish(s.contraction()));
  } else {
    const int x = c.operand(c.input("x", {pos, in}));
    const int w2 = c.operand(c.weight("w2", {expert, out, in}, format), {gathered(expert, ids), whole(out), whole(in)});
    // x is repeated over the choices, so that ids vary along rows only.
    const int lhs = c.lhs({pos, choice, in}, p.finish(p.load(x)));
    const int a = c.contraction(lhs, w, {in}), b = c.contraction(lhs, w2, {in});
    c.body({pos, choice, out}, s.finish(silu(s.contraction(a)) * s.contraction(b)));
  }
  return c.build();
}

// The ids vary along an axis that only the right-hand side has.
inline StepCase chosen_outputs(int64_t rows) {
  CaseBuilder c(StepKind::contract, "outputs chosen by ids, rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), sample = c.axis("sample", 9), vocab = c.axis("vocab", 50),
               in = c.axis("in", 32);
  const int x = c.operand(c.input("x", {pos, in}));
  const int ids = c.operand(c.ids("ids", {sample}, -2, 52));
  const int w = c.operand(c.weight("w", {vocab, in}, Format::q8_0), {gathered(vocab, ids), whole(in)});
  ScalarBuilder s;
  c.contraction(c.lhs(x), w, {in});
  c.body({pos, sample}, s.finish(s.contraction()));
  return c.build();
}

// Rows of a fused weight: a slice along outputs, and one along contracted elements.
inline StepCase sliced_weight(int64_t rows, Format format) {
  CaseBuilder c(StepKind::contract, "sliced " + std::string(name(format)) + " rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), all = c.axis("all", 40), out = c.axis("out", 18);
  const int64_t block = block_or(32, format);
  const AxisId in = c.axis("in", 2 * block), wide = c.axis("wide", 4 * block);
  const int x = c.operand(c.input("x", {pos, in}));
  const int w = c.operand(c.weight("w", {all, wide}, format), {sliced(out, all, 21), sliced(in, wide, block)});
  ScalarBuilder s;
  c.contraction(c.lhs(x), w, {in});
  c.body({pos, out}, s.finish(s.contraction()));
  return c.build();
}

// Several contracted axes; the left-hand side has them in another order, and is a product of two values.
inline StepCase several_axes(int64_t rows, Format format) {
  CaseBuilder c(StepKind::contract, "several axes " + std::string(name(format)) + " rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), h = c.axis("h", 3), g = c.axis("g", 2), d = c.axis("d", part_of_rows(format)),
               out = c.axis("out", 21);
  const int x = c.operand(c.input("x", {pos, d, h, g})), y = c.operand(c.input("y", {pos, h}));
  const int w = c.operand(c.weight("w", {out, h, g, d}, format));
  ScalarBuilder s, p;
  c.contraction(c.lhs({pos, d, h, g}, p.finish(p.load(x) * p.load(y))), w, {h, g, d});
  c.body({pos, out}, s.finish(s.contraction()));
  return c.build();
}

// The ends of heads and of blocks do not meet. `over` both axes, rows are whole blocks, unless the view leaves the
// first head out; over one of them, rows begin within blocks.
enum class Spanned { heads_and_dim, later_heads, dim_of_each_head, heads_of_each_dim };
inline StepCase spanning_blocks(int64_t rows, int64_t head_dim, Format format, Spanned over) {
  constexpr const char* kNames[] = {"heads and dim", "later heads", "dim of each head", "heads of each dim"};
  CaseBuilder c(StepKind::contract, "blocks of " + std::string(name(format)) + " span heads of " +
                                        std::to_string(head_dim) + ", over " + kNames[static_cast<size_t>(over)] +
                                        ", rows " + std::to_string(rows));
  const bool sliced_heads = over == Spanned::later_heads;
  const AxisId pos = c.axis("pos", rows), out = c.axis("out", 19), stored = c.axis("stored_head", 32),
               head = c.axis("head", sliced_heads ? 31 : 32), d = c.axis("head_dim", head_dim);
  const int x = c.operand(c.input("x", {pos, head, d}));
  const ViewAxis heads = sliced_heads ? sliced(head, stored, 1) : whole(head);
  const int w = c.operand(c.weight("w", {out, sliced_heads ? stored : head, d}, format), {whole(out), heads, whole(d)});
  std::vector<AxisId> summed = {head, d}, axes = {pos};
  if (over == Spanned::dim_of_each_head) summed = {d}, axes = {pos, head};
  if (over == Spanned::heads_of_each_dim) summed = {head}, axes = {pos, d};
  axes.push_back(out);
  ScalarBuilder s;
  const int sum = c.contraction(c.lhs(x), w, summed);
  c.body(axes, s.finish(s.contraction(sum)));
  return c.build();
}

// One contraction has fewer axes than the result; `permuted` stores the result in another order.
inline StepCase broadcast(int64_t rows, bool permuted) {
  CaseBuilder c(StepKind::contract,
                std::string("broadcast ") + (permuted ? "permuted " : "") + "rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), out = c.axis("out", 21), in = c.axis("in", 45);
  const int x = c.operand(c.input("x", {pos, in}));
  const int w = c.operand(c.weight("w", {out, in}, Format::bf16)), v = c.operand(c.weight("v", {in}, Format::f16));
  ScalarBuilder s;
  const int lhs = c.lhs(x);
  const int a = c.contraction(lhs, w, {in}), b = c.contraction(lhs, v, {in});
  c.body(permuted ? std::vector<AxisId>{out, pos} : std::vector<AxisId>{pos, out},
         s.finish(s.contraction(a) * sigmoid(s.contraction(b)) + cast(s.index(out), Element::f32)));
  return c.build();
}

// Everything is summed up: a scalar.
inline StepCase full_sum(int64_t n) {
  CaseBuilder c(StepKind::contract, "full sum " + std::to_string(n));
  const AxisId in = c.axis("in", n);
  const int x = c.operand(c.input("x", {in})), w = c.operand(c.weight("w", {in}));
  ScalarBuilder s;
  c.contraction(c.lhs(x), w, {in});
  c.body({}, s.finish(s.contraction() * 2.0f));
  return c.build();
}

// A norm along rows, which must be computed before any row is known.
inline StepCase across_rows(int64_t rows) {
  CaseBuilder c(StepKind::contract, "softmax across rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), in = c.axis("in", 17), out = c.axis("out", 5);
  const int x = c.operand(c.input("x", {pos, in})), w = c.operand(c.weight("w", {out, in}));
  ScalarBuilder top, sum, p, s;
  const int lhs = c.lhs(
      {pos, in}, p.finish(exp(p.load(x) - p.reduction(0)) / p.reduction(1)), pos,
      {{ReduceOp::max, top.finish(top.load(x))}, {ReduceOp::sum, sum.finish(exp(sum.load(x) - sum.reduction(0)))}});
  c.contraction(lhs, w, {in});
  c.body({pos, out}, s.finish(s.contraction()));
  return c.build();
}

// A comparison: the result is bool8.
inline StepCase positive(int64_t rows) {
  CaseBuilder c(StepKind::contract, "positive, rows " + std::to_string(rows));
  const AxisId pos = c.axis("pos", rows), out = c.axis("out", 70), in = c.axis("in", 24);
  const int x = c.operand(c.input("x", {pos, in})), w = c.operand(c.weight("w", {out, in}));
  ScalarBuilder s;
  c.contraction(c.lhs(x), w, {in});
  c.body({pos, out}, s.finish(s.contraction() > 0.5f));
  return c.build();
}

}  // namespace contract_cases

inline std::vector<StepCase> contract_case_table() {
  using namespace contract_cases;
  std::vector<StepCase> cases;
  constexpr Format kFormats[] = {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0};
  for (const Format format : kFormats) {
    const int64_t block = info(format).block_elements;
    for (const int64_t rows : {1, 2, 3, 4, 5, 8, 23, 24, 25, 37}) cases.push_back(linear_case(rows, 35, 96, format));
    for (const int64_t outputs : {1, 3, 4, 15, 16, 17, 63, 65, 130}) {
      cases.push_back(linear_case(1, outputs, 64, format));
      cases.push_back(linear_case(26, outputs, 64, format));
    }
    for (const int64_t k : {1, 7, 31, 32, 33, 65, 511, 513, 1056}) {
      if (k % block != 0) continue;
      for (const int64_t rows : {1, 3, 30}) cases.push_back(linear_case(rows, 18, k, format));
    }
    for (const int64_t rows : {1, 30}) {
      cases.push_back(normed(rows, 40, 96, format));
      cases.push_back(gated(rows, 50, 64, format, format));
      cases.push_back(batched(rows, 3, format, false));
      cases.push_back(batched(rows, 7, format, true));
      cases.push_back(experts(rows, 2, 5, format, false));
      cases.push_back(experts(rows, 3, 4, format, true));
      cases.push_back(sliced_weight(rows, format));
      cases.push_back(several_axes(rows, format));
      cases.push_back(transposed(rows, format, true));
      cases.push_back(transposed(rows, format, false));
    }
  }
  for (const Format format : kBlockFormats) {
    const int64_t block = info(format).block_elements;
    if (format == Format::q8_0 || format == Format::q4_0) continue;  // above
    for (const int64_t rows : {1, 2, 3, 4, 30}) {
      cases.push_back(linear_case(rows, 35, block, format));
      cases.push_back(linear_case(rows, 5, 3 * block, format));
    }
    cases.push_back(gated(1, 50, 2 * block, format, Format::q6_k == format ? Format::q8_0 : Format::f16));
    for (const int64_t rows : {1, 30}) {
      cases.push_back(experts(rows, 3, 4, format, true));
      cases.push_back(several_axes(rows, format));
      cases.push_back(sliced_weight(rows, format));
      cases.push_back(transposed(rows, format, true));
    }
  }
  for (const Format format : {Format::q8_0, Format::q4_k}) {
    for (const int64_t rows : {1, 30}) {
      for (const Spanned over :
           {Spanned::heads_and_dim, Spanned::later_heads, Spanned::dim_of_each_head, Spanned::heads_of_each_dim}) {
        for (const int64_t head_dim : {8, 48}) cases.push_back(spanning_blocks(rows, head_dim, format, over));
      }
    }
  }
  for (const Format format : kFloatFormats) cases.push_back(linear_case(1, 1, info(format).block_elements, format));
  cases.push_back(linear_case(30, 70, 1280, Format::q4_k));  // more than a panel
  cases.push_back(linear_case(270, 20, 40, Format::f32));
  cases.push_back(linear_case(300, 70, 544, Format::q8_0));
  cases.push_back(experts(100, 2, 3, Format::q8_0, true));
  cases.push_back(experts(100, 2, 3, Format::f32, false));
  cases.push_back(experts(1, 1, 1, Format::q4_0, true));
  cases.push_back(gated(5, 600, 64, Format::q8_0, Format::f16));
  cases.push_back(normed(3, 33, 12000, Format::f32));
  cases.push_back(normed(577, 130, 32, Format::f32));  // more than a tile of rows and of columns
  cases.push_back(gated(577, 200, 32, Format::f16, Format::f16));
  for (const int64_t rows : {1, 4, 40}) {
    cases.push_back(chosen_outputs(rows));
    cases.push_back(broadcast(rows, false));
    cases.push_back(broadcast(rows, true));
    cases.push_back(across_rows(rows));
    cases.push_back(positive(rows));
  }
  cases.push_back(full_sum(1));
  cases.push_back(full_sum(1000));
  // Empty extents.
  cases.push_back(linear_case(0, 5, 32, Format::f32));
  cases.push_back(linear_case(5, 0, 32, Format::f32));
  for (const int64_t rows : {2, 30}) cases.push_back(linear_case(rows, 5, 0, Format::f32));
  cases.push_back(full_sum(0));
  cases.push_back(experts(0, 2, 3, Format::f32, true));
  cases.push_back(experts(3, 0, 3, Format::f32, true));
  cases.push_back(experts(2, 2, 0, Format::f32, true));
  // NaN and infinities.
  for (const int64_t rows : {1, 4, 30}) {
    cases.push_back(linear_case(rows, 33, 64, Format::q8_0, 2, {.nonfinite = 0.01}));
    cases.push_back(linear_case(rows, 33, 65, Format::f16, 3, {.nonfinite = 0.01}));
  }
  for (const Format format : kBlockFormats) {
    for (const int64_t rows : {1, 30}) cases.push_back(linear_case(rows, 9, 512, format, 4, {}, {.nonfinite = 0.1}));
  }
  for (StepCase& step_case : norm_epilogue_cases()) cases.push_back(std::move(step_case));
  return cases;
}

}  // namespace weft
