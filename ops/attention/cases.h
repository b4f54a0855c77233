// Attention that tests, benchmarks and the tuner share: dense and paged keys, ragged batches, groups of query
// heads, and the usual changes of scores, alone and two at a time; of a score that contracts queries with keys, and of
// one that is made of coordinates alone.
#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

// A bit set: what becomes of a score. Masks are combined by `and`.
enum ScoreChange : unsigned {
  kScaled = 0,
  kCausal = 1,
  kWindow = 2,   // the last 5 positions
  kAlibi = 4,    // Press et al. 2022, arXiv:2108.12409
  kSoftCap = 8,  // cap * tanh(score / cap)
  kPrefix = 16,  // the first 3 positions are seen by all (prefix-LM); instead of causal alone
  kBlind = 32,   // nothing is seen by the first rows
  kSlopes = 64,  // as kAlibi, with a slope for every query head of a group too
};

// A softmax's sink.
enum class CaseSink {
  none,
  number,      // 0: exp(0) in the denominator (Miller 2023, "Attention is off by one")
  by_head,     // a learned weight per query head, as gpt-oss has it
  by_query,    // computed, of a value of each row and head
  not_finite,  // by head: a number, NaN, inf, -inf in turn
};

struct AttentionShape {
  std::vector<CaseSequence> sequences;  // one only where dense: length keys, `rows` queries at the end
  int64_t heads = 2, group = 2;
  int64_t head_dim = 16, value_dim = 16;
  unsigned score = kCausal;
  bool paged = true;
  bool latent = false;         // keys of one head, values are a slice of them (as in multi-head latent attention)
  bool two_scores = false;     // a second contraction, with another field
  bool contracts = true;       // false: the score consists of coordinates alone, and no keys are read
  Format value = Format::f32;  // how values are stored
  Format keys = Format::f32;   // paged only: how the other fields are
  bool group_first = false;    // axes of the query in another order
  bool shuffled = false;       // rows of the sequences in turn
  int32_t page_size = 4;
  Fill fill = {};
  bool statistics = false;
  CaseSink sink = CaseSink::none;
  double largest_sink = 2;
};

namespace attention_cases {

constexpr float kNever = -std::numeric_limits<float>::infinity();

inline Scalar changed(ScalarBuilder& s, Scalar score, Scalar query, Scalar key, Scalar head, Scalar group,
                      unsigned change) {
  score = score * 0.25f;
  if (change & kSoftCap) score = tanh(score * 0.5f) * 2.0f;
  if (change & kAlibi) {
    const Scalar slope = exp((cast(head, Element::f32) + 1.0f) * -0.7f);
    score = score - slope * cast(query - key, Element::f32);
  }
  if (change & kSlopes) {
    const Scalar slope = exp((cast(head * 2 + group, Element::f32) + 1.0f) * -0.3f);
    score = score - slope * cast(query - key, Element::f32);
  }
  if (change & kPrefix) score = where(key <= query || key < 3, score, s.constant(kNever));
  if (change & kCausal) score = where(key <= query, score, s.constant(kNever));
  if (change & kWindow) score = where(key > query - 5 && key <= query, score, s.constant(kNever));
  if (change & kBlind) score = where(key < query - 6, score, s.constant(kNever));
  return score;
}

inline std::string label(const AttentionShape& shape) {
  std::string text = shape.paged ? "paged" : "dense";
  for (const CaseSequence& sequence : shape.sequences) {
    text += " " + std::to_string(sequence.rows) + "/" + std::to_string(sequence.length);
    if (sequence.gone_pages != 0) text += " without " + std::to_string(sequence.gone_pages) + " pages";
  }
  text += " heads " + std::to_string(shape.heads) + "x" + std::to_string(shape.group) + " dims " +
          std::to_string(shape.head_dim) + "/" + std::to_string(shape.value_dim);
  const char* names[] = {"causal", "window", "alibi", "soft-cap", "prefix", "blind", "slopes"};
  for (unsigned i = 0; i < 7; ++i) {
    if (shape.score & (1u << i)) text += std::string(" ") + names[i];
  }
  if (shape.latent) text += " latent";
  if (shape.two_scores) text += " two scores";
  if (!shape.contracts) text += " coordinates alone";
  if (shape.keys != Format::f32) text += " keys " + std::string(name(shape.keys));
  if (shape.value != Format::f32) text += " of " + std::string(name(shape.value));
  if (shape.fill.nonfinite > 0) text += " not all finite";
  if (shape.group_first) text += " group first";
  if (shape.shuffled) text += " shuffled";
  if (shape.statistics) text += " with statistics";
  const char* sinks[] = {"", " sink 0", " sink by head", " sink by query", " sink not finite"};
  text += sinks[static_cast<size_t>(shape.sink)];
  if (shape.sink != CaseSink::none && shape.largest_sink != 2) text += " large";
  return text;
}

// `query` is made of `head`, `group` and `pos`.
inline ScalarProgram sink_program(CaseBuilder& c, const AttentionShape& shape, const std::vector<AxisId>& query,
                                  AxisId pos, AxisId head, AxisId group) {
  ScalarBuilder s;
  const Fill fill{.low = -shape.largest_sink, .high = shape.largest_sink};
  switch (shape.sink) {
    case CaseSink::none: return {};
    case CaseSink::number: return s.finish(s.constant(0.0f));
    case CaseSink::by_head: return s.finish(s.load(c.operand(c.weight("sink", {head, group}, Format::f32, fill))));
    case CaseSink::by_query: {
      const Scalar x = s.load(c.operand(c.input("sink", query, Format::f32, fill)));
      return s.finish(x + cast(s.index(pos) % 3 - s.index(group) % 2, Element::f32) * 0.5f);
    }
    case CaseSink::not_finite: break;
  }
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kKinds[] = {0.5f, std::numeric_limits<float>::quiet_NaN(), kInf, -kInf};
  std::vector<float> elements(static_cast<size_t>(shape.heads * shape.group));
  for (size_t i = 0; i < elements.size(); ++i) elements[i] = kKinds[i % 4];
  const ValueId sink = c.weight("sink", {head, group});
  c.set(sink, std::move(elements));
  return s.finish(s.load(c.operand(sink)));
}

}  // namespace attention_cases

