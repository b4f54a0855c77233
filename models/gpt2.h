// GPT-2 (Radford et al. 2019): learned positions, layer norms and biases, a feed-forward network of two matrices with
// GELU. Hugging Face's files hold its matrices as Conv1D does, [inputs, outputs], and Q, K and V in one.
#pragma once

#include "models/parts/decoder.h"

namespace weft::gpt2 {

inline const ModelFamily family = {
    .keys = {{"block_count", {"n_layer"}},
             {"context_length", {"n_positions"}},
             {"embedding_length", {"n_embd"}},
             {"feed_forward_length", {"n_inner"}},
             {"attention.head_count", {"n_head"}}},
    // What n_positions was called; training; and heads other than that for logits.
    .ignored = {"n_ctx", "attn_pdrop", "embd_pdrop", "resid_pdrop", "summary_activation", "summary_first_dropout",
                "summary_proj_to_labels", "summary_type", "summary_use_proj"},
    .prefixes = {"transformer."},
    .layer_prefixes = {"h."},
    .assumed = {{"n_layer", int64_t{12}},
                {"n_positions", int64_t{1024}},
                {"n_embd", int64_t{768}},
                {"n_head", int64_t{12}},
                {"layer_norm_epsilon", 1e-5},
                {"activation_function", std::string("gelu_new")},
                {"tie_word_embeddings", true}},
    .pre_tokenizer = "gpt-2",
};

// Scores are scaled by the root of the heads' width, unless a configuration says otherwise.
inline void adapt(const ModelConfig& config, DecoderOptions& options) {
  const bool is_scaled = config.flag("scale_attn_weights", true);
  const bool by_layer = config.flag("scale_attn_by_inverse_layer_idx", false);
  const bool converts = config.checkpoint()->purpose() == Checkpoint::Purpose::convert;
  config.require(!converts || is_scaled, "scale_attn_weights", "false: GGUF cannot express it");
  config.require(!converts || !by_layer, "scale_attn_by_inverse_layer_idx", "true: GGUF cannot express it");
  for (size_t i = 0; i < options.layers.size(); ++i) {
    if (!is_scaled) options.layers[i].scale = 1;
    if (by_layer) options.layers[i].scale /= static_cast<float>(i + 1);
  }
}

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.names = {.embedding = "wte",
                                                    .positions = "wpe",
                                                    .norm = "ln_f",
                                                    .attn_norm = "ln_1",
                                                    .o = "attn.c_proj",
                                                    .qkv = "attn.c_attn",
                                                    .ffn_norm = "ln_2",
                                                    .up = "mlp.c_fc",
                                                    .down = "mlp.c_proj",
                                                    .unused = {"attn.bias", "attn.masked_bias"}},
                                          .norms = NormKind::layer,
                                          .transposed = true,
                                          .fused_in_gguf = true,
                                          .is_rotary = false,
                                          .qkv_biases = true,
                                          .is_gated = false,
                                          .activation = Activation::gelu_tanh,
                                          .activation_key = "activation_function",
                                          .hidden_factor = 4,
                                          .adapt = adapt});
}

}  // namespace weft::gpt2
