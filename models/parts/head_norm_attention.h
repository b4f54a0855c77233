// Attention that normalizes the queries and keys of every head before it rotates them (Dehghani et al. 2023,
// arXiv:2302.05442).
#pragma once

#include "models/parts/attention.h"

namespace weft {

struct HeadNormAttention : Attention {
  Weight<HeadDim> q_norm, k_norm;

  void load(WeightLoader& loader, const TensorNames& in, const ModelConfig& config, const PartOptions& options) {
    Attention::load(loader, in, config, options);
    loader.load(q_norm, in("attn_q_norm.weight", "self_attn.q_norm.weight"), {.offset = part.norm_offset});
    loader.load(k_norm, in("attn_k_norm.weight", "self_attn.k_norm.weight"), {.offset = part.norm_offset});
  }

  auto output(const std::string& at, const Stream& x, const AttentionOptions& o, const Batch& batch,
              KvCache cache) const {
    auto h = materialize(rms_norm<Embed>(x, norm, part.eps), at + "attn_norm");
    auto q_heads = rms_norm<HeadDim>(biased(contract<Embed>(h, wq), bq), q_norm, part.eps);
    auto k_heads = rms_norm<HeadDim>(biased(contract<Embed>(h, wk), bk), k_norm, part.eps);
    auto q = materialize(rope<HeadDim>(q_heads, batch.pos, o.rope), at + "q");
    auto k = rope<HeadDim>(k_heads, batch.pos, o.rope);
    auto [K, V] = materialize(append(cache, k, biased(contract<Embed>(h, wv), bv)), at + "kv");
    auto a = materialize(attend(q, K, V, o, batch), at + "attn");
    return biased(contract<KvHead, Group, HeadDim>(a, wo), bo);
  }
};

}  // namespace weft