inline StepCase attention_case(const AttentionShape& shape, uint64_t seed = 1) {
  using namespace attention_cases;
  CaseBuilder c(StepKind::attention, label(shape), seed);
  int64_t rows = 0;
  for (const CaseSequence& sequence : shape.sequences) rows += sequence.rows;
  const AxisId pos = c.axis("pos", rows);
  const AxisId key = shape.paged ? c.key_axis() : c.axis("key", shape.sequences.front().length);
  const AxisId head = c.axis("kv_head", shape.heads), group = c.axis("group", shape.group),
               d = c.axis("head_dim", shape.head_dim), e = c.axis("value_dim", shape.value_dim),
               d2 = c.axis("second_dim", 3);
  std::vector<AxisId> query = {pos, head, group};
  if (shape.group_first) query = {group, pos, head};
  const auto with = [](std::vector<AxisId> axes, AxisId last) {
    axes.push_back(last);
    return axes;
  };
  std::vector<std::vector<AxisId>> fields;
  if (shape.latent) fields.push_back({d});
  else if (shape.contracts) fields.push_back({head, d});
  if (!shape.latent) fields.push_back({head, e});
  if (shape.two_scores) fields.push_back({d2});

  std::vector<ValueId> values;
  int query_position = -1, key_position = -1;
  if (shape.paged) {
    CacheSpec spec;
    spec.key = key;
    spec.pos = pos;
    spec.page_size = shape.page_size;
    spec.sequences = shape.sequences;
    spec.fields = fields;
    spec.fill = shape.fill;
    for (size_t i = 0; i < fields.size(); ++i) {
      const bool is_value = !shape.latent && i == (shape.contracts ? 1 : 0);
      const bool has_blocks = info(shape.keys).block_elements == 1 || fields[i].back() != d2;
      spec.formats.push_back(is_value ? shape.value : has_blocks ? shape.keys : Format::f16);
    }
    spec.shuffled_rows = shape.shuffled;
    spec.first_position = 5;
    const CaseCache cache = c.cache(spec);
    values = cache.fields;
    query_position = c.operand(cache.pos_values);
    key_position = c.operand(cache.positions);
  } else {
    for (size_t i = 0; i < fields.size(); ++i) {
      std::vector<AxisId> axes = {key};
      axes.insert(axes.end(), fields[i].begin(), fields[i].end());
      const bool is_value = !shape.latent && i == (shape.contracts ? 1 : 0);
      values.push_back(c.input("field" + std::to_string(i), axes, is_value ? shape.value : Format::f32, shape.fill));
    }
  }
  ScalarBuilder s;
  Scalar score = s.constant(0.0f);
  if (shape.contracts) {
    const int q = c.operand(c.input("q", with(query, d), Format::f32, shape.fill));
    c.contraction(c.lhs(q), c.operand(values[0]), {d});
    score = s.contraction(0);
  }
  if (shape.two_scores) {  // its query has a prologue
    const int q2 = c.operand(c.input("q2", with(query, d2)));
    ScalarBuilder p;
    c.contraction(c.lhs(with(query, d2), p.finish(p.load(q2) * 1.5f)), c.operand(values.back()), {d2});
    score = score + s.contraction(1);
  }
  const Scalar at = shape.paged ? s.load(query_position, Element::i32)
                                : s.index(pos) + static_cast<int32_t>(shape.sequences.front().length - rows);
  const Scalar key_at = shape.paged ? s.load(key_position, Element::i32) : s.index(key);
  c.body(with(query, key), s.finish(changed(s, score, at, key_at, s.index(head), s.index(group), shape.score)));
  const int value = shape.latent ? c.operand(values[0], {whole(key), sliced(e, d, shape.head_dim - shape.value_dim)})
                                 : c.operand(values[shape.contracts ? 1 : 0]);
  c.attention(key, value, shape.statistics, sink_program(c, shape, query, pos, head, group));
  return c.build();
}

