#include <limits>

#include "ops/harness/step_parts.h"

namespace weft::random_steps {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Dense or over a cache's pages, with a score of one or two contractions or of none, biases and a mask.
void AttentionParts::attention() {
  const bool paged = random_.chance(0.6);
  AxisId pos, key;
  CacheSpec spec;
  int64_t longest = 0;
  if (paged) {
    key = c_.key_axis("key");
    int64_t rows = 0;
    spec = cache_spec(key, rows);
    pos = c_.axis("pos", rows);
    spec.pos = pos;
    for (const CaseSequence& s : spec.sequences) longest = std::max<int64_t>(longest, s.length);
  } else {
    pos = axis("pos", 17);
    key = axis("key", 65);
    longest = c_.extent(key);
  }
  AxisList query = {pos};
  const bool heads = random_.chance(0.8);
  AxisId head = kNoAxis;
  if (heads) {
    head = c_.axis("head", 1 + random_.below(2));
    query.push_back(head);
  }
  static const std::vector<int64_t> kGroups = {1, 2, 7, 8};
  if (random_.chance(0.6)) query.push_back(c_.axis("group", random_.pick(kGroups)));
  static const std::vector<int64_t> kDims = {1, 3, 8, 16, 17, 32, 64};
  const AxisId dim = c_.axis("dim", random_.pick(kDims));
  const AxisId value_dim = random_.chance(0.5) ? dim : c_.axis("value_dim", random_.pick(kDims));
  const AxisList own = heads ? AxisList{head} : AxisList{};
  const bool value_in_key = value_dim != dim && c_.extent(value_dim) <= c_.extent(dim) && random_.chance(0.5);

  // Operands of keys and values.
  AxisList field = joined(own, {dim}), value_axes = joined(own, {value_dim});
  const bool contracts = random_.chance(0.85);
  const bool second_contraction = contracts && random_.chance(0.2);
  AxisId position_dim = kNoAxis;
  if (second_contraction) position_dim = c_.axis("position_dim", 1 + random_.below(9));
  int keys = -1, values, other_keys = -1, query_position = -1, key_position = -1;
  std::vector<ViewAxis> slice = {whole(key)};
  for (const AxisId a : own) slice.push_back(whole(a));
  if (value_in_key) {
    slice.push_back(sliced(value_dim, dim, random_.below(c_.extent(dim) - c_.extent(value_dim) + 1)));
  }
  if (paged) {
    spec.fields = {field};
    if (!value_in_key) spec.fields.push_back(value_axes);
    if (second_contraction) spec.fields.push_back({position_dim});
    for (const AxisList& axes : spec.fields) spec.formats.push_back(stored_format(axes, !value_in_key));
    const CaseCache cache = c_.cache(spec);
    if (contracts) keys = c_.operand(cache.fields[0]);
    values = value_in_key ? c_.operand(cache.fields[0], slice) : c_.operand(cache.fields[1]);
    if (second_contraction) other_keys = c_.operand(cache.fields.back());
    query_position = c_.operand(cache.pos_values);
    key_position = c_.operand(cache.positions);
  } else {
    const bool heads_first = heads && !value_in_key && random_.chance(0.3);
    const AxisList k_axes = heads_first ? AxisList{head, key, dim} : joined({key}, field);
    ValueId k = kNoValue;
    if (contracts || value_in_key) k = c_.input("k", k_axes, leaf_input_format(), fill());
    if (contracts) keys = c_.operand(k);
    if (value_in_key) {
      values = c_.operand(k, slice);
    } else {
      const AxisList v_axes = heads_first ? AxisList{head, key, value_dim} : joined({key}, value_axes);
      values = c_.operand(c_.input("v", v_axes, leaf_input_format(), fill()));
    }
    if (second_contraction) other_keys = c_.operand(c_.input("k2", {key, position_dim}, Format::f32, fill()));
  }

  const AxisList score_axes = joined(query, {key});
  ScalarBuilder s;
  const auto queries = [&](AxisId along, int rhs, int index) {
    ScalarBuilder lhs;
    Number x = {lhs.load(c_.operand(value(joined(query, {along}), Format::f32, fill()))), 1, 0};
    if (random_.chance(0.2)) x = scaled(x, 0.5f);
    c_.contraction(c_.lhs(joined(query, {along}), lhs.finish(x.scalar)), rhs, {along});
    return contracted(x, {along}, index, s);
  };
  Number score = contracts ? queries(dim, keys, 0) : Number{s.constant(0.0f), 0, 0};
  if (second_contraction) {
    const Number other = queries(position_dim, other_keys, 1);
    score = random_.chance(0.7) ? add(score, other) : mul(score, smooth(ScalarOp::tanh, other, 1, 1));
  }
  score = scaled(score, random_.chance(0.5) ? 0.25f : 1 / std::sqrt(static_cast<float>(c_.extent(dim))));
  if (random_.chance(0.25)) {  // soft-cap
    score = scaled(smooth(ScalarOp::tanh, scaled(score, 1 / 3.0f), 1, 1), 3.0f);
  }
  const Scalar at_key = paged ? s.load(key_position, Element::i32) : s.index(key);
  const Scalar at_query = paged ? s.load(query_position, Element::i32) : s.index(pos);
  if (random_.chance(0.25)) {  // ALiBi: a slope by head
    const AxisList by = heads ? AxisList{head} : AxisList{};
    const Number slope = {s.load(c_.operand(value(by, Format::f32, fill(0.1)))), 0.1, 0};
    const Number distance = {cast(at_key - at_query, Element::f32), static_cast<double>(longest), 0};
    score = add(score, mul(slope, distance));
  }
  if (random_.chance(0.2)) {  // a term that does not vary with the key, or with the coordinate alone
    const AxisList by = random_.chance(0.5) ? query : AxisList{pos};
    score = add(score, {s.load(c_.operand(value(by, Format::f32, fill()))), 1, 0});
    if (random_.chance(0.5)) score = add(score, scaled({cast(s.index(key) % 3, Element::f32), 3, 0}, 0.5f));
  }
  if (random_.chance(0.2)) {  // a bias by distance, from a table of fewer of them
    const AxisId bucket = c_.axis("bucket", 1 + random_.below(40));
    const AxisList by = heads && random_.chance(0.7) ? AxisList{bucket, head} : AxisList{bucket};
    std::vector<ViewAxis> view = {looked_up(bucket)};
    if (by.size() > 1) view.push_back(whole(head));
    const int table = c_.operand(value(by, random_.chance(0.3) ? Format::bf16 : Format::f32, fill()), view);
    score = add(score, {s.lookup(table, minimum(at_query - at_key, 30)), 1, 0});
  }
  std::optional<Scalar> seen;
  const auto also = [&](const Scalar& condition) { seen = seen ? *seen && condition : condition; };
  if (random_.chance(0.6)) also(at_key <= at_query);
  if (random_.chance(0.25)) also(at_query - at_key < static_cast<int>(1 + random_.below(9)));
  if (random_.chance(0.1)) also(at_key != at_query);  // one row may see nothing
  if (random_.chance(0.1)) also(at_key % static_cast<int>(2 + random_.below(3)) == 0);
  if (seen && random_.chance(0.25)) {  // prefix
    const Scalar prefix = random_.chance(0.5) ? s.constant(static_cast<int32_t>(random_.below(9)))
                                              : s.load(c_.operand(c_.ids("prefix", {pos}, 0, 9)), Element::i32);
    seen = at_key < prefix || *seen;
  }
  Scalar body = score.scalar;
  if (seen) {
    body = random_.chance(0.7) ? where(*seen, body, s.constant(-kInf)) : where(!*seen, s.constant(-kInf), body);
  }
  c_.body(score_axes, s.finish(body));
  const bool statistics = random_.chance(0.1);
  ScalarProgram sink;
  if (random_.chance(0.2)) {
    ScalarBuilder of_sink;
    const int leaf = c_.operand(value(subset(query), Format::f32, fill(random_.chance(0.2) ? 20 : 2)));
    const Scalar read = of_sink.load(leaf);
    sink = of_sink.finish(random_.chance(0.3) ? read * 0.5f - 1.0f : read);
  }
  c_.attention(key, values, statistics, sink);
  // Weights change by a factor of exp(2 * error) at most, and exp is good to 1e-6; values are at most 1.
  error_ = 4 * score.error + 4e-6 + sum_rounding(longest);
  if (lhs_rounding_ > 0) error_ += lhs_rounding_;
  // An entropy H changes by 2 H times the error of the scores at most, and is log(keys) at most.
  if (statistics) error_ *= 1 + std::log(1.0 + static_cast<double>(longest));
}

}  // namespace weft::random_steps
