// Gemma 3 (arXiv:2503.19786): Gemma 2 with norms of each head's queries and keys instead of capped scores, and windows
// in five layers of six, whose rotary base is smaller. Text alone.
#pragma once

#include "models/gemma2.h"

namespace weft::gemma3 {

inline const ModelFamily family = {
    .model_types = {"gemma3_text"},
    .keys = {{"rope.freq_base", {"rope_parameters.full_attention.rope_theta"}},
             {"rope.freq_base_swa", {"rope_local_base_freq", "rope_parameters.sliding_attention.rope_theta"}},
             {"rope.scaling.type", {"rope_parameters.full_attention.rope_type"}},
             {"rope.scaling.factor", {"rope_parameters.full_attention.factor"}},
             {"final_logit_softcapping", {"final_logit_softcapping"}}},
    .assumed = {{"num_hidden_layers", int64_t{26}},
                {"hidden_size", int64_t{2304}},
                {"intermediate_size", int64_t{9216}},
                {"num_attention_heads", int64_t{8}},
                {"num_key_value_heads", int64_t{4}},
                {"head_dim", int64_t{256}},
                {"max_position_embeddings", int64_t{131072}},
                {"rms_norm_eps", 1e-6},
                {"rope_theta", 1e6},
                {"tie_word_embeddings", true},
                {"sliding_window", int64_t{4096}},
                {"query_pre_attn_scalar", int64_t{256}}},
};

inline void adapt(const ModelConfig& config, DecoderOptions& options) {
  gemma2::adapt_common(config, options, 62);
  RopeOptions local = *options.layers.front().rope;
  local.base = config.number("rope.freq_base_swa", 10000.0f);
  local.frequencies = rope_frequencies(local.base, 2 * static_cast<int>(local.frequencies.size()));
  for (AttentionOptions& layer : options.layers) {
    if (layer.window > 0) layer.rope = local;
  }
}

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  DecoderTraits traits = gemma2::traits(6, adapt);
  traits.head_norms = true;
  return load_decoder(ModelConfig(file), traits);
}

}  // namespace weft::gemma3