// Keys stored with the key axis last, values per group of positions: views that need a copy.
inline StepCase strided_attention(int64_t rows, int64_t keys) {
  CaseBuilder c(StepKind::attention, "strided " + std::to_string(rows) + "/" + std::to_string(keys));
  const AxisId pos = c.axis("pos", rows), key = c.axis("key", keys), head = c.axis("head", 3), d = c.axis("d", 7),
               e = c.axis("e", 5), f = c.axis("f", 2);
  const int q = c.operand(c.input("q", {pos, head, d}));
  c.contraction(c.lhs(q), c.operand(c.input("k", {head, d, key}, Format::f16)), {d});
  ScalarBuilder s;
  const int bias = c.operand(c.input("bias", {head, pos, key}));
  c.body({pos, head, key}, s.finish(s.contraction() + s.load(bias)));
  c.region().axes = {head, pos, f, e};
  c.attention(key, c.operand(c.input("v", {e, key, head, f}, Format::bf16)));
  return c.build();
}

// A score that reads a value of each key and one of each query beside the product.
inline StepCase biased_attention(int64_t rows, int64_t keys) {
  CaseBuilder c(StepKind::attention, "biased " + std::to_string(rows) + "/" + std::to_string(keys));
  const AxisId pos = c.axis("pos", rows), key = c.axis("key", keys), head = c.axis("head", 3), d = c.axis("d", 32);
  const int q = c.operand(c.input("q", {pos, head, d}));
  c.contraction(c.lhs(q), c.operand(c.input("k", {key, head, d})), {d});
  const int by_key = c.operand(c.input("by_key", {key}, Format::f16)), by_head = c.operand(c.input("by_head", {head}));
  ScalarBuilder s;
  const Scalar bias = sigmoid(s.load(by_key)) * s.load(by_head);
  c.body({pos, head, key}, s.finish(where(s.load(by_key) < 0.5f, tanh(s.contraction()) + bias, s.constant(-1e30f))));
  c.attention(key, c.operand(c.input("v", {key, head, d})));
  return c.build();
}

