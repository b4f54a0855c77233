#include "models/parts/decoder.h"

#include <cmath>
#include <string>
#include <utility>

namespace weft {
namespace {

struct Place : axis<"place"> {};  // of a token: a row of learned positions

struct Layer {
  Norm<Embed> attn_norm, attn_after, ffn_norm, ffn_after;
  Part attention, feed_forward;
};

// Sets the extents of heads; returns the options of a layer that has nothing special.
AttentionOptions set_heads(const ModelConfig& config, const DecoderTraits& traits, WeightLoader& loader) {
  const int64_t heads = config.count("attention.head_count"), embed = config.count("embedding_length");
  const int64_t kv_heads = config.count("attention.head_count_kv", heads);
  const int64_t head_dim = config.count("attention.key_length", embed / heads);
  constexpr int64_t kMost = 1 << 15;  // so that no product of extents overflows before comparison with the tensors
  config.require(heads % kv_heads == 0, "attention.head_count", "must be a multiple of the KV heads");
  config.require(heads <= kMost, "attention.head_count", "is above 32768");
  config.require(head_dim >= 1 && head_dim <= kMost, "attention.key_length", "is not between 1 and 32768");
  config.require(config.count("attention.value_length", head_dim) == head_dim, "attention.value_length",
                 "differs from the keys'");
  loader.extents<KvHead, Group, HeadDim>(kv_heads, heads / kv_heads, head_dim);
  AttentionOptions options{.scale = 1 / std::sqrt(static_cast<float>(head_dim))};
  if (traits.is_rotary) options.rope = config.rope(head_dim, traits.gguf_pairs, loader);
  return options;
}

Layer load_layer(const LayerFiles& files, const LoadPart& attention, const LoadPart& feed_forward) {
  const DecoderNames& names = files.traits.names;
  Layer layer;
  const auto load = [&](Norm<Embed>& norm, const char* gguf, std::string_view name) {
    if (!name.empty()) norm.load(files.loader, files.in(gguf, name), files.norms);
  };
  load(layer.attn_norm, "attn_norm", names.attn_norm);
  layer.attention = attention(files);
  load(layer.attn_after, "post_attention_norm", names.attn_after);
  load(layer.ffn_norm, "ffn_norm", names.ffn_norm);
  layer.feed_forward = feed_forward(files);
  load(layer.ffn_after, "post_ffw_norm", names.ffn_after);
  for (const std::string_view unused : names.unused) files.loader.ignore(files.in(unused, unused));
  return layer;
}

Stream record_layer(const Layer& layer, const LayerGraph& in, const Stream& x, const DecoderTraits& traits,
                    float scale) {
  const auto residual = [&](const Stream& stream, const char* part, const Norm<Embed>& after) {
    return Residual(stream, in.at + part, scale, after.is_loaded() ? &after : nullptr);
  };
  const Stream h = materialize(layer.attn_norm(x), in.at + "attn_norm");
  const Stream y = layer.attention(in, h, residual(x, "attn_", layer.attn_after));
  const bool shares = !layer.ffn_norm.is_loaded();
  const Stream f = shares ? h : materialize(layer.ffn_norm(traits.is_parallel ? x : y), in.at + "ffn_norm");
  return layer.feed_forward(in, f, residual(y, "ffn_", layer.ffn_after));
}

}  // namespace

LanguageModel load_decoder(const ModelConfig& config, const DecoderTraits& traits) {
  const std::shared_ptr<const Checkpoint>& file = config.checkpoint();
  const DecoderNames& names = traits.names;
  WeightLoader loader(file);
  const TensorNames in = loader.names();
  const auto named = [&](const char* gguf, std::string_view name) { return in(gguf, name) + ".weight"; };
  const TensorName embeddings = named("token_embd", names.embedding),
                   head = loader.head_names()("output", names.output) + ".weight";
  AttentionOptions usual = set_heads(config, traits, loader);
  const int64_t embed = config.count("embedding_length");
  loader.extents<Vocab, Embed>(loader.rows(embeddings), embed);
  if (!traits.feed_forward) {
    const auto stated = traits.hidden_factor == 0 ? std::nullopt : std::optional(traits.hidden_factor * embed);
    loader.extents<Hidden>(config.count("feed_forward_length", stated));
  }
  check_activation(config, traits.activation_key, traits.activation);
  const bool is_rms = traits.norms == NormKind::rms;
  const NormOptions norms{
      .kind = traits.norms,
      .eps = config.number(is_rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
      .offset = traits.norm_offset};
  DecoderOptions options;
  options.head_dim = config.count("attention.key_length", embed / config.count("attention.head_count"));
  options.layers.assign(config.layers(), usual);
  const std::vector<int64_t> windows = config.windows(traits.windows);
  for (size_t i = 0; i < windows.size(); ++i) options.layers[i].window = windows[i];
  if (traits.adapt) traits.adapt(config, options);
  // Tied, but with a separate output weight: that one counts, as in Hugging Face transformers 5.
  const bool tied = config.flag("tie_word_embeddings", file->convention() == Convention::gguf && !loader.has(head)) &&
                    !file->differ(head, embeddings);

  Weight<Vocab, Embed> embedding, output;
  Weight<Place, Embed> positions;
  Norm<Embed> embedding_norm, norm;
  loader.load(embedding, embeddings);
  if (!names.positions.empty()) {
    loader.extents<Place>(config.count("context_length"));
    loader.load(positions, named("position_embd", names.positions));
  }
  if (!names.embedding_norm.empty()) embedding_norm.load(loader, in("token_embd_norm", names.embedding_norm), norms);
  norm.load(loader, in("output_norm", names.norm), norms);
  loader.load(output, tied ? embeddings : head), loader.ignore(head);
  const LoadPart attention = traits.attention ? traits.attention : attention_part();
  const LoadPart feed_forward = traits.feed_forward ? traits.feed_forward : feed_forward_part();
  std::vector<Layer> layers;
  for (size_t i = 0; i < options.layers.size(); ++i) {
    layers.push_back(load_layer({config, loader, loader.layer(i), i, traits, options, norms}, attention, feed_forward));
  }
  loader.finish();

  Graph graph;
  const Batch batch(graph);
  WindowGroups groups;
  const auto embed_tokens = [&](const auto& rows) -> Stream {
    if (!positions.is_loaded()) return materialize(rows, "embedding");
    return materialize(rows + at<Place>(positions, batch.pos), "embedding");
  };
  const auto rows = at<Vocab>(embedding, batch.tokens);
  Stream x = options.embedding_scale == 1 ? embed_tokens(rows) : embed_tokens(rows * options.embedding_scale);
  if (embedding_norm.is_loaded()) x = materialize(embedding_norm(x), "embedding_norm");
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerGraph to{graph, batch, groups, i, "blk." + std::to_string(i) + "."};
    x = record_layer(layers[i], to, x, traits, options.residual_scale);
  }
  auto last = materialize(norm(at<Pos>(x, batch.last)), "output_norm");
  auto sums = contract<Embed>(last, output);
  if (options.logit_scale != 1) sums = sums * options.logit_scale;
  auto logits = materialize(capped(sums, options.logit_cap), "logits");
  LanguageModel model = config.model(graph, batch, logits, groups.windows(), &loader);
  model.result("hidden", last);
  return model;
}

}  // namespace weft
