// The trunk of decoders: embedding, layers of attention and a feed-forward network, norm, output. A family says how it
// differs by traits, which are known before its files are read, and by options, which it may change after that; where
// neither is enough, by parts of its own (models/parts/layer.h).
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "models/parts/attention.h"
#include "models/parts/feed_forward.h"
#include "runtime/files/model_family.h"

namespace weft {

// Hugging Face's names of tensors, without ".weight" and ".bias", and without the prefixes that the family declares
// (ModelFamily). GGUF's are llama.cpp's, the same in all families.
struct DecoderNames {
  // Outside of layers. The output stands beside the model, so it has no prefix.
  std::string_view embedding = "model.embed_tokens", positions = {}, embedding_norm = {}, norm = "model.norm",
                   output = "lm_head";
  // Of a layer.
  std::string_view attn_norm = "input_layernorm", attn_after = {};
  std::string_view q = "self_attn.q_proj", k = "self_attn.k_proj", v = "self_attn.v_proj", o = "self_attn.o_proj";
  std::string_view qkv = "self_attn.qkv_proj", q_norm = "self_attn.q_norm", k_norm = "self_attn.k_norm";
  std::string_view ffn_norm = "post_attention_layernorm", ffn_after = {};
  std::string_view gate = "mlp.gate_proj", up = "mlp.up_proj", gate_up = "mlp.gate_up_proj", down = "mlp.down_proj";
  std::vector<std::string_view> unused = {};  // whole names of what some files have, and no computation needs
};

// A name that is empty means that the family has no such tensor: positions, embedding_norm, attn_after, ffn_after, and,
// where attention and the feed-forward network share one norm, ffn_norm.
struct DecoderTraits {
  DecoderNames names = {};
  NormKind norms = NormKind::rms;
  float norm_offset = 0;       // Hugging Face's files hold the weights of norms less this
  bool transposed = false;     // Hugging Face's files hold the matrices of layers [inputs, outputs]
  bool fused_in_gguf = false;  // GGUF's files have one matrix for Q, K and V, and one for gate and up
  bool is_rotary = true;
  RopePairs gguf_pairs = RopePairs::half_split;  // the order of the rows of Q and K in GGUF files
  bool qkv_biases = false;                       // must exist; other biases are taken where a file has them
  bool head_norms = false;                       // of queries and keys
  bool is_parallel = false;  // both halves of a layer read the stream before it (Wang & Komatsuzaki 2021, GPT-J)
  bool is_gated = true;      // the feed-forward network
  Activation activation = Activation::silu;
  std::string_view activation_key = "hidden_act";  // of config.json
  int64_t hidden_factor = 0;  // feed_forward_length, where it is not stated, as a multiple of embedding_length
  WindowRule windows = {};
  std::function<void(const ModelConfig&, DecoderOptions&)> adapt = {};
  LoadPart attention = {}, feed_forward = {};  // instead of attention_part() and feed_forward_part()
};

// What a family may change after it has been read from the files.
struct DecoderOptions {
  int64_t head_dim = 0;
  std::vector<AttentionOptions> layers;  // their number is the model's
  float embedding_scale = 1;
  float residual_scale = 1;  // of what each half of a layer adds
  float logit_scale = 1;
  float logit_cap = 0;  // cap * tanh(logit / cap), after the scale; 0: none
};

// Throws Error, naming the file, for keys and tensors that do not fit.
LanguageModel load_decoder(const ModelConfig& config, const DecoderTraits& traits = {});

}  // namespace weft
