// What the parts of a decoder's layer are made of and give: attention, feed-forward networks, and what a family writes
// instead. A part is loaded from a model's files as a function that records its steps.
#pragma once

#include <functional>
#include <string>

#include "models/parts/norm.h"

namespace weft {

struct DecoderTraits;
struct DecoderOptions;

// Adds what a part computes to the residual stream: x + scale * term, or x + scale * norm(term) (sandwich norms, Ding
// et al. 2021, arXiv:2105.13290). The term is an expression, mostly a contraction, and is fused with the sum.
class Residual {
 public:
  // `after`: null, or one that is loaded. `part`: what the names of its steps begin with, "blk.0.attn_".
  Residual(Stream x, std::string part, float scale, const Norm<Embed>* after)
      : x_(std::move(x)), part_(std::move(part)), scale_(scale), after_(after) {}

  template <class X>
  Stream operator()(const X& term) const {
    if (after_ == nullptr) return sum(term);
    return sum((*after_)(term));
  }

 private:
  template <class X>
  Stream sum(const X& term) const {
    return scale_ == 1 ? materialize(x_ + term, part_ + "out") : materialize(x_ + scale_ * term, part_ + "out");
  }

  Stream x_;
  std::string part_;
  float scale_;
  const Norm<Embed>* after_;
};

// Where a part is recorded.
struct LayerGraph {
  Graph& graph;
  const Batch& batch;
  WindowGroups& groups;
  size_t layer;
  std::string at;  // "blk.0."
};
// `h`: the stream after the part's norm. Returns the stream after the part.
using Part = std::function<Stream(const LayerGraph& in, const Stream& h, const Residual& add)>;

// What a part is loaded from.
struct LayerFiles {
  const ModelConfig& config;
  WeightLoader& loader;
  TensorNames in;
  size_t layer;
  const DecoderTraits& traits;
  const DecoderOptions& options;
  NormOptions norms;
};
using LoadPart = std::function<Part(const LayerFiles& files)>;

// x W + b, where the file has a b.
template <class Sum, class Bias>
Sum biased(const Sum& sum, const Bias& bias) {
  return bias.is_loaded() ? sum + bias : sum;
}

// cap * tanh(x / cap), where there is a cap.
template <class X>
X capped(const X& x, float cap) {
  return cap > 0 ? X(cap * tanh(x * (1 / cap))) : x;
}

}  // namespace weft