// A bias by the distance of key and query, from a table of buckets (T5: Raffel et al. 2020, arXiv:1910.10683, section
// 2.1): near ones have a bucket each, others share them. Over a cache's pages, or over keys that lie together.
inline StepCase bucketed_attention(const std::vector<CaseSequence>& sequences, int64_t group, int64_t buckets,
                                   Format format, bool paged) {
  int64_t rows = 0;
  for (const CaseSequence& sequence : sequences) rows += sequence.rows;
  CaseBuilder c(StepKind::attention, std::string("bucketed ") + (paged ? "paged " : "") + std::string(name(format)) +
                                         " rows " + std::to_string(rows) + " keys " +
                                         std::to_string(sequences.front().length) + " group " + std::to_string(group) +
                                         " buckets " + std::to_string(buckets));
  const AxisId pos = c.axis("pos", rows), head = c.axis("head", 2), g = c.axis("group", group), d = c.axis("d", 16);
  const AxisId bucket = c.axis("bucket", buckets);
  const AxisId key = paged ? c.key_axis() : c.axis("key", sequences.front().length);
  int keys, values, at_key = -1, at_query = -1;
  if (paged) {
    const CaseCache cache =
        c.cache({.key = key, .pos = pos, .page_size = 8, .sequences = sequences, .fields = {{head, d}, {head, d}}});
    keys = c.operand(cache.fields[0]), values = c.operand(cache.fields[1]);
    at_key = c.operand(cache.positions), at_query = c.operand(cache.pos_values);
  } else {
    keys = c.operand(c.input("k", {key, head, d})), values = c.operand(c.input("v", {key, head, d}));
  }
  c.contraction(c.lhs(c.operand(c.input("q", {pos, head, g, d}))), keys, {d});
  const int table = c.operand(c.weight("bias", {bucket, head, g}, format), {looked_up(bucket), whole(head), whole(g)});
  ScalarBuilder s;
  const Scalar key_at = paged ? s.load(at_key, Element::i32) : s.index(key);
  const Scalar query_at = paged ? s.load(at_query, Element::i32) : s.index(pos);
  const Scalar distance = query_at - key_at;
  const Scalar place = where(distance < 4, distance, minimum(distance / 4 + 3, 12));
  c.body({pos, head, g, key}, s.finish(where(key_at <= query_at, s.contraction() * 0.25f + s.lookup(table, place),
                                             s.constant(attention_cases::kNever))));
  c.attention(key, values);
  return c.build();
}

// Each position has separate keys (a batch axis that is not a head).
inline StepCase own_keys(int64_t rows, int64_t keys) {
  CaseBuilder c(StepKind::attention, "own keys " + std::to_string(rows) + "/" + std::to_string(keys));
  const AxisId pos = c.axis("pos", rows), key = c.axis("key", keys), d = c.axis("d", 16);
  const int q = c.operand(c.input("q", {pos, d}));
  c.contraction(c.lhs(q), c.operand(c.input("k", {pos, key, d})), {d});
  ScalarBuilder s;
  c.body({pos, key}, s.finish(s.contraction()));
  c.attention(key, c.operand(c.input("v", {pos, key, d})));
  return c.build();
}

// Statistics: each way to read keys, scores that rule keys out or lie far apart, and keys split between threads.
inline std::vector<StepCase> statistics_cases() {
  std::vector<StepCase> cases;
  const auto add = [&cases](AttentionShape shape, uint64_t seed = 1) {
    shape.statistics = true;
    cases.push_back(attention_case(shape, seed));
  };
  for (const bool paged : {false, true}) {
    for (const unsigned score : {unsigned{kScaled}, unsigned{kCausal}, unsigned{kWindow}, kAlibi | kSoftCap,
                                 unsigned{kBlind}, kCausal | kAlibi}) {
      add({.sequences = {{70, 9}}, .score = score, .paged = paged});
    }
    add({.sequences = {{130, 70}}, .score = kCausal | kSlopes, .paged = paged, .contracts = false});
    for (const int64_t group : {1, 7, 8}) {
      add({.sequences = {{70, 1}}, .heads = 5, .group = group, .head_dim = 32, .value_dim = 32, .paged = paged});
      add({.sequences = {{20, 7}}, .group = group, .paged = paged});
    }
    for (const int32_t keys : {1, 63, 64, 65}) add({.sequences = {{keys, keys}}, .group = 1, .paged = paged});
    add({.sequences = {{200, 3}}, .paged = paged, .fill = {.low = -4, .high = 4}});
    add({.sequences = {{1500, 1}}, .heads = 1, .paged = paged, .page_size = 16});
    add({.sequences = {{1100, 1}}, .heads = 1, .score = kWindow, .paged = paged});
    add({.sequences = {{900, 3}}, .heads = 1, .score = kBlind | kAlibi, .paged = paged});
  }
  const std::vector<CaseSequence> ragged = {{71, 7, 0, 3}, {64, 64}, {1, 1}, {66, 1, 5, 3}};
  add({.sequences = ragged, .score = kWindow, .shuffled = true});
  add({.sequences = {{40, 5}, {9, 1}}, .latent = true, .two_scores = true, .group_first = true});
  add({.sequences = ragged, .value_dim = 32, .score = kWindow, .value = Format::q8_0, .keys = Format::f16});
  // A result of several slices, and of none; no key, no row.
  add({.sequences = {{20, 2}}, .value_dim = 1100});
  add({.sequences = {{20, 2}}, .value_dim = 0});
  add({.sequences = {{0, 3}}, .paged = false});
  add({.sequences = {{5, 2}}, .heads = 0});
  add({.sequences = {{3, 2}, {0, 0}, {5, 5}}});
  for (const uint64_t seed : {1, 2, 3}) {
    add({.sequences = {{70, 20}}, .paged = false, .fill = {.nonfinite = 0.002}}, seed);
    add({.sequences = {{1500, 1}}, .heads = 1, .page_size = 16, .fill = {.nonfinite = 0.0002}}, seed);
    add({.sequences = {{30, 9}}, .score = kWindow, .fill = {.nonfinite = 0.01}}, seed);
  }
  return cases;
}

