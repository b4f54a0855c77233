// Logits of every position, for comparing models.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "models/registry.h"
#include "runtime/generate/engine.h"

namespace weft::test {

// Of up to 64 tokens at once, on two threads if no device is given, without rounding of activations: [tokens.size(),
// vocab].
inline std::vector<float> exact_logits(const std::filesystem::path& model, std::span<const int32_t> tokens,
                                       const Device& device = Device::cpu(2)) {
  Engine engine(load_model(Checkpoint::open(model)), device,
                {.precision = Precision::exact, .context = 64, .batch = 64, .logit_rows = 64, .page_size = 16});
  engine.add(engine.cache().open(), tokens, WantLogits::all);
  engine.run();
  std::vector<float> all;
  for (int32_t row = 0; row < engine.rows(); ++row) {
    all.insert(all.end(), engine.logits(row).begin(), engine.logits(row).end());
  }
  return all;
}

}  // namespace weft::test
