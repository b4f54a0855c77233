// A part of a decoder whose result is normalized too before it is added to the residual stream (sandwich layer
// norm, Ding et al. 2021, arXiv:2105.13290).
#pragma once

#include "models/parts/attention.h"

namespace weft {

template <class Part>
struct NormAfter : Part {
  Weight<Embed> after;

  void load(WeightLoader& loader, const TensorNames& in, const ModelConfig& config, const PartOptions& options) {
    Part::load(loader, in, config, options);
    loader.load(after, Part::norm_after(in), {.offset = options.norm_offset});
  }

  template <class... Inputs>
  auto output(const std::string& at, const Stream& x, const Inputs&... inputs) const {
    return rms_norm<Embed>(Part::output(at, x, inputs...), after, this->part.eps);
  }
};

}  // namespace weft
