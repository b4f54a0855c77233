// Vectors of texts, from any model that names a result "hidden" or "embedding".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/generate/engine.h"

namespace weft {

// Which of a text's hidden states are its vector: their mean, that of the first token ("CLS"), or of the last.
enum class Pooling : uint8_t { mean, first, last };

struct EmbedderOptions {
  // Empty: what the model pools by itself, its result "embedding"; if it has none, the mean.
  std::optional<Pooling> pooling = {};
  bool normalize = false;  // to length 1; a vector of zeros stays
};

// For one thread at a time.
class TextEmbedder {
 public:
  // Only the result that is needed is computed. `engine`: its results, sequences and logit_rows are set here. Throws
  // Error for a model that names no such result, and where Engine's constructor does.
  TextEmbedder(const LanguageModel& model, const Device& device, EngineOptions engine, const EmbedderOptions& options);

  int64_t width() const { return width_; }
  const Engine& engine() const { return engine_; }

  // The vector of a text of at least one token; valid until the next call. A bidirectional model reads the text in one
  // step, others in chunks of the batch, with equal results. Throws Error for a text that is longer than the context
  // or, for a bidirectional model, than the batch.
  std::span<const float> embed(std::span<const int32_t> tokens);

 private:
  struct Source {
    ValueId value = kNoValue;
    const char* result = "";
    std::optional<Pooling> pooling;  // empty: the model's own
    bool by_token = false;           // a row for each token, not for each row that is asked for
  };
  static Source source_of(const LanguageModel& model, const EmbedderOptions& options);
  static EngineOptions engine_options(EngineOptions engine, const Source& source);
  void take_rows(bool is_first, bool is_last);

  Source source_;
  bool normalize_;
  Engine engine_;
  int64_t width_ = 0;
  std::vector<double> sum_;
  std::vector<float> vector_;
};

}  // namespace weft
