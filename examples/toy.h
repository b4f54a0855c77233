// An architecture in one file. Put it into models/ (or name it in -DWEFT_EXTRA_MODELS=path/to/toy.h) and every command
// of `weft` runs GGUF files whose general.architecture is "toy": the registration is generated from the file's name.
//
// It differs from Llama wherever it can: layer norms with biases, ALiBi instead of rotary positions
// (arXiv:2108.12409), a sliding window, and a feed-forward network of two matrices with GELU.
#pragma once

#include <cmath>
#include <vector>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/files/model_config.h"
#include "runtime/files/weight_loader.h"

namespace weft::toy {

struct Layer {
  Weight<Embed> norm, norm_bias, ffn_norm, ffn_norm_bias;
  Weight<KvHead, Group, HeadDim, Embed> wq;
  Weight<KvHead, HeadDim, Embed> wk, wv;
  Weight<Embed, KvHead, Group, HeadDim> wo;
  Weight<Hidden, Embed> up;
  Weight<Embed, Hidden> down;
};
using KvCache = Cache<ScoreField<Key, KvHead, HeadDim>, ValueField<Key, KvHead, HeadDim>>;

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  // Hyperparameters: keys are "toy.block_count", "toy.embedding_length" and so on.
  const ModelConfig config(file);
  const int64_t heads = config.count("attention.head_count"), kv_heads = config.count("attention.head_count_kv");
  const int64_t embed = config.count("embedding_length"), window = config.count("attention.sliding_window");
  config.require(heads % kv_heads == 0, "attention.head_count_kv", "must divide the number of heads");
  const float eps = config.number("attention.layer_norm_epsilon");
  const float scale = 1 / std::sqrt(static_cast<float>(embed / heads));

  // Weights: every axis needs an extent; finish() lists all that are missing, mis-shaped or left over.
  WeightLoader loader(file);
  loader.extents<KvHead, Group, HeadDim>(kv_heads, heads / kv_heads, embed / heads);
  loader.extents<Vocab, Embed, Hidden>(loader.rows("token_embd.weight"), embed, config.count("feed_forward_length"));
  Weight<Vocab, Embed> embedding;
  loader.load(embedding, "token_embd.weight");
  std::vector<Layer> layers(config.layers());
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string at = "blk." + std::to_string(i) + ".";
    Layer& w = layers[i];
    loader.load(w.norm, at + "attn_norm.weight"), loader.load(w.norm_bias, at + "attn_norm.bias");
    loader.load(w.ffn_norm, at + "ffn_norm.weight"), loader.load(w.ffn_norm_bias, at + "ffn_norm.bias");
    loader.load(w.wq, at + "attn_q.weight"), loader.load(w.wk, at + "attn_k.weight");
    loader.load(w.wv, at + "attn_v.weight"), loader.load(w.wo, at + "attn_output.weight");
    loader.load(w.up, at + "ffn_up.weight"), loader.load(w.down, at + "ffn_down.weight");
  }
  loader.finish();

  Tensor<f32, KvHead, Group> slopes({kv_heads, heads / kv_heads});
  for (size_t head = 0; head < slopes.size(); ++head) {
    slopes.values()[head] = std::exp2(-8.0f * static_cast<float>(head + 1) / static_cast<float>(heads));
  }

  // The graph. Each materialize is one step; `weft explain` lists them.
  Graph graph;
  const Batch batch(graph);
  auto x = materialize(at<Vocab>(embedding, batch.tokens));
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& w = layers[i];
    KvCache cache(graph, batch, "blk." + std::to_string(i) + ".kv");
    auto h = materialize(layer_norm<Embed>(x, w.norm, w.norm_bias, eps));
    auto q = materialize(contract<Embed>(h, w.wq));
    auto [K, V] = materialize(append(cache, contract<Embed>(h, w.wk), contract<Embed>(h, w.wv)));
    const auto distance = batch.pos - K.pos();
    const auto score = contract<HeadDim>(q, K) * scale - slopes * cast<f32>(distance);
    const auto seen = distance >= 0 && distance < static_cast<int>(window);
    auto a = materialize(contract<Key>(softmax<Key>(where(seen, score, -inf)), V));
    x = materialize(x + contract<KvHead, Group, HeadDim>(a, w.wo));
    auto f = materialize(layer_norm<Embed>(x, w.ffn_norm, w.ffn_norm_bias, eps));
    x = materialize(x + contract<Hidden>(materialize(gelu_tanh(contract<Embed>(f, w.up))), w.down));
  }
  return config.model(graph, batch, materialize(contract<Embed>(materialize(at<Pos>(x, batch.last)), embedding)));
}

}  // namespace weft::toy
