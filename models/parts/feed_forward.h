// Feed-forward networks: gated (Shazeer 2020, arXiv:2002.05202), or of two matrices.
#pragma once

#include <string>

#include "models/parts/layer.h"

namespace weft {

enum class Activation : uint8_t {
  silu,
  gelu_tanh,  // GELU in its tanh form
  relu,
  relu_squared,  // So et al. 2021, arXiv:2109.08668
};

template <class X>
X activated(Activation activation, const X& x) {
  switch (activation) {
    case Activation::silu: return silu(x);
    case Activation::gelu_tanh: return gelu_tanh(x);
    case Activation::relu: return maximum(x, 0.0f);
    case Activation::relu_squared: break;
  }
  const X positive = maximum(x, 0.0f);
  return positive * positive;
}

// Throws Error for a config.json whose `key` names another one: GGUF files have no key for it, so a family has one.
void check_activation(const ModelConfig& config, std::string_view key, Activation activation);

struct FeedForward {
  Weight<Hidden, Embed> gate, up;
  Weight<Embed, Hidden> down;
  Weight<Hidden> gate_bias, up_bias;
  Weight<Embed> down_bias;
  Activation activation;

  void load(const LayerFiles& files);
  Stream record(const LayerGraph& in, const Stream& h, const Residual& add) const;
};

LoadPart feed_forward_part();

}  // namespace weft
