// The gated feed-forward network (Shazeer 2020, arXiv:2002.05202: SwiGLU).
#pragma once

#include "models/parts/attention.h"
#include "runtime/model_config.h"

namespace weft {

struct GatedFeedForward {
  Weight<Embed> norm;
  Weight<Hidden, Embed> gate, up;
  Weight<Embed, Hidden> down;
  Weight<Hidden> gate_bias, up_bias;
  Weight<Embed> down_bias;

  static void extents(const ModelConfig& config, WeightLoader& loader) {
    loader.extents<Hidden>(config.count("feed_forward_length"));
  }

  void load(WeightLoader& loader, const TensorNames& in, const ModelConfig& config) {
    const auto g = in("ffn_gate", "mlp.gate_proj"), u = in("ffn_up", "mlp.up_proj"), d = in("ffn_down", "mlp.down_proj");
    const auto both = in("ffn_gate_up", "mlp.gate_up_proj");
    loader.load(norm, in("ffn_norm.weight", "post_attention_layernorm.weight"));
    loader.load_parts(both + ".weight", {loader.part(gate, g + ".weight"), loader.part(up, u + ".weight")});
    loader.load(down, d + ".weight");
    const bool biases = config.flag("mlp_bias", false);
    if (biases || loader.has(g + ".bias") || loader.has(both + ".bias")) {
      loader.load_parts(both + ".bias", {loader.part(gate_bias, g + ".bias"), loader.part(up_bias, u + ".bias")});
    }
    loader.load_optional(down_bias, d + ".bias", biases);
  }

  Stream apply(const Stream& x, float eps, const std::string& at) const {
    auto f = materialize(rms_norm<Embed>(x, norm, eps), at + "ffn_norm");
    auto g = materialize(silu(biased(contract<Embed>(f, gate), gate_bias)) * biased(contract<Embed>(f, up), up_bias),
                         at + "ffn_hidden");
    return materialize(x + biased(contract<Hidden>(g, down), down_bias), at + "ffn_out");
  }
};

}  // namespace weft
