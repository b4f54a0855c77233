#include "runtime/trace/step_reference.h"

#include <numeric>

#include "core/error.h"

namespace weft {

StepReference::StepReference(const LanguageModel& model, const GraphRecord& graph, std::span<const int32_t> tokens,
                             const int64_t* extents)
    : graph_(graph),
      extents_(extents, extents + graph_.axes.size()),
      data_(graph_.values.size()),
      numbers_(tokens.size()),
      zeros_(tokens.size()),
      length_(static_cast<int32_t>(tokens.size())),
      positions_(tokens.size()) {
  std::iota(numbers_.begin(), numbers_.end(), 0);
  const auto input = [this](ValueId value, const std::vector<int32_t>& data) {
    if (value != kNoValue) set(value, data.data());
  };
  if (model.tokens != kNoValue) set(model.tokens, tokens.data());
  input(model.position, numbers_), input(model.slots, numbers_), input(model.last, numbers_),
      input(model.sequence, zeros_);
  for (const CacheRecord& cache : graph_.caches) {
    input(cache.pos_values, numbers_), input(cache.slots, numbers_), input(cache.seq, zeros_);
    set(cache.positions, numbers_.data());
  }
  for (size_t i = 0; i < graph_.values.size(); ++i) {
    if (graph_.values[i].kind == ValueKind::weight) set(static_cast<ValueId>(i), graph_.values[i].storage->stored());
  }
  PageTable table;
  table.pages = numbers_.data(), table.length = &length_, table.sequences = 1;
  table.max_pages = length_, table.page_size = 1;
  pages_.assign(graph_.caches.size(), table);
}

// A contraction reads each element of a weight many times: decoding them one by one would take hours. Tables that
// rows are gathered from stay as they are: few rows are read, and tables are large.
void StepReference::decode_weights(const Step& step) {
  for (const Region& region : step.regions) {
    for (const Contraction& contraction : region.contractions) {
      const Operand& operand = region.operands[static_cast<size_t>(contraction.rhs)];
      ValueRecord& value = graph_.values[operand.value];
      bool gathered = false;
      for (const ViewAxis& axis : operand.view) gathered |= axis.gather >= 0;
      if (value.kind != ValueKind::weight || value.format == Format::f32 || gathered) continue;
      size_t elements = 1;
      for (const int64_t extent : value.storage->extents) elements *= static_cast<size_t>(extent);
      decoded_.push_back({operand.value, std::vector<float>(elements)});
      decode_row(value.format, value.storage->stored(), elements, decoded_.back().elements.data());
      value.format = Format::f32;
      data_[operand.value] = decoded_.back().elements.data();
    }
  }
}

void StepReference::run(const Step& step, const VisitPart& visit) {
  decode_weights(step);
  results_.assign(step.outputs.size(), {});
  std::vector<void*> data = data_;
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    const ValueRecord& value = graph_.values[step.outputs[i]];
    size_t elements = 1;
    for (const AxisId axis : value.axes) {
      elements *= static_cast<size_t>(is_key_axis(graph_, axis) ? length_ : extents_[axis]);
    }
    results_[i].resize(row_bytes(value.format, elements));
    data[step.outputs[i]] = results_[i].data();
  }
  if (step.cache >= 0) data[graph_.caches[static_cast<size_t>(step.cache)].positions] = positions_.data();
  run_reference(graph_, step, {extents_.data(), data.data(), pages_.data(), nullptr}, visit);
  for (const Decoded& decoded : decoded_) {
    ValueRecord& value = graph_.values[decoded.value];
    value.format = value.storage->format;
    set(decoded.value, value.storage->stored());
  }
  decoded_.clear();
}

}  // namespace weft
