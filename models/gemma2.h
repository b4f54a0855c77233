// Gemma 2 (arXiv:2408.00118): norms by 1 + weight before and after each half of a layer, GEGLU, embeddings scaled by
// the root of their width, capped scores and logits, and a window in every other layer.
#pragma once

#include "models/parts/decoder.h"

namespace weft::gemma2 {

inline const ModelFamily family = {
    .keys = {{"attn_logit_softcapping", {"attn_logit_softcapping"}},
             {"final_logit_softcapping", {"final_logit_softcapping"}}},
    .assumed = {{"num_hidden_layers", int64_t{26}},
                {"hidden_size", int64_t{2304}},
                {"intermediate_size", int64_t{9216}},
                {"num_attention_heads", int64_t{8}},
                {"num_key_value_heads", int64_t{4}},
                {"head_dim", int64_t{256}},
                {"max_position_embeddings", int64_t{8192}},
                {"rms_norm_eps", 1e-6},
                {"tie_word_embeddings", true},
                {"sliding_window", int64_t{4096}},
                {"query_pre_attn_scalar", int64_t{256}},
                {"attn_logit_softcapping", 50.0},
                {"final_logit_softcapping", 30.0}},
    .gguf_assumed = {{"attention.sliding_window", int64_t{4096}},
                     {"attn_logit_softcapping", 50.0},
                     {"final_logit_softcapping", 30.0}},
};

// 0 where it is absent or null.
inline float optional(const ModelConfig& config, std::string_view key) {
  return config.has(key) ? config.number(key) : 0;
}

// The scale of scores: 1 over the root of query_pre_attn_scalar. llama.cpp's GGUF files lack it: it is head_dim
// there, except for the largest model, where it is embed / heads.
inline float score_scale(const ModelConfig& config, size_t layers_of_the_largest) {
  const int64_t share = config.count("embedding_length") / config.count("attention.head_count");
  const int64_t head_dim = config.count("attention.key_length", share);
  const auto by = static_cast<float>(config.layers() == layers_of_the_largest ? share : head_dim);
  return config.number("attention.scale", 1 / std::sqrt(config.number("query_pre_attn_scalar", by)));
}

// What Gemma 3 has in common.
inline void adapt_common(const ModelConfig& config, DecoderOptions& options, size_t layers_of_the_largest) {
  options.embedding_scale = std::sqrt(static_cast<float>(config.count("embedding_length")));
  options.logit_cap = optional(config, "final_logit_softcapping");
  const float scale = score_scale(config, layers_of_the_largest);
  for (AttentionOptions& layer : options.layers) layer.scale = scale;
  config.ignore({"hidden_act", "cache_implementation"});
}

// Norms before and after each half of a layer, by 1 + weight.
inline DecoderTraits traits(int64_t window_period, void (*adapt)(const ModelConfig&, DecoderOptions&)) {
  return {.names = {.attn_after = "post_attention_layernorm",
                    .ffn_norm = "pre_feedforward_layernorm",
                    .ffn_after = "post_feedforward_layernorm"},
          .norm_offset = 1,
          .activation = Activation::gelu_tanh,
          .activation_key = "hidden_activation",
          .windows = {.allowed = true, .period = window_period},
          .adapt = adapt};
}

inline void adapt(const ModelConfig& config, DecoderOptions& options) {
  adapt_common(config, options, 46);
  const float cap = optional(config, "attn_logit_softcapping");
  for (AttentionOptions& layer : options.layers) layer.cap = cap;
}

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), traits(2, adapt));
}

}  // namespace weft::gemma2
