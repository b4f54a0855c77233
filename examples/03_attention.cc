// Attention takes any score expression: masks, biases and caps are part of the expression and end up in the one fused
// kernel. Here: a causal window of four tokens, ALiBi slopes and a soft cap, over keys and values that are tensors.
#include <cmath>
#include <cstdio>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/plan/eval.h"

using namespace weft;

int main() {
  constexpr int64_t kTokens = 6, kHeads = 2, kGroup = 3, kDim = 4;
  Tensor<f32, Pos, KvHead, Group, HeadDim> q({kTokens, kHeads, kGroup, kDim});
  Tensor<f32, Key, KvHead, HeadDim> k({kTokens, kHeads, kDim}), v({kTokens, kHeads, kDim});
  for (size_t i = 0; i < q.size(); ++i) q.values()[i] = std::sin(static_cast<float>(i));
  for (size_t i = 0; i < k.size(); ++i) k.values()[i] = std::cos(static_cast<float>(i));
  for (size_t i = 0; i < v.size(); ++i) v.values()[i] = static_cast<float>(i % 5);
  const Tensor<f32, KvHead, Group> slope({kHeads, kGroup}, {.5f, .25f, .125f, .0625f, .03125f, .015625f});

  // K and V have no Group axis: the contraction broadcasts over it, and nothing is repeated.
  const auto distance = index<Pos>() - index<Key>();
  const auto score = contract<HeadDim>(q, k) * 0.5f - slope * cast<f32>(distance);
  const auto capped = 20.0f * tanh(score / 20.0f);
  const auto seen = where(distance >= 0 && distance < 4, capped, -inf);
  const auto a = eval(Device::cpu(), contract<Key>(softmax<Key>(seen), v));

  // The first token sees only itself, so its row is its own value.
  for (int64_t d = 0; d < kDim; ++d) std::printf("%g ", static_cast<double>(a.values()[static_cast<size_t>(d)]));
  std::printf("\n");
  return std::fabs(a.values()[1] - v.values()[1]) < 1e-6f ? 0 : 1;
}
