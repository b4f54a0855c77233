// Contractions, attention and appends; the other cases are in tests/opencl_cases.cc.
#include <functional>
#include <limits>
#include <string>

#include "tests/opencl_cases.h"

namespace weft {
namespace {

using namespace opencl_cases;
constexpr float kInf = std::numeric_limits<float>::infinity();

// ---- contract

StepCase linear(Format format, int64_t rows, int64_t n, int64_t depth, int kind = 0) {
  CaseBuilder c(StepKind::contract, sized("linear " + std::string(name(format)), {rows, n, depth, kind}));
  const AxisId m = c.axis("m", rows), out = c.axis("out", n), k = c.axis("k", depth);
  const int x = c.operand(c.input("x", {m, k}));
  const int w = c.operand(c.weight("w", {out, k}, format));
  ScalarBuilder s;
  if (kind == 0) {  // plain
    c.contraction(c.lhs(x), w, {k});
    c.body({m, out}, s.finish(s.contraction()));
  } else if (kind == 1) {  // a gated pair
    const int lhs = c.lhs(x);
    c.contraction(lhs, w, {k});
    c.contraction(lhs, c.operand(c.weight("up", {out, k}, format)), {k});
    c.body({m, out}, s.finish(s.contraction(0) * sigmoid(s.contraction(0)) * s.contraction(1)));
  } else if (kind == 2) {  // a norm before, a residual after, the other order of axes
    const Scalar e = s.load(x);
    const int lhs = c.lhs({m, k}, s.finish(e * rsqrt(s.reduction(0) + 1e-5f)), k, {{ReduceOp::mean, s.finish(e * e)}});
    c.contraction(lhs, w, {k});
    ScalarBuilder t;
    c.body({out, m}, t.finish(t.contraction() + t.load(c.operand(c.input("residual", {m, out})))));
  } else {  // argmax of the result
    c.contraction(c.lhs(x), w, {k});
    c.body({m, out}, s.finish(s.contraction()));
    c.selection(out, kNoAxis, false);
  }
  return c.build();
}

StepCase projected_heads(int64_t rows, bool rope, bool norm) {
  CaseBuilder c(StepKind::contract, sized("heads", {rows, rope, norm}));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", 48), head = c.axis("head", 2), d = c.axis("d", 6);
  const int x = c.operand(c.input("x", {pos, embed}, Format::bf16));  // a copy: not f32
  c.contraction(c.lhs(x), c.operand(c.weight("w", {head, d, embed}, Format::bf16)), {embed});
  ScalarBuilder s;
  if (norm) {
    const Scalar y = s.contraction();
    c.body({pos, head, d}, s.finish(y * rsqrt(s.reduction(0) + 1e-5f)), d, {{ReduceOp::mean, s.finish(y * y)}});
  } else {
    c.body({pos, head, d}, s.finish(s.contraction() + s.load(c.operand(c.weight("bias", {head, d})))));
  }
  if (rope) {
    const int at = c.operand(c.ids("at", {pos}, 0, 100));
    c.rotation({.axis = d, .pairs = RopePairs::half_split, .position = at, .frequencies = nullptr});
  }
  return c.build();
}

// out[pos, embed] = sum over head, d; the weight stores embed, head, d; `transposed`: head, d, embed.
StepCase output_projection(int64_t rows, bool transposed) {
  CaseBuilder c(StepKind::contract, sized("output", {rows, transposed}));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", 10), head = c.axis("head", 5), d = c.axis("d", 8);
  const int x = c.operand(c.input("x", {pos, head, d}));
  const ValueId w =
      transposed ? c.weight("w", {head, d, embed}, Format::f16) : c.weight("w", {embed, head, d}, Format::f16);
  c.contraction(c.lhs(x), c.operand(w), {head, d});
  ScalarBuilder s;
  c.body({pos, embed}, s.finish(s.contraction()));
  return c.build();
}

StepCase experts(int64_t rows, Format format, bool down) {
  CaseBuilder c(StepKind::contract, sized("experts " + std::string(name(format)), {rows, down}));
  const AxisId pos = c.axis("pos", rows), choice = c.axis("choice", 2), expert = c.axis("expert", 4);
  const AxisId hidden = c.axis("hidden", 64), embed = c.axis("embed", down ? 5 : 32);
  const int ids = c.operand(c.ids("ids", {pos, choice}, -1, 5));
  ScalarBuilder s;
  if (down) {
    const Scalar p = s.load(c.operand(c.input("p", {pos, choice})));
    const int lhs = c.lhs({pos, choice, hidden}, s.finish(p * s.load(c.operand(c.input("g", {pos, choice, hidden})))));
    const ValueId w = c.weight("down", {expert, embed, hidden}, format);
    c.contraction(lhs, c.operand(w, {gathered(expert, ids), whole(embed), whole(hidden)}), {choice, hidden});
    ScalarBuilder t;
    c.body({pos, embed}, t.finish(t.contraction()));
  } else {
    const ValueId w = c.weight("up", {expert, hidden, embed}, format);
    c.contraction(c.lhs(c.operand(c.input("x", {pos, embed}))),
                  c.operand(w, {gathered(expert, ids), whole(hidden), whole(embed)}), {embed});
    c.body({pos, choice, hidden}, s.finish(s.contraction()));
  }
  return c.build();
}

// A contraction that varies with fewer axes than the body.
StepCase broadcast_contraction() {
  CaseBuilder c(StepKind::contract, "broadcast contraction");
  const AxisId m = c.axis("m", 3), k = c.axis("k", 37), n = c.axis("n", 4), batch = c.axis("batch", 2);
  const int lhs = c.lhs(c.operand(c.input("x", {batch, m, k})));
  c.contraction(lhs, c.operand(c.input("w", {batch, n, k})), {k});
  c.contraction(lhs, c.operand(c.input("u", {k})), {k});
  ScalarBuilder s;
  c.body({batch, m, n}, s.finish(s.contraction(0) * 0.5f + s.contraction(1)));
  return c.build();
}

// ---- attention

using Score = std::function<Scalar(ScalarBuilder&, Scalar score, Scalar position, Scalar key_position, Scalar head)>;

Scalar causal(ScalarBuilder& s, Scalar score, Scalar position, Scalar key_position, Scalar) {
  return where(key_position <= position, score * 0.3f, s.constant(-kInf));
}
Scalar window_alibi_cap(ScalarBuilder& s, Scalar score, Scalar position, Scalar key_position, Scalar head) {
  const Scalar slope = cast(head + 1, Element::f32) * -0.125f;
  const Scalar biased = tanh(score * 0.2f) * 5.0f + slope * cast(position - key_position, Element::f32);
  return where(key_position <= position && key_position > position - 7, biased, s.constant(-kInf));
}
Scalar blind(ScalarBuilder& s, Scalar score, Scalar position, Scalar key_position, Scalar) {
  return where(key_position < position - 3, score, s.constant(-kInf));
}

StepCase dense_attention(int64_t rows, int64_t keys, int64_t group_size, int64_t dim, int64_t wide, const Score& score,
                         const std::string& label, bool flat = true) {
  CaseBuilder c(StepKind::attention, sized("dense " + label, {rows, keys, group_size, dim, wide, flat}));
  const AxisId pos = c.axis("pos", rows), key = c.axis("key", keys), head = c.axis("head", 2);
  const AxisId group = c.axis("group", group_size), d = c.axis("d", dim), v = c.axis("v", wide);
  const int q = c.operand(c.input("q", {pos, head, group, d}));
  const ValueId k_value = flat ? c.input("k", {key, head, d}) : c.input("k", {head, d, key});
  c.contraction(c.lhs(q), c.operand(k_value), {d});
  ScalarBuilder s;
  const Scalar at = s.index(pos) + static_cast<int32_t>(keys - rows);
  c.body({pos, head, group, key}, s.finish(score(s, s.contraction(), at, s.index(key), s.index(head))));
  c.attention(key, c.operand(c.input("v", {key, head, v})));
  return c.build();
}

StepCase paged_attention(std::vector<CaseSequence> sequences, int64_t group_size, const Score& score,
                         const std::string& label, bool latent = false) {
  int64_t rows = 0;
  for (const CaseSequence& sequence : sequences) rows += sequence.rows;
  CaseBuilder c(StepKind::attention, sized("paged " + label, {rows, group_size, latent}));
  const AxisId pos = c.axis("pos", rows), key = c.key_axis(), head = c.axis("head", 2);
  const AxisId group = c.axis("group", group_size), d = c.axis("d", latent ? 40 : 33), wide = c.axis("wide", 6);
  const CacheSpec spec{.key = key,
                       .pos = pos,
                       .page_size = 4,
                       .sequences = sequences,
                       .fields = latent ? std::vector<std::vector<AxisId>>{{d}}
                                        : std::vector<std::vector<AxisId>>{{head, d}, {head, wide}},
                       .shuffled_rows = true,
                       .first_position = 3};
  const CaseCache cache = c.cache(spec);
  ScalarBuilder s;
  Scalar total = s.constant(0.0f);
  int value = 0;
  if (latent) {  // one field for all heads; two contractions with slices of it, and a slice is the value
    const AxisId low = c.axis("low", 32), high = c.axis("high", 8);
    const int a = c.operand(c.input("a", {pos, head, group, low})),
              b = c.operand(c.input("b", {pos, head, group, high}));
    c.contraction(c.lhs(a), c.operand(cache.fields[0], {whole(key), sliced(low, d, 0)}), {low});
    c.contraction(c.lhs(b), c.operand(cache.fields[0], {whole(key), sliced(high, d, 32)}), {high});
    total = s.contraction(0) + s.contraction(1);
    value = c.operand(cache.fields[0], {whole(key), sliced(wide, d, 5)});
  } else {
    const int q = c.operand(c.input("q", {pos, head, group, d}));
    const Scalar e = s.load(q);
    const int lhs = c.lhs({pos, head, group, d}, s.finish(e * 0.5f));
    c.contraction(lhs, c.operand(cache.fields[0]), {d});
    total = s.contraction();
    value = c.operand(cache.fields[1]);
  }
  const Scalar at = s.load(c.operand(cache.pos_values), Element::i32);
  const Scalar key_at = s.load(c.operand(cache.positions), Element::i32);
  c.body({pos, head, group, key}, s.finish(score(s, total, at, key_at, s.index(head))));
  c.attention(key, value);
  return c.build();
}

// ---- append

StepCase append(std::vector<CaseSequence> sequences, int32_t skip_every) {
  int64_t rows = 0;
  for (const CaseSequence& sequence : sequences) rows += sequence.rows;
  CaseBuilder c(StepKind::append, sized("append", {rows, skip_every}));
  const AxisId pos = c.axis("pos", rows), key = c.key_axis(), head = c.axis("head", 2), d = c.axis("d", 4);
  const AxisId embed = c.axis("embed", 32);
  const CaseCache cache = c.cache({.key = key,
                                   .pos = pos,
                                   .page_size = 4,
                                   .sequences = sequences,
                                   .fields = {{head, d}, {head, d}, {d}},
                                   .shuffled_rows = true,
                                   .skip_every = skip_every});
  c.append_to(cache);
  const ValueId x = c.input("x", {pos, embed});
  ScalarBuilder s;
  c.contraction(c.lhs(c.operand(x)), c.operand(c.weight("wk", {head, d, embed}, Format::q8_0)), {embed});
  c.body({pos, head, d}, s.finish(s.contraction()));
  const int at = c.operand(cache.pos_values);
  c.rotation({.axis = d, .pairs = RopePairs::interleaved, .position = at, .frequencies = nullptr});
  c.next_region();
  ScalarBuilder t;
  c.contraction(c.lhs(c.operand(x)), c.operand(c.weight("wv", {head, d, embed}, Format::q4_0)), {embed});
  c.body({pos, head, d}, t.finish(t.contraction()));
  c.next_region();
  ScalarBuilder u;
  const Scalar y = u.load(c.operand(c.input("y", {pos, d})));
  c.body({pos, d}, u.finish(y - u.reduction(0)), d, {{ReduceOp::max, u.finish(y)}});
  return c.build();
}

}  // namespace

std::vector<StepCase> opencl_contract_cases() {
  std::vector<StepCase> cases;
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    for (const int64_t rows : {1, 5}) {
      cases.push_back(linear(format, rows, 17, 96));
      for (const int kind : {1, 2, 3}) cases.push_back(linear(format, rows, 9, 64, kind));
    }
    cases.push_back(experts(3, format, false));
    cases.push_back(experts(3, format, true));
  }
  for (const Format format : kBlockFormats) {
    cases.push_back(linear(format, 5, 9, 3 * static_cast<int64_t>(info(format).block_elements)));
  }
  for (const int64_t depth : {0, 1, 31, 33, 100}) cases.push_back(linear(Format::f32, 4, 3, depth));
  cases.push_back(linear(Format::f16, 0, 3, 32));
  cases.push_back(linear(Format::f16, 2, 0, 32));
  cases.push_back(linear(Format::q8_0, 3, 5, 2048));
  for (const int64_t rows : {1, 5}) {
    cases.push_back(projected_heads(rows, false, false));
    cases.push_back(projected_heads(rows, true, false));
    cases.push_back(projected_heads(rows, true, true));
    cases.push_back(output_projection(rows, false));
    cases.push_back(output_projection(rows, true));
  }
  cases.push_back(broadcast_contraction());
  return cases;
}

