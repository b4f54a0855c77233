// The trunk of decoders of the Llama line: embedding, layers of attention and a feed-forward network, norm, output.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "models/parts/attention.h"
#include "runtime/model_config.h"

namespace weft {

// How architectures differ beside their feed-forward networks.
struct DecoderTraits {
  RopePairs gguf_pairs;   // in what order GGUF files have the rows of Q and K
  bool qkv_biases = false;
  bool windows = false;   // the options of sliding windows are its own
  bool window_switches = false;  // so are use_sliding_window and max_window_layers
};

// FeedForward: extents(config, loader), load(loader, names, config), apply(x, eps, name) -> x + network(norm(x)).
template <class FeedForward>
LanguageModel load_decoder(const std::shared_ptr<const Checkpoint>& file, const DecoderTraits& traits) {
  const ModelConfig config(file);
  const int64_t heads = config.count("attention.head_count"), embed = config.count("embedding_length");
  const int64_t kv_heads = config.count("attention.head_count_kv", heads);
  const int64_t head_dim = config.count("attention.key_length", embed / heads);
  constexpr int64_t kMost = 1 << 15;  // so that no product of extents overflows before they are compared with tensors
  config.require(heads % kv_heads == 0, "attention.head_count", "must be a multiple of the KV heads");
  config.require(heads <= kMost, "attention.head_count", "is above 32768");
  config.require(head_dim >= 1 && head_dim <= kMost, "attention.key_length", "is not between 1 and 32768");
  config.require(config.count("attention.value_length", head_dim) == head_dim, "attention.value_length", "differs from the keys'");
  config.require(config.text("hidden_act", "silu") == "silu", "hidden_act", "is not silu");

  WeightLoader loader(file);
  const TensorNames in = loader.names();
  const std::string embeddings = in("token_embd.weight", "model.embed_tokens.weight"), head = in("output.weight", "lm_head.weight");
  loader.extents<KvHead, Group, HeadDim>(kv_heads, heads / kv_heads, head_dim);
  loader.extents<Vocab, Embed>(loader.rows(embeddings), embed);
  FeedForward::extents(config, loader);
  const AttentionOptions options{config.number("attention.layer_norm_rms_epsilon"), 1 / std::sqrt(static_cast<float>(head_dim)),
                        config.rope(head_dim, traits.gguf_pairs, loader)};
  const std::vector<int64_t> windows =
      traits.windows ? config.windows(traits.window_switches) : std::vector<int64_t>(config.layers(), 0);
  // Tied, with an output of its own all the same: that one counts, as in Hugging Face transformers 5.
  const bool tied = config.flag("tie_word_embeddings", file->convention() == Convention::gguf && !loader.has(head)) &&
                    !file->differ(head, embeddings);
  const bool biases = config.flag("attention_bias", false);

  Weight<Vocab, Embed> embedding, output;
  Weight<Embed> norm;
  loader.load(embedding, embeddings), loader.load(norm, in("output_norm.weight", "model.norm.weight"));
  loader.load(output, tied ? embeddings : head), loader.ignore(head);
  std::vector<std::pair<Attention, FeedForward>> layers(windows.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].first.load(loader, loader.layer(i), traits.qkv_biases || biases, biases);
    layers[i].second.load(loader, loader.layer(i), config);
  }
  loader.finish();

  Graph graph;
  const Batch batch(graph);
  WindowGroups groups;
  auto x = materialize(at<Vocab>(embedding, batch.tokens), "embedding");
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string name = "blk." + std::to_string(i) + ".";
    const KvCache cache(graph, batch, name + "kv", groups.of(windows[i]));
    cache.name_fields({name + "k", name + "v"});
    x = layers[i].first.apply(x, options, batch, cache, windows[i], name);
    x = layers[i].second.apply(x, options.eps, name);
  }
  auto last = materialize(rms_norm<Embed>(at<Pos>(x, batch.last), norm, options.eps), "output_norm");
  return config.model(graph, batch, materialize(contract<Embed>(last, output), "logits"), groups.windows());
}

}  // namespace weft
