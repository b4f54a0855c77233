// Appends that tests, benchmarks and the tuner share: fields of every kind of region, with and without a rotation.
#pragma once

#include <string>
#include <vector>

#include "ops/contract/cases.h"
#include "ops/harness/case.h"

namespace weft {

struct AppendShape {
  std::vector<CaseSequence> sequences = {{9, 1}};
  int64_t heads = 2, head_dim = 16, value_dim = 8, embed = 64;
  Format format = Format::f32;
  bool permuted = false;  // keys are computed over other axes than the field's order
  int32_t skip_every = 0;
  int32_t page_size = 4;
  Format stored = Format::f32;  // of all fields
};

namespace append_cases {

inline int64_t rows_of(const AppendShape& shape) {
  int64_t rows = 0;
  for (const CaseSequence& sequence : shape.sequences) rows += sequence.rows;
  return rows;
}

inline std::string label(const char* what, const AppendShape& shape) {
  return std::string("append ") + what + " " + std::string(name(shape.format)) + " rows " +
         std::to_string(rows_of(shape)) + " heads " + std::to_string(shape.heads) + "x" +
         std::to_string(shape.head_dim) + (shape.skip_every != 0 ? " skipping" : "") +
         (shape.permuted ? " permuted" : "") +
         (shape.stored != Format::f32 ? " stored in " + std::string(name(shape.stored)) : "");
}

inline CacheSpec spec(const AppendShape& shape, AxisId key, AxisId pos, std::vector<std::vector<AxisId>> fields) {
  CacheSpec result;
  result.key = key;
  result.pos = pos;
  result.page_size = shape.page_size;
  result.sequences = shape.sequences;
  result.formats.assign(fields.size(), shape.stored);
  result.fields = std::move(fields);
  result.shuffled_rows = true;
  result.skip_every = shape.skip_every;
  result.first_position = 2;
  return result;
}

inline Rotation rotation(AxisId axis, int position) {
  Rotation result;
  result.axis = axis;
  result.position = position;
  result.pairs = RopePairs::interleaved;
  return result;
}

// Rotated keys and values, as most decoders have them.
inline StepCase projected(const AppendShape& shape) {
  CaseBuilder c(StepKind::append, label("projected", shape));
  const AxisId pos = c.axis("pos", rows_of(shape)), key = c.key_axis(), head = c.axis("kv_head", shape.heads),
               d = c.axis("head_dim", shape.head_dim), e = c.axis("value_dim", shape.value_dim),
               embed = c.axis("embed", shape.embed);
  const CaseCache cache = c.cache(spec(shape, key, pos, {{head, d}, {head, e}}));
  c.append_to(cache);
  const ValueId x = c.input("x", {pos, embed});
  const ValueId wk = c.weight(
      "wk", shape.permuted ? std::vector<AxisId>{d, head, embed} : std::vector<AxisId>{head, d, embed}, shape.format);
  const ValueId wv = c.weight("wv", {head, e, embed}, shape.format);
  ScalarBuilder s;
  c.contraction(c.lhs(c.operand(x)), c.operand(wk), {embed});
  c.body({pos, head, d}, s.finish(s.contraction()));
  c.rotation(rotation(d, c.operand(cache.pos_values)));
  c.next_region();
  c.contraction(c.lhs(c.operand(x)), c.operand(wv), {embed});
  c.body({pos, head, e}, s.finish(s.contraction() * 2.0f));
  return c.build();
}

// Keys that are normalized head by head before they are rotated, and values that are normalized alone.
inline StepCase normalized_projection(const AppendShape& shape) {
  CaseBuilder c(StepKind::append, label("normalized", shape));
  const AxisId pos = c.axis("pos", rows_of(shape)), key = c.key_axis(), head = c.axis("kv_head", shape.heads),
               d = c.axis("head_dim", shape.head_dim), e = c.axis("value_dim", shape.value_dim),
               embed = c.axis("embed", shape.embed);
  const CaseCache cache = c.cache(spec(shape, key, pos, {{head, d}, {head, e}}));
  c.append_to(cache);
  const ValueId x = c.input("x", {pos, embed});
  const ValueId wk = c.weight(
      "wk", shape.permuted ? std::vector<AxisId>{d, head, embed} : std::vector<AxisId>{head, d, embed}, shape.format);
  const ValueId wv = c.weight("wv", {head, e, embed}, shape.format), gain = c.weight("gain", {d});
  const auto sum = [](ScalarBuilder& s) { return s.contraction(0); };
  c.contraction(c.lhs(c.operand(x)), c.operand(wk), {embed});
  norm_epilogues::normalized(c, {pos, head, d}, d, CaseNorm::rms, sum, c.operand(gain), -1);
  c.rotation(rotation(d, c.operand(cache.pos_values)));
  c.next_region();
  c.contraction(c.lhs(c.operand(x)), c.operand(wv), {embed});
  norm_epilogues::normalized(c, {pos, head, e}, e, CaseNorm::layer, sum, -1, -1);
  return c.build();
}

// A map, a norm with a rotation, and a plain copy.
inline StepCase computed(const AppendShape& shape) {
  CaseBuilder c(StepKind::append, label("computed", shape));
  const AxisId pos = c.axis("pos", rows_of(shape)), key = c.key_axis(), head = c.axis("kv_head", shape.heads),
               d = c.axis("head_dim", shape.head_dim);
  const CaseCache cache = c.cache(spec(shape, key, pos, {{head, d}, {head, d}, {d}}));
  c.append_to(cache);
  const ValueId x = c.input("x", {pos, head, d}), y = c.input("y", {pos, d}), z = c.input("z", {d, pos});
  const auto body = [&](const std::vector<AxisId>& axes, bool norm) {
    ScalarBuilder square, scale;
    const int a = c.operand(x), b = c.operand(y);
    const Scalar v = square.load(a);
    if (norm) {
      c.body(axes, scale.finish(scale.load(a) * rsqrt(scale.reduction(0) + 1e-5f)), d,
             {{ReduceOp::mean, square.finish(v * v)}});
    } else {
      c.body(axes, scale.finish(scale.load(a) + scale.load(b)));
    }
  };
  body({pos, head, d}, false);
  c.next_region();
  body({pos, head, d}, true);
  c.rotation(rotation(d, c.operand(cache.pos_values)));
  c.next_region();
  ScalarBuilder s;
  c.body({pos, d}, s.finish(s.load(c.operand(shape.permuted ? z : y))));
  return c.build();
}

// A norm along the positions, which no row can be computed without the others.
inline StepCase across_rows(const AppendShape& shape) {
  CaseBuilder c(StepKind::append, label("across rows", shape));
  const AxisId pos = c.axis("pos", rows_of(shape)), key = c.key_axis(), d = c.axis("head_dim", shape.head_dim);
  const CaseCache cache = c.cache(spec(shape, key, pos, {{d}}));
  c.append_to(cache);
  const int x = c.operand(c.input("x", {pos, d}));
  ScalarBuilder m, s;
  c.body({pos, d}, s.finish(s.load(x) - s.reduction(0)), pos, {{ReduceOp::max, m.finish(m.load(x))}});
  return c.build();
}

// Values as they come, among them what formats treat in ways of their own: what they round and what they do not hold.
inline StepCase copied(const AppendShape& shape, double nonfinite) {
  CaseBuilder c(StepKind::append, label(nonfinite > 0 ? "copied, not all finite" : "copied", shape));
  const AxisId pos = c.axis("pos", rows_of(shape)), key = c.key_axis(), head = c.axis("kv_head", shape.heads),
               d = c.axis("head_dim", shape.head_dim);
  const CaseCache cache = c.cache(spec(shape, key, pos, {{head, d}, {d}}));
  c.append_to(cache);
  ScalarBuilder s, t;
  c.body({pos, head, d}, s.finish(s.load(c.operand(c.input("x", {pos, head, d}, Format::f32, {-90, 90, nonfinite})))));
  c.next_region();
  const int wide = c.operand(c.input("y", {pos, d}, Format::f32, {-5e6, 5e6, nonfinite}));
  c.body({pos, d}, t.finish(t.load(wide)));
  return c.build();
}

}  // namespace append_cases

inline std::vector<StepCase> append_case_table() {
  using namespace append_cases;
  std::vector<StepCase> cases;
  const std::vector<CaseSequence> one = {{9, 1}}, ragged = {{40, 30}, {1, 1}, {7, 7}, {12, 1}}, none = {{4, 0}};
  for (const std::vector<CaseSequence>& sequences : {one, ragged, none}) {
    for (const int32_t skip : {0, 3}) {
      cases.push_back(projected({.sequences = sequences, .skip_every = skip}));
      cases.push_back(projected({.sequences = sequences, .format = Format::q8_0, .skip_every = skip}));
      cases.push_back(computed({.sequences = sequences, .skip_every = skip}));
      cases.push_back(across_rows({.sequences = sequences, .skip_every = skip}));
    }
    for (const Format stored : {Format::f32, Format::f16, Format::q8_0}) {
      cases.push_back(normalized_projection(
          {.sequences = sequences, .head_dim = 64, .value_dim = 32, .skip_every = 3, .stored = stored}));
      cases.push_back(normalized_projection(
          {.sequences = sequences, .head_dim = 640, .value_dim = 544, .format = Format::q8_0, .stored = stored}));
      cases.push_back(normalized_projection(
          {.sequences = sequences, .head_dim = 32, .value_dim = 32, .permuted = true, .stored = stored}));
    }
    cases.push_back(normalized_projection({.sequences = sequences, .heads = 7, .head_dim = 2, .value_dim = 33}));
    cases.push_back(projected({.sequences = sequences, .permuted = true}));
    cases.push_back(computed({.sequences = sequences, .permuted = true}));
    cases.push_back(
        projected({.sequences = sequences, .heads = 7, .head_dim = 2, .value_dim = 33, .format = Format::bf16}));
    cases.push_back(projected({.sequences = sequences, .heads = 1, .head_dim = 640, .page_size = 16}));
    cases.push_back(computed({.sequences = sequences, .heads = 8, .head_dim = 6}));
    for (const Format stored : {Format::f16, Format::bf16, Format::q8_0}) {
      const bool blocks = info(stored).block_elements > 1;
      const int64_t narrow = blocks ? 32 : 16, odd = blocks ? 96 : 33;
      for (const int32_t skip : {0, 3}) {
        cases.push_back(projected({.sequences = sequences,
                                   .head_dim = narrow,
                                   .value_dim = odd,
                                   .format = skip == 0 ? Format::f32 : Format::q8_0,
                                   .skip_every = skip,
                                   .stored = stored}));
        cases.push_back(
            computed({.sequences = sequences, .head_dim = 2 * narrow, .skip_every = skip, .stored = stored}));
      }
      cases.push_back(projected(
          {.sequences = sequences, .head_dim = narrow, .value_dim = odd, .permuted = true, .stored = stored}));
      cases.push_back(computed({.sequences = sequences, .head_dim = narrow, .permuted = true, .stored = stored}));
      cases.push_back(across_rows({.sequences = sequences, .head_dim = narrow, .stored = stored}));
      cases.push_back(projected({.sequences = sequences,
                                 .heads = 1,
                                 .head_dim = 640,
                                 .value_dim = narrow,
                                 .page_size = 16,
                                 .stored = stored}));
      cases.push_back(copied({.sequences = sequences, .heads = 3, .head_dim = odd, .stored = stored}, 0));
      cases.push_back(copied({.sequences = sequences, .heads = 3, .head_dim = odd, .stored = stored}, 0.02));
    }
  }
  return cases;
}

}  // namespace weft
