#include "models/parts/feed_forward.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "models/parts/decoder.h"

namespace weft {
namespace {

// What Hugging Face's files call it, the usual name first.
std::vector<std::string_view> names_of(Activation activation) {
  switch (activation) {
    case Activation::silu: return {"silu", "swish"};
    case Activation::gelu_tanh: return {"gelu_pytorch_tanh", "gelu_new", "gelu_fast"};
    case Activation::relu: return {"relu"};
    case Activation::relu_squared: break;
  }
  return {"relu2"};
}

}  // namespace

void check_activation(const ModelConfig& config, std::string_view key, Activation activation) {
  const auto names = names_of(activation);
  const std::string given = config.text(key, names.front());
  config.require(std::find(names.begin(), names.end(), given) != names.end(), key,
                 "is not " + std::string(names.front()));
}

void FeedForward::load(const LayerFiles& files) {
  const auto& [config, loader, in, layer, traits, decoder, norms] = files;
  const DecoderNames& names = traits.names;
  activation = traits.activation;
  const auto g = in("ffn_gate", names.gate), u = in("ffn_up", names.up), d = in("ffn_down", names.down);
  const auto both = in(traits.fused_in_gguf ? "ffn_up" : "ffn_gate_up", names.gate_up);
  const WeightOptions matrix{.transposed = traits.transposed};
  const bool biases = config.flag("mlp_bias", false);
  if (traits.is_gated) {
    loader.load_parts(both + ".weight",
                      {loader.part(gate, g + ".weight", matrix), loader.part(up, u + ".weight", matrix)},
                      traits.fused_in_gguf);
    if (biases || loader.has(g + ".bias") || loader.has(both + ".bias")) {
      loader.load_parts(both + ".bias", {loader.part(gate_bias, g + ".bias"), loader.part(up_bias, u + ".bias")},
                        traits.fused_in_gguf);
    }
  } else {
    loader.load(up, u + ".weight", matrix);
    loader.load_optional(up_bias, u + ".bias", biases);
  }
  loader.load(down, d + ".weight", matrix);
  loader.load_optional(down_bias, d + ".bias", biases);
}

Stream FeedForward::record(const LayerGraph& in, const Stream& h, const Residual& add) const {
  const auto name = in.at + "ffn_hidden";
  const auto widened = biased(contract<Embed>(h, up), up_bias);
  const auto hidden =
      gate.is_loaded() ? materialize(activated(activation, biased(contract<Embed>(h, gate), gate_bias)) * widened, name)
                       : materialize(activated(activation, widened), name);
  return add(biased(contract<Hidden>(hidden, down), down_bias));
}

LoadPart feed_forward_part() {
  return [](const LayerFiles& files) -> Part {
    FeedForward network;
    network.load(files);
    return [network](const LayerGraph& in, const Stream& h, const Residual& add) { return network.record(in, h, add); };
  };
}

}  // namespace weft
