#include "runtime/model_config.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"

namespace weft {

ModelConfig::ModelConfig(std::shared_ptr<const GgufFile> file)
    : file_(std::move(file)), architecture_(file_->get_string("general.architecture")) {}

std::string ModelConfig::full(std::string_view key) const { return architecture_ + "." + std::string(key); }

int64_t ModelConfig::count(std::string_view key, std::optional<int64_t> fallback) const {
  const std::string name = full(key);
  const GgufValue* value = file_->find(name);
  if (value == nullptr && fallback) return *fallback;
  const uint32_t number = file_->get_u32(name);
  require(number >= 1 && number <= uint32_t{std::numeric_limits<int32_t>::max()}, key,
          std::to_string(number) + " is not between 1 and 2147483647");
  return number;
}

float ModelConfig::number(std::string_view key, std::optional<float> fallback) const {
  const std::string name = full(key);
  if (file_->find(name) == nullptr && fallback) return *fallback;
  const float value = file_->get_f32(name);
  require(std::isfinite(value) && value > 0, key, "is not a finite number above 0");
  return value;
}

size_t ModelConfig::layers() const {
  const auto layers = static_cast<size_t>(count("block_count"));
  require(layers <= file_->tensors().size(), "block_count",
          std::to_string(layers) + " is more than the file has tensors (" + std::to_string(file_->tensors().size()) + ")");
  return layers;
}

void ModelConfig::without(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    const GgufValue* value = file_->find(full(key));
    if (value == nullptr) continue;
    const std::optional<int64_t> integer = value->as_i64();
    const std::optional<double> real = integer ? static_cast<double>(*integer) : value->as_f64();
    const bool neutral = (real && (*real == 0 || (*real == 1 && key.starts_with("rope.")))) || value->as_string() == "none";
    require(neutral, key, "is an option that this architecture does not support");
  }
}

int64_t ModelConfig::rows(std::string_view name) const {
  const GgufTensor& tensor = file_->tensor(name);
  if (tensor.n_dims == 2) return static_cast<int64_t>(tensor.extents[1]);
  throw Error(file_->path() + ": tensor '" + std::string(name) + "' has " + std::to_string(tensor.n_dims) +
              " dimensions, expected 2");
}

void ModelConfig::require(bool holds, std::string_view key, std::string_view reason) const {
  if (holds) return;
  const std::string name = full(key);
  if (file_->find(name) != nullptr) file_->fail(name, reason);
  throw Error(file_->path() + ": " + name + " " + std::string(reason));
}

// The extent of an axis that a weight has.
static int64_t weight_extent(const GraphRecord& graph, AxisId axis) {
  for (const ValueRecord& value : graph.values) {
    for (size_t i = 0; value.storage && i < value.axes.size(); ++i) {
      if (value.axes[i] == axis) return value.storage->extents[i];
    }
  }
  throw Error("axis '" + graph.axes[axis].name + "' of the logits is no axis of a weight");
}

LanguageModel ModelConfig::describe(Graph& graph, const Batch& batch, ValueId logits, AxisId rows, AxisId vocab) const {
  LanguageModel model;
  model.architecture = architecture_;
  model.name = file_->get_string("general.name", "");
  model.graph = graph.record();
  model.tokens = batch.tokens.id();
  model.position = batch.pos.id();
  model.sequence = batch.seq.id();
  model.slots = batch.slots.id();
  model.last = batch.last.id();
  model.logits = logits;
  model.pos_axis = graph.axis<Pos>();
  model.rows_axis = rows;
  model.vocab = weight_extent(*model.graph, vocab);
  model.context_length = count("context_length");
  return model;
}

}  // namespace weft
