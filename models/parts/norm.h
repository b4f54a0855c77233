// Norms with what a model's files hold of them.
#pragma once

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/files/model_config.h"
#include "runtime/files/weight_loader.h"

namespace weft {

using Stream = Value<f32, Pos, Embed>;  // the residual stream

enum class NormKind : uint8_t {
  rms,    // Zhang & Sennrich 2019, arXiv:1910.07467
  layer,  // Ba et al. 2016, arXiv:1607.06450; with or without a bias
};

struct NormOptions {
  NormKind kind = NormKind::rms;
  float eps = 0;
  float offset = 0;  // Hugging Face's files hold the weight less this; GGUF's hold it whole
};

template <Axis A>
struct Norm {
  Weight<A> weight, bias;
  NormOptions options;

  bool is_loaded() const { return weight.is_loaded(); }

  // `name` lacks ".weight".
  void load(WeightLoader& loader, const TensorName& name, const NormOptions& given) {
    options = given;
    loader.load(weight, name + ".weight", {.offset = options.offset});
    if (options.kind == NormKind::layer) loader.load_optional(bias, name + ".bias");
  }

  auto operator()(const auto& x) const {
    if (options.kind == NormKind::rms) return rms_norm<A>(x, weight, options.eps);
    return bias.is_loaded() ? layer_norm<A>(x, weight, bias, options.eps) : layer_norm<A>(x, options.eps) * weight;
  }
};

}  // namespace weft
