// A language model of a few hundred random weights, as records: embedding, layers of attention, output.
#pragma once

#include <cmath>
#include <limits>

#include "runtime/files/language_model.h"
#include "tests/record_builder.h"

namespace weft::test {

struct SmallModelShape {
  int64_t vocab = 19, embed = 16, kv_heads = 2, group = 3, head_dim = 8;
  int layers = 2;
  bool statistics = false;  // of attention
};

inline LanguageModel small_model(const SmallModelShape& shape = {}, uint64_t seed = 7) {
  RecordBuilder b(seed);
  const AxisId pos = b.axis("pos"), rows = b.axis("rows"), key = b.axis("key"), vocab = b.axis("vocab");
  const AxisId embed = b.axis("embed"), kv_head = b.axis("kv_head"), group = b.axis("group");
  const AxisId head_dim = b.axis("head_dim");

  LanguageModel model;
  model.architecture = "small";
  model.tokens = b.input("tokens", {pos}, Format::i32);
  model.position = b.input("pos", {pos}, Format::i32);
  model.sequence = b.input("seq", {pos}, Format::i32);
  model.slots = b.input("slots", {pos}, Format::i32);
  model.last = b.input("last", {rows}, Format::i32);

  const ValueId table = b.random_weight("token_embd", {vocab, embed}, {shape.vocab, shape.embed});
  ValueId x = b.gather("x", table, model.tokens);
  for (int layer = 0; layer < shape.layers; ++layer) {
    const std::string at = "blk." + std::to_string(layer) + ".";
    const float scale = 0.5f;
    const ValueId wq = b.random_weight(at + "q", {kv_head, group, head_dim, embed},
                                       {shape.kv_heads, shape.group, shape.head_dim, shape.embed}, scale);
    const ValueId wk =
        b.random_weight(at + "k", {kv_head, head_dim, embed}, {shape.kv_heads, shape.head_dim, shape.embed}, scale);
    const ValueId wv =
        b.random_weight(at + "v", {kv_head, head_dim, embed}, {shape.kv_heads, shape.head_dim, shape.embed}, scale);
    const ValueId wo = b.random_weight(at + "o", {embed, kv_head, group, head_dim},
                                       {shape.embed, shape.kv_heads, shape.group, shape.head_dim}, scale);
    const int cache = b.cache(at + "kv", key, pos, {kv_head, head_dim}, model.position, model.slots, model.sequence);
    const CacheRecord record = b.graph.caches[static_cast<size_t>(cache)];

    // Queries and keys are turned by their positions, so that order matters.
    Region query = b.contraction(x, wq, {embed});
    query.rotation =
        Rotation{head_dim, RopePairs::interleaved, static_cast<int>(query.operands.size()), nullptr, 100, 1};
    query.operands.push_back(b.whole(model.position));
    const ValueId q = b.step(StepKind::contract, at + "query", std::move(query));
    Region keys = b.contraction(x, wk, {embed});
    keys.rotation = Rotation{head_dim, RopePairs::interleaved, static_cast<int>(keys.operands.size()), nullptr, 100, 1};
    keys.operands.push_back(b.whole(model.position));
    b.graph.steps.push_back(
        {StepKind::append, at + "append", {std::move(keys), b.contraction(x, wv, {embed})}, record.fields, cache});

    Region attention;
    attention.operands = {b.whole(q), b.whole(record.fields[0]), b.whole(record.fields[1]), b.whole(record.positions),
                          b.whole(model.position)};
    attention.lhs.push_back({b.graph.values[q].axes, kNoAxis, {}, load_only(0)});
    attention.contractions.push_back({0, 1, {head_dim}});
    attention.body.axes = {pos, kv_head, group, key};
    ScalarBuilder s;
    attention.body.program = s.finish(where(s.load(3, Element::i32) <= s.load(4, Element::i32),
                                            s.contraction(0) * (1.0f / std::sqrt(static_cast<float>(shape.head_dim))),
                                            s.constant(-std::numeric_limits<float>::infinity())));
    attention.attention = KeyAttention{key, 2};
    attention.axes = {pos, kv_head, group, head_dim};
    attention.attention->statistics = shape.statistics;
    const ValueId a = b.step(StepKind::attention, at + "attention", std::move(attention));
    if (shape.statistics) {
      for (const std::string_view name : kStatistics) {
        b.graph.steps.back().outputs.push_back(b.value(at + std::string(name), {pos, kv_head, group}));
      }
    }

    Region out = b.contraction(a, wo, {kv_head, group, head_dim});
    ScalarBuilder o;
    out.body.program = o.finish(o.contraction(0) + o.load(static_cast<int>(out.operands.size())));
    out.operands.push_back(b.whole(x));
    x = b.step(StepKind::contract, at + "out", std::move(out));
  }
  const ValueId last = b.gather("last_rows", x, model.last);
  const ValueId output = b.random_weight("output", {vocab, embed}, {shape.vocab, shape.embed});
  model.logits = b.contract("logits", last, output, {embed});
  model.graph = b.build({model.logits});
  model.pos_axis = pos;
  model.rows_axis = rows;
  model.vocab = shape.vocab;
  model.context_length = 256;
  return model;
}

}  // namespace weft::test
