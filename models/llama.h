// Llama (Touvron et al. 2023, arXiv:2302.13971; grouped heads: arXiv:2307.09288), as GGUF files hold it: the rows of
// Q and K are ordered so that rotary pairs are neighbours.
#pragma once

#include <cmath>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/model_config.h"
#include "runtime/weight_loader.h"

namespace weft::llama {

struct Layer {
  Weight<Embed> attn_norm, ffn_norm;
  Weight<KvHead, Group, HeadDim, Embed> wq;
  Weight<KvHead, HeadDim, Embed> wk, wv;
  Weight<Embed, KvHead, Group, HeadDim> wo;
  Weight<Hidden, Embed> gate, up;
  Weight<Embed, Hidden> down;
};
using KvCache = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;

struct Options { float eps, scale; RopeOptions rope; };
inline Value<f32, Pos, Embed> block(Value<f32, Pos, Embed> x, const Layer& w, const Options& o, const Batch& batch,
                                    KvCache cache) {
  auto h = materialize(rms_norm<Embed>(x, w.attn_norm, o.eps));
  auto q = materialize(rope<HeadDim>(contract<Embed>(h, w.wq), batch.pos, o.rope));
  auto [K, V] = materialize(append(cache, rope<HeadDim>(contract<Embed>(h, w.wk), batch.pos, o.rope),
                                   contract<Embed>(h, w.wv)));
  auto score = where(K.pos() <= batch.pos, contract<HeadDim>(q, K) * o.scale, -inf);
  auto a = materialize(contract<Key>(softmax<Key>(score), V));
  x = materialize(x + contract<KvHead, Group, HeadDim>(a, w.wo));
  auto f = materialize(rms_norm<Embed>(x, w.ffn_norm, o.eps));
  auto g = materialize(silu(contract<Embed>(f, w.gate)) * contract<Embed>(f, w.up));
  return materialize(x + contract<Hidden>(g, w.down));
}

inline LanguageModel load(const std::shared_ptr<const GgufFile>& file) {
  ModelConfig config(file);
  const int64_t heads = config.count("attention.head_count"), embed = config.count("embedding_length");
  const int64_t kv_heads = config.count("attention.head_count_kv", heads);
  const int64_t head_dim = config.count("attention.key_length", embed / heads);
  const int rotated = static_cast<int>(config.count("rope.dimension_count", head_dim));
  config.require(heads % kv_heads == 0 && heads <= embed && head_dim <= embed, "attention.head_count",
                 "must be a multiple of the KV heads and fit the embedding");
  config.require(rotated % 2 == 0 && rotated <= head_dim, "rope.dimension_count", "must be even and at most the head");
  config.without({"attention.sliding_window", "expert_count", "rope.scaling.type", "rope.scaling.factor"});

  WeightLoader loader(file);
  loader.extents<KvHead, Group, HeadDim>(kv_heads, heads / kv_heads, head_dim);
  loader.extents<Vocab, Embed, Hidden>(config.rows("token_embd.weight"), embed, config.count("feed_forward_length"));
  const float base = config.number("rope.freq_base", 10000.0f);
  const Options options{config.number("attention.layer_norm_rms_epsilon"), 1 / std::sqrt(static_cast<float>(head_dim)),
                        {RopePairs::interleaved, base,
                         rope_frequencies(base, rotated, loader.vector("rope_freqs.weight", rotated / 2))}};
  Weight<Vocab, Embed> embedding, output;
  Weight<Embed> norm;
  loader.load(embedding, "token_embd.weight"), loader.load(norm, "output_norm.weight");
  loader.load(output, loader.has("output.weight") ? "output.weight" : "token_embd.weight");
  std::vector<Layer> layers(config.layers());
  for (size_t i = 0; i < layers.size(); ++i) {
    Layer& w = layers[i];
    const auto name = [i](const char* part) { return "blk." + std::to_string(i) + "." + part + ".weight"; };
    loader.load(w.attn_norm, name("attn_norm")), loader.load(w.wq, name("attn_q")), loader.load(w.wk, name("attn_k"));
    loader.load(w.wv, name("attn_v")), loader.load(w.wo, name("attn_output")), loader.load(w.ffn_norm, name("ffn_norm"));
    loader.load(w.gate, name("ffn_gate")), loader.load(w.up, name("ffn_up")), loader.load(w.down, name("ffn_down"));
  }
  loader.finish();

  Graph graph;
  const Batch batch(graph);
  auto x = materialize(at<Vocab>(embedding, batch.tokens), "embedding");
  for (const Layer& w : layers) x = block(x, w, options, batch, KvCache(graph, batch, w.wk.storage()->name + ".kv"));
  auto last = materialize(rms_norm<Embed>(at<Pos>(x, batch.last), norm, options.eps), "output_norm");
  return config.model(graph, batch, materialize(contract<Embed>(last, output), "logits"));
}

}  // namespace weft::llama
