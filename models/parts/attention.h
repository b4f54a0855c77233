// Grouped-query attention with rotary positions (Ainslie et al. 2023, arXiv:2305.13245), over a paged cache; with
// biases, a sliding window and capped scores where a model has them.
#pragma once

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/files/model_config.h"
#include "runtime/files/weight_loader.h"

namespace weft {

using Stream = Value<f32, Pos, Embed>;  // the residual stream
using KvCache = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;

// What the parts of a decoder take from a model's files besides their weights.
struct PartOptions {
  float eps = 0;          // of all norms
  float norm_offset = 0;  // Hugging Face's files hold the weights of norms less this; GGUF's hold them whole
  bool qkv_biases = false, output_bias = false;  // whether they must exist
  int64_t rotated_rows = 0;                      // rows of a head that GGUF's files reorder; 0: none
};

// The options of one layer.
struct AttentionOptions {
  float scale;         // factor of the scores
  float cap = 0;       // cap * tanh(score / cap); 0: none
  int64_t window = 0;  // how far a query sees back, including itself; 0: everything
  RopeOptions rope;
};

// x W + b, where the file has a b.
template <class Sum, class Bias>
Sum biased(const Sum& sum, const Bias& bias) {
  return bias.is_loaded() ? sum + bias : sum;
}

// cap * tanh(x / cap), where there is a cap.
template <class X>
X capped(const X& x, float cap) {
  return cap > 0 ? X(cap * tanh(x * (1 / cap))) : x;
}

// softmax(scores of what each query may see) V, over the cached keys and values.
auto attend(const auto& q, const auto& K, const auto& V, const AttentionOptions& o, const Batch& batch) {
  auto visible = K.pos() <= batch.pos;
  if (o.window > 0) visible = visible && batch.pos - K.pos() < static_cast<int>(o.window);
  auto score = where(visible, capped(contract<HeadDim>(q, K) * o.scale, o.cap), -inf);
  return contract<Key>(softmax<Key>(score), V);
}

struct Attention {
  Weight<Embed> norm;
  Weight<KvHead, Group, HeadDim, Embed> wq;
  Weight<KvHead, HeadDim, Embed> wk, wv;
  Weight<Embed, KvHead, Group, HeadDim> wo;
  Weight<KvHead, Group, HeadDim> bq;
  Weight<KvHead, HeadDim> bk, bv;
  Weight<Embed> bo;
  PartOptions part;
  static constexpr const char* kName = "attn_";  // of its steps

  static TensorName norm_after(const TensorNames& in) {
    return in("post_attention_norm.weight", "post_attention_layernorm.weight");
  }

  void load(WeightLoader& loader, const TensorNames& in, const ModelConfig&, const PartOptions& options) {
    part = options;
    const auto q = in("attn_q", "self_attn.q_proj"), k = in("attn_k", "self_attn.k_proj");
    const auto v = in("attn_v", "self_attn.v_proj"), qkv = in("attn_qkv", "self_attn.qkv_proj");
    const auto load_qkv = [&](const char* kind, auto& a, auto& b, auto& c) {
      loader.load_parts(qkv + kind,
                        {loader.part(a, q + kind, {.rotated_rows = part.rotated_rows}),
                         loader.part(b, k + kind, {.rotated_rows = part.rotated_rows}), loader.part(c, v + kind)});
    };
    loader.load(norm, in("attn_norm.weight", "input_layernorm.weight"), {.offset = part.norm_offset});
    load_qkv(".weight", wq, wk, wv);
    if (part.qkv_biases || loader.has(q + ".bias") || loader.has(qkv + ".bias")) load_qkv(".bias", bq, bk, bv);
    loader.load(wo, in("attn_output.weight", "self_attn.o_proj.weight"));
    loader.load_optional(bo, in("attn_output.bias", "self_attn.o_proj.bias"), part.output_bias);
    loader.ignore(in("attn_rot_embd.weight", "self_attn.rotary_emb.inv_freq"));  // derived from the configuration
  }

  // The term added to the residual stream.
  auto output(const std::string& at, const Stream& x, const AttentionOptions& o, const Batch& batch,
              KvCache cache) const {
    auto h = materialize(rms_norm<Embed>(x, norm, part.eps), at + "attn_norm");
    auto q = materialize(rope<HeadDim>(biased(contract<Embed>(h, wq), bq), batch.pos, o.rope), at + "q");
    auto [K, V] = materialize(append(cache, rope<HeadDim>(biased(contract<Embed>(h, wk), bk), batch.pos, o.rope),
                                     biased(contract<Embed>(h, wv), bv)),
                              at + "kv");
    auto a = materialize(attend(q, K, V, o, batch), at + "attn");
    return biased(contract<KvHead, Group, HeadDim>(a, wo), bo);
  }
};

}  // namespace weft