// Sinks: each way to read keys, scores that rule keys out, rows that see nothing, keys split between threads and in
// blocks, sinks that outweigh all keys and that weigh nothing.
inline std::vector<StepCase> sink_cases() {
  std::vector<StepCase> cases;
  const auto add = [&cases](AttentionShape shape, uint64_t seed = 1) { cases.push_back(attention_case(shape, seed)); };
  constexpr CaseSink kSinks[] = {CaseSink::number, CaseSink::by_head, CaseSink::by_query};
  for (const bool paged : {false, true}) {
    for (const CaseSink sink : kSinks) {
      for (const unsigned score : {unsigned{kScaled}, unsigned{kCausal}, unsigned{kWindow}, kCausal | kSoftCap,
                                   unsigned{kBlind}, kCausal | kAlibi}) {
        add({.sequences = {{70, 9}}, .score = score, .paged = paged, .sink = sink});
      }
      add({.sequences = {{70, 9}}, .score = kWindow | kBlind, .paged = paged, .statistics = true, .sink = sink});
      add({.sequences = {{130, 70}}, .score = kCausal | kSlopes, .paged = paged, .contracts = false, .sink = sink});
    }
    for (const bool statistics : {false, true}) {
      const CaseSink sink = CaseSink::by_head;
      for (const int32_t keys : {1, 63, 64, 65})
        add({.sequences = {{keys, keys}}, .group = 1, .paged = paged, .statistics = statistics, .sink = sink});
      for (const int64_t group : {1, 7, 8}) {
        add({.sequences = {{70, 1}},
             .heads = 5,
             .group = group,
             .head_dim = 32,
             .value_dim = 32,
             .paged = paged,
             .statistics = statistics,
             .sink = sink});
        add({.sequences = {{20, 7}}, .group = group, .paged = paged, .statistics = statistics, .sink = sink});
      }
      for (const double largest : {30.0, 300.0}) {  // beyond what exp() can hold
        add({.sequences = {{70, 9}},
             .paged = paged,
             .statistics = statistics,
             .sink = CaseSink::by_query,
             .largest_sink = largest});
      }
      add({.sequences = {{70, 9}},
           .score = kBlind,
           .paged = paged,
           .statistics = statistics,
           .sink = CaseSink::not_finite});
      // Few tiles, many keys: split between threads.
      add({.sequences = {{1500, 1}},
           .heads = 1,
           .paged = paged,
           .page_size = 16,
           .statistics = statistics,
           .sink = sink});
      add({.sequences = {{1100, 1}},
           .heads = 1,
           .score = kWindow,
           .paged = paged,
           .statistics = statistics,
           .sink = sink});
      add({.sequences = {{900, 3}},
           .heads = 1,
           .score = kBlind | kAlibi,
           .paged = paged,
           .statistics = statistics,
           .sink = CaseSink::number});
    }
  }
  const std::vector<CaseSequence> ragged = {{71, 7, 0, 3}, {64, 64}, {1, 1}, {66, 1, 5, 3}};
  for (const CaseSink sink : kSinks) {
    add({.sequences = ragged, .score = kWindow, .shuffled = true, .sink = sink});
    add({.sequences = ragged,
         .head_dim = 32,
         .value_dim = 32,
         .value = Format::q8_0,
         .keys = Format::f16,
         .sink = sink});
    add({.sequences = {{40, 5}, {9, 1}}, .latent = true, .two_scores = true, .group_first = true, .sink = sink});
  }
  // Results of several slices, and of none; no key, no row.
  const CaseSink sink = CaseSink::by_head;
  add({.sequences = {{20, 2}}, .value_dim = 1100, .statistics = true, .sink = sink});
  add({.sequences = {{20, 2}}, .value_dim = 0, .statistics = true, .sink = sink});
  add({.sequences = {{0, 3}}, .paged = false, .statistics = true, .sink = sink});
  add({.sequences = {{5, 2}}, .heads = 0, .sink = sink});
  add({.sequences = {{3, 2}, {0, 0}, {5, 5}}, .sink = sink});
  for (const uint64_t seed : {1, 2, 3}) {
    add({.sequences = {{70, 20}}, .paged = false, .fill = {.nonfinite = 0.002}, .sink = sink}, seed);
    add({.sequences = {{30, 9}}, .score = kWindow, .fill = {.nonfinite = 0.01}, .statistics = true, .sink = sink},
        seed);
  }
  return cases;
}