std::vector<StepCase> opencl_attention_cases() {
  std::vector<StepCase> cases;
  for (const int64_t keys : {0, 1, 31, 33, 130}) cases.push_back(dense_attention(1, keys, 1, 16, 16, causal, "causal"));
  for (const int64_t group : {1, 7, 8}) cases.push_back(dense_attention(5, 40, group, 33, 6, causal, "causal"));
  cases.push_back(dense_attention(5, 40, 2, 12, 20, window_alibi_cap, "window, ALiBi, soft-cap"));
  cases.push_back(dense_attention(6, 9, 2, 12, 5, blind, "blind rows"));
  cases.push_back(dense_attention(3, 9, 2, 12, 5, causal, "strided keys", false));
  cases.push_back(dense_attention(0, 9, 2, 12, 5, causal, "no rows"));
  cases.push_back(dense_attention(1, 3, 1, 4, 1500, causal, "wide value"));
  const std::vector<CaseSequence> ragged = {{9, 2, 0}, {1, 1, 0}, {64, 5, 0}, {11, 3, 2}};
  cases.push_back(paged_attention({{1, 1, 0}}, 1, causal, "single"));
  cases.push_back(paged_attention(ragged, 7, causal, "causal"));
  cases.push_back(paged_attention(ragged, 2, window_alibi_cap, "window, ALiBi, soft-cap"));
  cases.push_back(paged_attention(ragged, 2, blind, "blind rows"));
  cases.push_back(paged_attention(ragged, 3, causal, "latent", true));
  return cases;
}

std::vector<StepCase> opencl_append_cases() {
  return {append({{1, 1, 0}}, 0), append({{9, 2, 0}, {1, 1, 0}, {11, 3, 2}}, 0), append({{9, 5, 0}, {6, 6, 0}}, 3)};
}

}  // namespace weft
