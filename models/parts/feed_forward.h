// The gated feed-forward network (Shazeer 2020, arXiv:2002.05202): SwiGLU, or GEGLU with GELU in its tanh form.
#pragma once

#include "models/parts/attention.h"

namespace weft {

// The function of the gate, and what Hugging Face's files call it.
struct Silu {
  static constexpr const char *kKey = "hidden_act", *kName = "silu";
  static auto apply(const auto& x) { return silu(x); }
};
struct GeluTanh {
  static constexpr const char *kKey = "hidden_activation", *kName = "gelu_pytorch_tanh";
  static auto apply(const auto& x) { return gelu_tanh(x); }
};
template <class Activation>
void check_activation(const ModelConfig& config) {
  const bool fits = config.text(Activation::kKey, Activation::kName) == Activation::kName;
  config.require(fits, Activation::kKey, std::string("is not ") + Activation::kName);
}

template <class Activation>
struct GatedFeedForward {
  Weight<Embed> norm;
  Weight<Hidden, Embed> gate, up;
  Weight<Embed, Hidden> down;
  Weight<Hidden> gate_bias, up_bias;
  Weight<Embed> down_bias;
  PartOptions part;
  static constexpr const char* kName = "ffn_";

  static TensorName norm_after(const TensorNames& in) {
    return in("post_ffw_norm.weight", "post_feedforward_layernorm.weight");
  }

  static void extents(const ModelConfig& config, WeightLoader& loader) {
    loader.extents<Hidden>(config.count("feed_forward_length"));
    check_activation<Activation>(config);
  }

  void load(WeightLoader& loader, const TensorNames& in, const ModelConfig& config, const PartOptions& options) {
    part = options;
    const auto g = in("ffn_gate", "mlp.gate_proj"), u = in("ffn_up", "mlp.up_proj"),
               d = in("ffn_down", "mlp.down_proj");
    const auto both = in("ffn_gate_up", "mlp.gate_up_proj");
    const auto between = in("ffn_norm.weight", "pre_feedforward_layernorm.weight");  // where a norm follows attention
    loader.load(norm, loader.has(between) ? between : in("ffn_norm.weight", "post_attention_layernorm.weight"),
                {.offset = part.norm_offset});
    loader.load_parts(both + ".weight", {loader.part(gate, g + ".weight"), loader.part(up, u + ".weight")});
    loader.load(down, d + ".weight");
    const bool biases = config.flag("mlp_bias", false);
    if (biases || loader.has(g + ".bias") || loader.has(both + ".bias")) {
      loader.load_parts(both + ".bias", {loader.part(gate_bias, g + ".bias"), loader.part(up_bias, u + ".bias")});
    }
    loader.load_optional(down_bias, d + ".bias", biases);
  }

  auto output(const std::string& at, const Stream& x) const {
    auto f = materialize(rms_norm<Embed>(x, norm, part.eps), at + "ffn_norm");
    auto g = materialize(
        Activation::apply(biased(contract<Embed>(f, gate), gate_bias)) * biased(contract<Embed>(f, up), up_bias),
        at + "ffn_hidden");
    return biased(contract<Hidden>(g, down), down_bias);
  }
};

}  // namespace weft
