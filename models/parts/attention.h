// Grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245) over a paged cache: projection, norm of each head's
// queries and keys, rotary positions, scores, a change of them, mask, softmax, output.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include "models/parts/layer.h"

namespace weft {

using Queries = Value<f32, Pos, KvHead, Group, HeadDim>;
using KvCache = Cache<ScoreField<Key, KvHead, HeadDim>, ValueField<Key, KvHead, HeadDim>>;
using Cached =
    decltype(materialize(append(std::declval<const KvCache&>(), std::declval<Value<f32, Pos, KvHead, HeadDim>>(),
                                std::declval<Value<f32, Pos, KvHead, HeadDim>>())));
using CachedKeys = std::tuple_element_t<0, Cached>;
using CachedValues = std::tuple_element_t<1, Cached>;
// Pos x KvHead x Group x Key: an expression, which ends in the attention step.
using Score = decltype(contract<HeadDim>(std::declval<Queries>(), std::declval<CachedKeys>()) * 1.0f);

// The options of one layer.
struct AttentionOptions {
  float scale = 1;                       // factor of the scores
  float cap = 0;                         // cap * tanh(score / cap); 0: none
  std::optional<RopeOptions> rope = {};  // none: queries and keys are not rotated
  bool is_causal = true;                 // false: a query sees all cached tokens of its sequence
  int64_t window = 0;                    // how far a query sees back, including itself; 0: everything
  // A map of the scores, after scale and cap, before the mask: a bias by distance, for one (keys.pos(), batch.pos).
  std::function<Score(const Score& score, const CachedKeys& keys, const Batch& batch)> change_score = {};
  std::optional<size_t> cache_of =
      {};  // an earlier layer, whose keys and values this one reads: it has none of its own
};

// softmax(scores of what each query may see) V: the attention step.
Queries attend(const Queries& q, const CachedKeys& keys, const CachedValues& values, const AttentionOptions& options,
               const Batch& batch, const std::string& name);

struct Attention {
  Weight<KvHead, Group, HeadDim, Embed> wq;
  Weight<KvHead, HeadDim, Embed> wk, wv;
  Weight<Embed, KvHead, Group, HeadDim> wo;
  Weight<KvHead, Group, HeadDim> bq;
  Weight<KvHead, HeadDim> bk, bv;
  Weight<Embed> bo;
  Norm<HeadDim> q_norm, k_norm;  // of each head (Dehghani et al. 2023, arXiv:2302.05442), where the family has them
  AttentionOptions options;

  void load(const LayerFiles& files);
  // The caches of the layers so far, by layer: that of this layer is added, unless it reads another's.
  Stream record(const LayerGraph& in, const Stream& h, const Residual& add, std::map<size_t, Cached>& caches) const;
};

// For a decoder: one function for all its layers, whose parts share their caches.
LoadPart attention_part();

}  // namespace weft
