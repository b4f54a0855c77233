// Hyperparameters of a model as a GGUF file states them: keys are given without the architecture's name in front.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/batch.h"
#include "runtime/gguf.h"
#include "runtime/language_model.h"

namespace weft {

class ModelConfig {
 public:
  explicit ModelConfig(std::shared_ptr<const GgufFile> file);

  // An integer from 1 to 2^31 - 1. Throws Error, naming file and key, for anything else; absent without a fallback too.
  int64_t count(std::string_view key, std::optional<int64_t> fallback = std::nullopt) const;
  // A finite number above 0.
  float number(std::string_view key, std::optional<float> fallback = std::nullopt) const;
  // block_count; at most the number of tensors, so that a wrong one costs nothing.
  size_t layers() const;
  // Rows of a tensor of two dimensions: its slower extent.
  int64_t rows(std::string_view tensor) const;

  // Throws Error for `key` unless `holds`.
  void require(bool holds, std::string_view key, std::string_view reason) const;
  // Throws Error for an option that is there and changes the computation, which is not ignored: anything but 0, "none",
  // or 1 for a factor of rope.
  void without(std::initializer_list<std::string_view> keys) const;

  // Describes the recorded graph: `logits` becomes its result.
  template <Axis Rows, Axis Vocab>
  LanguageModel model(Graph& graph, const Batch& batch, const Value<f32, Rows, Vocab>& logits) const {
    graph.result(logits);
    return describe(graph, batch, logits.id(), graph.axis<Rows>(), graph.axis<Vocab>());
  }

 private:
  std::string full(std::string_view key) const;
  LanguageModel describe(Graph& graph, const Batch& batch, ValueId logits, AxisId rows, AxisId vocab) const;

  std::shared_ptr<const GgufFile> file_;
  std::string architecture_;
};

}  // namespace weft