inline std::vector<StepCase> attention_case_table() {
  std::vector<StepCase> cases;
  const auto add = [&cases](AttentionShape shape) { cases.push_back(attention_case(shape)); };
  // Every score alone, and every two of them.
  const unsigned changes[] = {kCausal, kWindow, kAlibi, kSoftCap, kPrefix, kBlind};
  for (const bool paged : {false, true}) {
    add({.sequences = {{9, 4}}, .score = kScaled, .paged = paged});
    for (const unsigned a : changes) {
      for (const unsigned b : changes) {
        if (a <= b) add({.sequences = {{70, 9}}, .score = a | b, .paged = paged});
      }
    }
  }
  // Keys around a block, rows around a tile, group sizes.
  for (const int32_t keys : {1, 2, 63, 64, 65, 130}) {
    add({.sequences = {{keys, 1}}, .paged = true});
    add({.sequences = {{keys, keys}}, .heads = 1, .group = 1, .paged = true});
  }
  for (const int64_t group : {1, 7, 8, 47, 49, 100}) {
    add({.sequences = {{20, 1}}, .group = group});
    add({.sequences = {{20, 7}}, .group = group, .paged = false});
    add({.sequences = {{20, 7}}, .group = group, .score = kCausal | kSoftCap});
  }
  for (const int64_t width : {1, 3, 15, 17, 33, 64, 80, 130}) {
    add({.sequences = {{20, 1}}, .head_dim = width, .value_dim = 8});
    add({.sequences = {{20, 9}}, .head_dim = 8, .value_dim = width});
  }
  // Few rows of many heads: all of them in one tile, and in several; shared and separate keys.
  for (const int64_t group : {1, 3, 7, 8, 16, 17}) {
    add({.sequences = {{70, 1}}, .heads = 5, .group = group, .head_dim = 32, .value_dim = 64});
    add({.sequences = {{70, 1}, {9, 2}}, .heads = 30, .group = group, .head_dim = 32, .value_dim = 32});
    add({.sequences = {{70, 1}}, .heads = 5, .group = group, .head_dim = 64, .value_dim = 32, .paged = false});
  }
  add({.sequences = {{70, 1}}, .heads = 3, .head_dim = 64, .value_dim = 32, .latent = true});
  add({.sequences = {{700, 1}}, .heads = 3, .head_dim = 32, .value_dim = 32, .score = kWindow | kSoftCap});
  // Ragged batches: prefill of one and decode of others, a shared prefix, nothing cached.
  const std::vector<CaseSequence> ragged = {{71, 7}, {64, 64}, {1, 1}, {66, 1, 3}};
  for (const bool shuffled : {false, true}) {
    add({.sequences = ragged, .shuffled = shuffled});
    add({.sequences = ragged, .score = kWindow | kAlibi, .shuffled = shuffled, .page_size = 16});
  }
  add({.sequences = {{3, 2}, {0, 0}, {5, 5}}});
  // Pages that a window has passed: some, all but the last, and next to sequences that still have all of theirs.
  const std::vector<CaseSequence> windowed = {{71, 7, 0, 3}, {64, 64}, {9, 1, 0, 2}, {66, 1, 5, 3}, {200, 20, 0, 43}};
  for (const bool shuffled : {false, true}) {
    add({.sequences = windowed, .shuffled = shuffled});
    add({.sequences = windowed, .score = kWindow | kAlibi, .shuffled = shuffled});
  }
  add({.sequences = {{1500, 1, 0, 40}}, .heads = 1, .page_size = 16});
  add({.sequences = {{40, 5}}, .latent = true, .two_scores = true});
  add({.sequences = {{40, 5}, {9, 1}}, .group = 12, .value_dim = 10, .score = kCausal | kAlibi, .latent = true});
  add({.sequences = {{40, 5}, {9, 1}}, .two_scores = true, .group_first = true});
  add({.sequences = {{40, 5}}, .score = kSoftCap, .paged = false, .two_scores = true, .group_first = true});
  // Few tiles, many keys: split between threads.
  add({.sequences = {{1500, 1}}, .heads = 1, .page_size = 16});
  add({.sequences = {{1100, 1}}, .heads = 1, .score = kWindow});
  add({.sequences = {{900, 3}}, .heads = 1, .score = kBlind | kAlibi, .paged = false});
  // Nothing there.
  add({.sequences = {{0, 0}}, .paged = false});
  add({.sequences = {{0, 3}}, .paged = false});
  add({.sequences = {{5, 2}}, .heads = 0});
  add({.sequences = {{5, 2}}, .value_dim = 0});
  add({.sequences = {{5, 2}}, .head_dim = 0});
  // NaN and infinities, masked and seen.
  for (const uint64_t seed : {1, 2, 3}) {
    cases.push_back(attention_case({.sequences = {{70, 20}}, .paged = false, .fill = {.nonfinite = 0.002}}, seed));
    cases.push_back(attention_case(
        {.sequences = {{70, 1}}, .heads = 3, .head_dim = 32, .value_dim = 32, .fill = {.nonfinite = 0.002}}, seed));
    cases.push_back(
        attention_case({.sequences = {{30, 9}}, .score = kWindow, .paged = false, .fill = {.nonfinite = 0.01}}, seed));
  }
  // Scores of coordinates alone: every change, lengths, groups, ragged batches, passed pages, stored formats.
  for (const bool paged : {false, true}) {
    add({.sequences = {{9, 4}}, .score = kScaled, .paged = paged, .contracts = false});
    for (const unsigned change : {kCausal, kWindow, kAlibi, kPrefix, kBlind, kSlopes}) {
      add({.sequences = {{70, 9}}, .score = change, .paged = paged, .contracts = false});
      add({.sequences = {{20, 1}}, .group = 8, .score = change | kCausal, .paged = paged, .contracts = false});
    }
    for (const int64_t group : {1, 7, 8, 47, 100}) {
      add({.sequences = {{20, 7}}, .group = group, .score = kCausal | kSlopes, .paged = paged, .contracts = false});
    }
    for (const int64_t width : {1, 3, 17, 130}) {
      add({.sequences = {{20, 9}}, .heads = 3, .value_dim = width, .paged = paged, .contracts = false});
    }
    for (const int32_t keys : {1, 63, 64, 65}) {
      add({.sequences = {{keys, keys}}, .heads = 1, .group = 1, .paged = paged, .contracts = false});
    }
    add({.sequences = {{0, 0}}, .paged = paged, .contracts = false});
    add({.sequences = {{900, 3}}, .heads = 1, .score = kBlind | kAlibi, .paged = paged, .contracts = false});
  }
  for (const Format format : {Format::f16, Format::bf16, Format::q8_0, Format::q4_0, Format::q6_k}) {
    const int64_t width = info(format).block_elements > 1 ? info(format).block_elements : 16;
    add({.sequences = {{70, 9}}, .value_dim = width, .paged = false, .contracts = false, .value = format});
  }
  for (const unsigned change : {unsigned{kCausal}, kWindow | kSlopes}) {
    add({.sequences = ragged, .score = change, .contracts = false});
    add({.sequences = windowed, .score = change, .contracts = false, .shuffled = true});
  }
  add({.sequences = {{3, 2}, {0, 0}, {5, 5}}, .contracts = false});
  add({.sequences = {{40, 5}}, .value_dim = 10, .score = kCausal | kSlopes, .latent = true, .contracts = false});
  add({.sequences = {{40, 5}, {9, 1}}, .score = kSlopes, .contracts = false, .group_first = true});
  cases.push_back(
      attention_case({.sequences = {{70, 20}}, .paged = false, .contracts = false, .fill = {.nonfinite = 0.002}}));
  // Caches in other formats than f32: lengths, groups, widths, ragged batches, passed pages, scores, non-finite values.
  const auto add_stored = [&add](AttentionShape shape) {
    for (const Format format : {Format::f16, Format::bf16, Format::q8_0}) {
      const auto block = static_cast<int64_t>(info(format).block_elements);
      if (shape.head_dim % block != 0 || shape.value_dim % block != 0) continue;
      shape.keys = shape.value = format;
      add(shape);
    }
  };
  for (const int32_t keys : {1, 2, 63, 64, 65, 130}) {
    add_stored({.sequences = {{keys, 1}}, .head_dim = 32, .value_dim = 64});
    add_stored({.sequences = {{keys, keys}}, .heads = 1, .group = 1, .head_dim = 64, .value_dim = 32});
  }
  for (const int64_t group : {1, 7, 8, 49}) {
    add_stored({.sequences = {{20, 1}}, .group = group, .head_dim = 32, .value_dim = 32});
    add_stored({.sequences = {{71, 1}}, .heads = 20, .group = group, .head_dim = 32, .value_dim = 96});
    add_stored({.sequences = {{20, 7}}, .group = group, .head_dim = 32, .value_dim = 32, .score = kCausal | kSoftCap});
  }
  for (const int64_t width : {1, 3, 17, 33, 96, 130}) {
    add_stored({.sequences = {{20, 1}}, .head_dim = width, .value_dim = 32});
    add_stored({.sequences = {{20, 9}}, .head_dim = 32, .value_dim = width});
  }
  for (const bool shuffled : {false, true}) {
    add_stored({.sequences = ragged, .head_dim = 32, .value_dim = 32, .shuffled = shuffled});
    add_stored({.sequences = windowed,
                .head_dim = 32,
                .value_dim = 32,
                .score = kWindow | kAlibi,
                .shuffled = shuffled,
                .page_size = 4});
  }
  add_stored({.sequences = {{3, 2}, {0, 0}, {5, 5}}, .head_dim = 32, .value_dim = 32});
  add_stored({.sequences = {{1500, 1, 0, 40}}, .heads = 1, .head_dim = 32, .value_dim = 32, .page_size = 16});
  add_stored({.sequences = {{40, 5}}, .head_dim = 64, .value_dim = 32, .latent = true, .two_scores = true});
  add_stored({.sequences = {{40, 5}, {9, 1}}, .head_dim = 32, .value_dim = 32, .group_first = true});
  add_stored({.sequences = ragged, .value_dim = 32, .contracts = false});
  add_stored({.sequences = {{70, 20}}, .head_dim = 32, .value_dim = 32, .fill = {.nonfinite = 0.001}});
  add_stored(
      {.sequences = {{70, 20}}, .head_dim = 32, .value_dim = 32, .score = kWindow, .fill = {.nonfinite = 0.001}});
  add({.sequences = {{70, 9}}, .head_dim = 32, .value_dim = 16, .value = Format::f16, .keys = Format::q8_0});
  add({.sequences = {{70, 1}}, .head_dim = 16, .value_dim = 32, .value = Format::q8_0});
  cases.push_back(strided_attention(3, 70));
  cases.push_back(strided_attention(20, 5));
  cases.push_back(own_keys(5, 70));
  for (const bool paged : {true, false}) {
    for (const int64_t group : {1, 7, 8}) {
      for (const int32_t rows : {1, 9}) {
        cases.push_back(bucketed_attention({{70, rows}}, group, 13, Format::f32, paged));
        cases.push_back(bucketed_attention({{70, rows}}, group, 6, Format::bf16, paged));  // the last ones lie outside
      }
    }
    cases.push_back(bucketed_attention({{65, 65}}, 3, 13, Format::f32, paged));
    cases.push_back(bucketed_attention({{900, 1}}, 1, 13, Format::f32, paged));
  }
  cases.push_back(bucketed_attention({{71, 7}, {64, 64}, {1, 1}, {66, 1}}, 2, 13, Format::f32, true));
  cases.push_back(biased_attention(1, 70));
  cases.push_back(biased_attention(30, 70));
  for (StepCase& step_case : statistics_cases()) cases.push_back(std::move(step_case));
  for (StepCase& step_case : sink_cases()) cases.push_back(std::move(step_case));
  return cases;
}

}  // namespace weft
