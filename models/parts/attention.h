// Grouped-query attention with rotary positions (Ainslie et al. 2023, arXiv:2305.13245), over a paged cache; with
// biases and a sliding window where a model has them.
#pragma once

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/weight_loader.h"

namespace weft {

using Stream = Value<f32, Pos, Embed>;  // the residual stream
using KvCache = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;

struct AttentionOptions {
  float eps;    // of the norm before
  float scale;  // of scores
  RopeOptions rope;
};

// x W + b, where the file has a b.
template <class Sum, class Bias>
Sum biased(const Sum& sum, const Bias& bias) {
  return bias.is_loaded() ? sum + bias : sum;
}

struct Attention {
  Weight<Embed> norm;
  Weight<KvHead, Group, HeadDim, Embed> wq;
  Weight<KvHead, HeadDim, Embed> wk, wv;
  Weight<Embed, KvHead, Group, HeadDim> wo;
  Weight<KvHead, Group, HeadDim> bq;
  Weight<KvHead, HeadDim> bk, bv;
  Weight<Embed> bo;

  void load(WeightLoader& loader, const TensorNames& in, bool qkv_biases, bool output_bias) {
    const auto q = in("attn_q", "self_attn.q_proj"), k = in("attn_k", "self_attn.k_proj");
    const auto v = in("attn_v", "self_attn.v_proj"), qkv = in("attn_qkv", "self_attn.qkv_proj");
    loader.load(norm, in("attn_norm.weight", "input_layernorm.weight"));
    loader.load_parts(qkv + ".weight", {loader.part(wq, q + ".weight"), loader.part(wk, k + ".weight"),
                                        loader.part(wv, v + ".weight")});
    if (qkv_biases || loader.has(q + ".bias") || loader.has(qkv + ".bias")) {
      loader.load_parts(qkv + ".bias", {loader.part(bq, q + ".bias"), loader.part(bk, k + ".bias"),
                                        loader.part(bv, v + ".bias")});
    }
    loader.load(wo, in("attn_output.weight", "self_attn.o_proj.weight"));
    loader.load_optional(bo, in("attn_output.bias", "self_attn.o_proj.bias"), output_bias);
    loader.ignore(in("attn_rot_embd.weight", "self_attn.rotary_emb.inv_freq"));  // follows from the configuration
  }

  Stream apply(const Stream& x, const AttentionOptions& o, const Batch& batch, KvCache cache, int64_t window,
               const std::string& at) const {
    auto h = materialize(rms_norm<Embed>(x, norm, o.eps), at + "attn_norm");
    auto q = materialize(rope<HeadDim>(biased(contract<Embed>(h, wq), bq), batch.pos, o.rope), at + "q");
    auto [K, V] = materialize(append(cache, rope<HeadDim>(biased(contract<Embed>(h, wk), bk), batch.pos, o.rope),
                                     biased(contract<Embed>(h, wv), bv)), at + "kv");
    auto visible = K.pos() <= batch.pos;
    if (window > 0) visible = visible && batch.pos - K.pos() < static_cast<int>(window);
    auto score = where(visible, contract<HeadDim>(q, K) * o.scale, -inf);
    auto a = materialize(contract<Key>(softmax<Key>(score), V), at + "attn");
    return materialize(x + biased(contract<KvHead, Group, HeadDim>(a, wo), bo), at + "attn_out");
  }
};

}  // namespace weft
