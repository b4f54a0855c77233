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
         (shape.permuted ? " permuted" : "");
}

inline CacheSpec spec(const AppendShape& shape, AxisId key, AxisId pos, std::vector<std::vector<AxisId>> fields) {
  CacheSpec result;
  result.key = key;
  result.pos = pos;
  result.page_size = shape.page_size;
  result.sequences = shape.sequences;
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
    cases.push_back(projected({.sequences = sequences, .permuted = true}));
    cases.push_back(computed({.sequences = sequences, .permuted = true}));
    cases.push_back(
        projected({.sequences = sequences, .heads = 7, .head_dim = 2, .value_dim = 33, .format = Format::bf16}));
    cases.push_back(projected({.sequences = sequences, .heads = 1, .head_dim = 640, .page_size = 16}));
    cases.push_back(computed({.sequences = sequences, .heads = 8, .head_dim = 6}));
  }
  return cases;
}

}  // namespace weft
