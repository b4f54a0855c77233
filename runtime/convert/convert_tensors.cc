#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/convert/convert.h"
#include "runtime/convert/reencode.h"
#include "runtime/files/model_config.h"

namespace weft {
namespace {

// llama.cpp keeps the weights of routers, and learned positions, plain, whatever the file's type.
bool is_kept_plain(const std::string& name) {
  return name.ends_with("ffn_gate_inp.weight") || name == "position_embd.weight";
}

Format converted_format(const DeclaredWeight& weight, std::optional<Format> type) {
  if (info(weight.format).block_elements > 1) return weight.format;  // quantized already
  if (weight.extents.size() == 1 || is_kept_plain(weight.name)) return Format::f32;
  return type.value_or(weight.converted);
}

// Encodes `count` elements at `data`, whole heads where rows of heads change places.
void write_elements(const ConvertedTensor& tensor, const std::string& what, Format from, const std::byte* data,
                    size_t count, int threads, const std::function<void(std::span<const uint8_t>)>& sink) {
  ReencodeJob job = whole_tensor(what, from, tensor.format, data, count);
  if (tensor.source.rotated_rows != 0) {
    const size_t row = tensor.shape.size() > 1 ? tensor.shape[0] : 1;
    const auto head = static_cast<size_t>(tensor.source.rotated_rows), half = head / 2;
    job.count = count / row;
    job.piece = [=](size_t i) {
      const size_t in_head = i % head;
      const size_t source = i - in_head + in_head / 2 + in_head % 2 * half;
      return Piece{data + row_bytes(from, source * row), row};
    };
  }
  reencode(job, threads, sink);
}

// A few rows at a time: they are put together in memory.
void write_arranged(const std::string& path, const ConvertedTensor& tensor, int threads,
                    const std::function<void(std::span<const uint8_t>)>& sink) {
  constexpr size_t kChunk = size_t{8} << 20;  // bytes
  const DeferredBytes& source = *tensor.source.arranged;
  const size_t row = tensor.shape.front(), rows = tensor.elements() / row, bytes = source.size() / rows;
  const auto head = std::max<size_t>(static_cast<size_t>(tensor.source.rotated_rows), 1);
  const size_t at_once = std::max<size_t>(kChunk / (bytes * head), 1) * head;
  std::vector<std::byte> chunk(std::min(at_once, rows) * bytes);
  for (size_t first = 0; first < rows; first += at_once) {
    const size_t count = std::min(at_once, rows - first);
    source.copy(first * bytes, count * bytes, chunk.data());
    const std::string what = path + ": rows from " + std::to_string(first) + " on of tensor " + in_quotes(tensor.name);
    write_elements(tensor, what, tensor.source.format, chunk.data(), count * row, threads, sink);
  }
}

}  // namespace

size_t ConvertedTensor::elements() const {
  return std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>());
}

std::vector<ConvertedTensor> convert_tensors(const LanguageModel& model,
                                             const std::shared_ptr<const Checkpoint>& checkpoint,
                                             std::optional<Format> type) {
  if (model.declaration == nullptr || model.declaration->weights.empty()) {
    throw Error(checkpoint->path() + ": architecture " + in_quotes(checkpoint->architecture()) +
                " does not declare its weights, so it is not converted");
  }
  std::vector<ConvertedTensor> tensors;
  for (const DeclaredWeight& weight : model.declaration->weights) {
    ConvertedTensor tensor{weight.name, {}, converted_format(weight, type), weight};
    tensor.shape.assign(weight.extents.rbegin(), weight.extents.rend());
    tensors.push_back(std::move(tensor));
  }
  const auto add_factors = [&](const char* name, std::vector<float> factors) {
    ConvertedTensor tensor{name, {factors.size()}, Format::f32};
    tensor.values = std::move(factors);
    tensors.push_back(std::move(tensor));
  };
  if (std::vector<float> factors = llama3_frequency_factors(checkpoint); !factors.empty()) {
    add_factors("rope_freqs.weight", std::move(factors));
  }
  const ModelConfig config(checkpoint);
  if (model.declaration->rotated > 0 && config.rope_scaling_type() == "longrope") {
    const auto pairs = static_cast<size_t>(model.declaration->rotated / 2);
    for (const std::string kind : {"long", "short"}) {
      const std::vector<double> factors = config.numbers("rope.scaling." + kind + "_factor", pairs);
      add_factors(kind == "long" ? "rope_factors_long.weight" : "rope_factors_short.weight",
                  {factors.begin(), factors.end()});
    }
  }
  return tensors;
}

void write_converted(const std::string& path, const ConvertedTensor& tensor, int threads,
                     const std::function<void(std::span<const uint8_t>)>& sink) {
  const auto write_values = [&](const std::vector<float>& values) {
    std::vector<uint8_t> bytes(row_bytes(tensor.format, values.size()));
    encode_row(tensor.format, values.data(), values.size(), bytes.data());
    sink(bytes);
  };
  if (tensor.source.arranged != nullptr) return write_arranged(path, tensor, threads, sink);
  if (tensor.source.slices.empty()) return write_values(tensor.values);
  for (const DeclaredWeight::Slice& slice : tensor.source.slices) {
    const Format from = *slice.tensor->format;
    const std::string what = path + ": tensor " + in_quotes(slice.tensor->name);
    const auto first = static_cast<size_t>(slice.first), count = static_cast<size_t>(slice.count);
    const std::byte* data = slice.tensor->data + row_bytes(from, first);
    if (tensor.source.offset != 0) {  // only norms have one, and they are small
      std::vector<float> values(count);
      decode_row(from, data, count, values.data());
      for (float& value : values) value += tensor.source.offset;
      write_values(values);
      continue;
    }
    write_elements(tensor, what, from, data, count, threads, sink);
    const MappedFile& file = *slice.tensor->file;
    const auto offset = static_cast<size_t>(reinterpret_cast<const uint8_t*>(data) - file.data());
    file.drop(offset, row_bytes(from, count));
  }
}

}  // namespace weft
