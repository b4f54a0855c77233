// The trunk of decoders of the Llama line: embedding, layers of attention and a feed-forward network, norm, output.
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/parts/attention.h"
#include "runtime/files/model_family.h"

namespace weft {

// What a family may change after it has been read from the files.
struct DecoderOptions {
  std::vector<AttentionOptions> layers;
  float embedding_scale = 1;
  float logit_cap = 0;  // cap * tanh(logit / cap); 0: none
};

// How families differ besides their parts.
struct DecoderTraits {
  RopePairs gguf_pairs = RopePairs::half_split;  // the order of the rows of Q and K in GGUF files
  bool qkv_biases = false;
  WindowRule windows = {};
  float norm_offset = 0;  // Hugging Face's files hold the weights of norms less this
  std::function<void(const ModelConfig&, DecoderOptions&)> adapt = {};
};

// Attention: load(loader, names, config, options), output(step names, x, options, batch, cache) -> what is added to x.
// FeedForward: extents(config, loader), load(...), output(step names, x).
template <class Attention, class FeedForward>
LanguageModel load_decoder(const std::shared_ptr<const Checkpoint>& file, const DecoderTraits& traits) {
  const ModelConfig config(file);
  const int64_t heads = config.count("attention.head_count"), embed = config.count("embedding_length");
  const int64_t kv_heads = config.count("attention.head_count_kv", heads);
  const int64_t head_dim = config.count("attention.key_length", embed / heads);
  constexpr int64_t kMost = 1 << 15;  // so that no product of extents overflows before comparison with the tensors
  config.require(heads % kv_heads == 0, "attention.head_count", "must be a multiple of the KV heads");
  config.require(heads <= kMost, "attention.head_count", "is above 32768");
  config.require(head_dim >= 1 && head_dim <= kMost, "attention.key_length", "is not between 1 and 32768");
  config.require(config.count("attention.value_length", head_dim) == head_dim, "attention.value_length",
                 "differs from the keys'");

  WeightLoader loader(file);
  const TensorNames in = loader.names();
  const TensorName embeddings = in("token_embd.weight", "model.embed_tokens.weight"),
                   head = in("output.weight", "lm_head.weight");
  loader.extents<KvHead, Group, HeadDim>(kv_heads, heads / kv_heads, head_dim);
  loader.extents<Vocab, Embed>(loader.rows(embeddings), embed);
  FeedForward::extents(config, loader);
  const float eps = config.number("attention.layer_norm_rms_epsilon");
  const AttentionOptions usual{.scale = 1 / std::sqrt(static_cast<float>(head_dim)),
                               .rope = config.rope(head_dim, traits.gguf_pairs, loader)};
  DecoderOptions options{.layers = {config.layers(), usual}};
  for (size_t i = 0; const int64_t window : config.windows(traits.windows)) options.layers[i++].window = window;
  if (traits.adapt) traits.adapt(config, options);
  // Tied, but with a separate output weight: that one counts, as in Hugging Face transformers 5.
  const bool tied = config.flag("tie_word_embeddings", file->convention() == Convention::gguf && !loader.has(head)) &&
                    !file->differ(head, embeddings);
  const bool biases = config.flag("attention_bias", false);
  const PartOptions part{.eps = eps,
                         .norm_offset = traits.norm_offset,
                         .qkv_biases = traits.qkv_biases || biases,
                         .output_bias = biases,
                         .rotated_rows = traits.gguf_pairs == RopePairs::interleaved ? head_dim : 0};
  Weight<Vocab, Embed> embedding, output;
  Weight<Embed> norm;
  loader.load(embedding, embeddings);
  loader.load(norm, in("output_norm.weight", "model.norm.weight"), {.offset = traits.norm_offset});
  loader.load(output, tied ? embeddings : head), loader.ignore(head);
  std::vector<std::pair<Attention, FeedForward>> layers(options.layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].first.load(loader, loader.layer(i), config, part);
    layers[i].second.load(loader, loader.layer(i), config, part);
  }
  loader.finish();

  Graph graph;
  const Batch batch(graph);
  WindowGroups groups;
  const auto rows = at<Vocab>(embedding, batch.tokens);
  const float scale = options.embedding_scale;
  auto x = scale == 1 ? materialize(rows, "embedding") : materialize(rows * scale, "embedding");
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string name = "blk." + std::to_string(i) + ".";
    const auto& [attention, feed_forward] = layers[i];
    const KvCache cache(graph, batch, name + "kv", groups.of(options.layers[i].window));
    cache.name_fields({name + "k", name + "v"});
    x = materialize(x + attention.output(name, x, options.layers[i], batch, cache), name + "attn_out");
    x = materialize(x + feed_forward.output(name, x), name + "ffn_out");
  }
  auto last = materialize(rms_norm<Embed>(at<Pos>(x, batch.last), norm, eps), "output_norm");
  auto logits = materialize(capped(contract<Embed>(last, output), options.logit_cap), "logits");
  LanguageModel model = config.model(graph, batch, logits, groups.windows(), &loader);
  return model.result("hidden", last), model;
}

}  // namespace weft
