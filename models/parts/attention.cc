#include "models/parts/attention.h"

#include <memory>

#include "models/parts/decoder.h"

namespace weft {
namespace {

// x W + b, with a norm of each head where there is one, and rotated where queries and keys are: what `use` makes of
// this expression.
template <class Weight, class Bias>
auto project(const Stream& h, const Weight& w, const Bias& b, const Norm<HeadDim>& norm, const AttentionOptions& o,
             const Batch& batch, const auto& use) {
  const auto rotated = [&](const auto& x) { return o.rope ? use(rope<HeadDim>(x, batch.pos, *o.rope)) : use(x); };
  const auto sum = biased(contract<Embed>(h, w), b);
  return norm.is_loaded() ? rotated(norm(sum)) : rotated(sum);
}

}  // namespace

Queries attend(const Queries& q, const CachedKeys& keys, const CachedValues& values, const AttentionOptions& options,
               const Batch& batch, const std::string& name) {
  Score score = capped(contract<HeadDim>(q, keys) * options.scale, options.cap);
  if (options.change_score) score = options.change_score(score, keys, batch);
  const auto distance = batch.pos - keys.pos();
  const auto window = static_cast<int>(options.window);
  if (options.is_causal && window > 0) {
    score = where(keys.pos() <= batch.pos && distance < window, score, -inf);
  } else if (options.is_causal) {
    score = where(keys.pos() <= batch.pos, score, -inf);
  } else if (window > 0) {
    score = where(distance < window && distance > -window, score, -inf);
  }
  return materialize(contract<Key>(softmax<Key>(score), values), name);
}

void Attention::load(const LayerFiles& files) {
  const auto& [config, loader, in, layer, traits, decoder, norms] = files;
  const DecoderNames& names = traits.names;
  options = decoder.layers.at(layer);
  const bool has_cache = !options.cache_of.has_value();
  const int64_t rotated_rows = traits.gguf_pairs == RopePairs::interleaved ? decoder.head_dim : 0;
  const auto q = in("attn_q", names.q), k = in("attn_k", names.k), v = in("attn_v", names.v);
  const auto qkv = in("attn_qkv", names.qkv);
  const auto load_qkv = [&](const char* kind, bool transposed, auto& a, auto& b, auto& c) {
    const WeightOptions turned{.transposed = transposed, .rotated_rows = rotated_rows}, plain{.transposed = transposed};
    if (!has_cache) return loader.load(a, q + kind, turned);
    loader.load_parts(
        qkv + kind,
        {loader.part(a, q + kind, turned), loader.part(b, k + kind, turned), loader.part(c, v + kind, plain)},
        traits.fused_in_gguf);
  };
  load_qkv(".weight", traits.transposed, wq, wk, wv);
  const bool biases = config.flag("attention_bias", false);
  if (traits.qkv_biases || biases || loader.has(q + ".bias") || loader.has(qkv + ".bias")) {
    load_qkv(".bias", false, bq, bk, bv);
  }
  loader.load(wo, in("attn_output.weight", std::string(names.o) + ".weight"), {.transposed = traits.transposed});
  loader.load_optional(bo, in("attn_output.bias", std::string(names.o) + ".bias"), biases);
  if (traits.head_norms) {
    q_norm.load(loader, in("attn_q_norm", names.q_norm), norms);
    if (has_cache) k_norm.load(loader, in("attn_k_norm", names.k_norm), norms);
  }
  loader.ignore(in("attn_rot_embd.weight", "self_attn.rotary_emb.inv_freq"));  // derived from the configuration
}

Stream Attention::record(const LayerGraph& in, const Stream& h, const Residual& add,
                         std::map<size_t, Cached>& caches) const {
  const Queries q =
      project(h, wq, bq, q_norm, options, in.batch, [&](const auto& x) { return materialize(x, in.at + "q"); });
  if (!options.cache_of) {
    const KvCache cache(in.graph, in.batch, in.at + "kv", in.groups.of(options.window));
    cache.name_fields({in.at + "k", in.at + "v"});
    const auto write = [&](const auto& k) {
      return materialize(append(cache, k, biased(contract<Embed>(h, wv), bv)), in.at + "kv");
    };
    caches.insert_or_assign(in.layer, project(h, wk, bk, k_norm, options, in.batch, write));
  }
  const auto& [keys, values] = caches.at(options.cache_of.value_or(in.layer));
  const Queries a = attend(q, keys, values, options, in.batch, in.at + "attn");
  return add(biased(contract<KvHead, Group, HeadDim>(a, wo), bo));
}

LoadPart attention_part() {
  return [caches = std::make_shared<std::map<size_t, Cached>>()](const LayerFiles& files) -> Part {
    Attention attention;
    attention.load(files);
    return [attention, caches](const LayerGraph& in, const Stream& h, const Residual& add) {
      return attention.record(in, h, add, *caches);
    };
  };
}

}  // namespace weft
