#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/convert/convert.h"
#include "runtime/convert/reencode.h"

namespace weft {
namespace {

// llama.cpp keeps the weights of routers plain, whatever the file's type.
bool is_router(const std::string& name) { return name.ends_with("ffn_gate_inp.weight"); }

Format format_of(const DeclaredWeight& weight, std::optional<Format> type) {
  if (weight.extents.size() == 1 || is_router(weight.name)) return Format::f32;
  if (type) return *type;
  const Format first = *weight.slices.front().tensor->format;
  const bool same = std::all_of(weight.slices.begin(), weight.slices.end(),
                                [&](const auto& slice) { return slice.tensor->format == first; });
  return same && info(first).block_elements == 1 ? first : Format::f32;
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
    ConvertedTensor tensor{weight.name, {}, format_of(weight, type), weight};
    tensor.shape.assign(weight.extents.rbegin(), weight.extents.rend());
    tensors.push_back(std::move(tensor));
  }
  if (std::vector<float> factors = llama3_frequency_factors(checkpoint); !factors.empty()) {
    ConvertedTensor stretched{"rope_freqs.weight", {factors.size()}, Format::f32};
    stretched.values = std::move(factors);
    tensors.push_back(std::move(stretched));
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
  if (tensor.source.slices.empty()) return write_values(tensor.values);
  const size_t row = tensor.shape.size() > 1 ? tensor.shape[0] : 1;
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
    ReencodeJob job = whole_tensor(what, from, tensor.format, data, count);
    if (tensor.source.rotated_rows != 0) {
      const auto head = static_cast<size_t>(tensor.source.rotated_rows), half = head / 2;
      job.count = count / row;
      job.piece = [=](size_t i) {
        const size_t in_head = i % head;
        const size_t source = i - in_head + in_head / 2 + in_head % 2 * half;
        return Piece{data + row_bytes(from, source * row), row};
      };
    }
    reencode(job, threads, sink);
    const MappedFile& file = *slice.tensor->file;
    const auto offset = static_cast<size_t>(reinterpret_cast<const uint8_t*>(data) - file.data());
    file.drop(offset, row_bytes(from, count));
  }
}

}  // namespace weft
