#include "runtime/generate/text_embedder.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"

namespace weft {

TextEmbedder::Source TextEmbedder::source_of(const LanguageModel& model, const EmbedderOptions& options) {
  check_model(model);
  const auto find = [&](std::string_view name) {
    const auto found = std::find_if(model.results.begin(), model.results.end(),
                                    [name](const NamedResult& result) { return result.name == name; });
    return found == model.results.end() ? kNoValue : found->value;
  };
  const ValueId embedding = find("embedding"), hidden = find("hidden");
  Source source;
  if (!options.pooling && embedding != kNoValue) {
    source = {embedding, "embedding", std::nullopt, false};
  } else if (hidden != kNoValue) {
    source = {hidden, "hidden", options.pooling.value_or(Pooling::mean), false};
  } else if (embedding != kNoValue) {
    throw Error("the model pools by itself: it has the result 'embedding', but no 'hidden' states to pool otherwise");
  } else {
    throw Error("the model has neither a result 'embedding' nor 'hidden', so it gives no vectors of texts");
  }
  const ValueRecord& value = model.graph->values[source.value];
  const std::string what = "result '" + std::string(source.result) + "'";
  if (value.element() != Element::f32 || value.axes.size() < 2) {
    throw Error(what + " of the model is not f32 with an axis of rows and one of their elements");
  }
  source.by_token = value.axes[0] == model.pos_axis;
  if (!source.by_token && value.axes[0] != model.rows_axis) {
    throw Error(what + " of the model has a row neither for each token nor for each row of logits");
  }
  if (source.by_token && !source.pooling) throw Error(what + " of the model has a row for each token");
  return source;
}

EngineOptions TextEmbedder::engine_options(EngineOptions engine, const Source& source) {
  engine.results = {source.result};
  engine.sequences = 1;
  engine.logit_rows = source.pooling == Pooling::last || source.by_token || !source.pooling ? 1 : engine.batch;
  return engine;
}

TextEmbedder::TextEmbedder(const LanguageModel& model, const Device& device, EngineOptions engine,
                           const EmbedderOptions& options)
    : source_(source_of(model, options)),
      normalize_(options.normalize),
      engine_(model, device, engine_options(std::move(engine), source_)) {
  const std::vector<AxisId>& axes = engine_.plan().graph().values[source_.value].axes;
  const ExtentTable& extents = engine_.plan().limits();
  width_ = 1;
  for (size_t i = 1; i < axes.size(); ++i) width_ *= extents[axes[i]];
  sum_.resize(static_cast<size_t>(width_));
  vector_.resize(static_cast<size_t>(width_));
}

// What the rows of the last run add to the text's vector.
void TextEmbedder::take_rows(bool is_first, bool is_last) {
  const auto width = static_cast<size_t>(width_);
  const std::span<const float> rows = engine_.output(source_.result).floats();
  const auto add = [&](std::span<const float> row) {
    for (size_t i = 0; i < width; ++i) sum_[i] += static_cast<double>(row[i]);
  };
  if (source_.pooling == Pooling::mean) {
    for (size_t begin = 0; begin < rows.size(); begin += width) add(rows.subspan(begin, width));
  } else if (source_.pooling == Pooling::first) {
    if (is_first) add(rows.first(width));
  } else if (is_last) {
    add(rows.last(width));
  }
}

std::span<const float> TextEmbedder::embed(std::span<const int32_t> tokens) {
  if (tokens.empty()) throw Error("a text without tokens has no vector");
  if (tokens.size() > static_cast<size_t>(engine_.context())) {
    throw Error(std::to_string(tokens.size()) + " tokens, and the context has room for " +
                std::to_string(engine_.context()) + " (-c)");
  }
  std::fill(sum_.begin(), sum_.end(), 0.0);
  PagedKvCache& cache = engine_.cache();
  const int32_t sequence = cache.open();
  try {
    const bool whole = engine_.model().bidirectional;
    const size_t chunk = whole ? tokens.size() : static_cast<size_t>(engine_.batch());
    for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
      const size_t count = std::min(chunk, tokens.size() - begin);
      const bool is_first = begin == 0, is_last = begin + count == tokens.size();
      const bool every_row = source_.pooling == Pooling::mean || (source_.pooling == Pooling::first && is_first);
      const WantLogits want = source_.by_token ? WantLogits::none
                              : every_row      ? WantLogits::all
                              : is_last        ? WantLogits::last
                                               : WantLogits::none;
      engine_.add(sequence, tokens.subspan(begin, count), want);
      engine_.run();
      take_rows(is_first, is_last);
      if (source_.pooling == Pooling::first && !whole) break;  // later tokens change nothing
    }
  } catch (...) {
    cache.close(sequence);
    throw;
  }
  cache.close(sequence);
  const double count = source_.pooling == Pooling::mean ? static_cast<double>(tokens.size()) : 1.0;
  double squares = 0;
  for (double& x : sum_) {
    x /= count;
    squares += x * x;
  }
  const double scale = normalize_ && squares > 0 ? 1 / std::sqrt(squares) : 1;
  std::transform(sum_.begin(), sum_.end(), vector_.begin(),
                 [scale](double x) { return static_cast<float>(x * scale); });
  return vector_;
}

}  // namespace weft
