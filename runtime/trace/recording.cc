#include "runtime/trace/recording.h"

#include <cstring>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/utf8.h"

namespace weft {
namespace {

constexpr const char* kTokens = "tokens";

template <class T>
T number_at(const uint8_t* data, int64_t index) {
  T number;
  std::memcpy(&number, data + static_cast<size_t>(index) * sizeof number, sizeof number);
  return number;
}

int64_t product(std::span<const int64_t> extents) {
  return std::accumulate(extents.begin(), extents.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

void RecordingWriter::begin(const std::vector<TracedValue>& values, std::span<const int32_t> tokens) {
  values_ = values;
  std::vector<SafetensorsWriter::Tensor> tensors = {{kTokens, Format::i32, {static_cast<int64_t>(tokens.size())}}};
  for (const TracedValue& value : values) {
    tensors.push_back({value.name, value.format, value.extents});
    metadata_["axes:" + value.name] = value.axes_text();
    if (value.rotary < 0) continue;
    metadata_["pairs:" + value.name] =
        value.axes[static_cast<size_t>(value.rotary)] +
        (value.order.pairs == RopePairs::interleaved ? " interleaved " : " half_split ") +
        std::to_string(value.order.rotated);
  }
  writer_ = std::make_unique<SafetensorsWriter>(path_, std::move(tensors), metadata_);
  writer_->write(0, 0, std::as_bytes(tokens));
}

void RecordingWriter::finish() {
  if (writer_ == nullptr) throw Error(path_.string() + ": the recording was never begun");
  writer_->finish();
}

void RecordingWriter::take(size_t value, int64_t first, int64_t count, std::span<const std::byte> data) {
  if (writer_ == nullptr) throw Error(path_.string() + ": the recording was never begun");
  const TracedValue& traced = values_[value];
  if (traced.pos < 0) return writer_->write(value + 1, 0, data);
  // The piece is contiguous; in the file, its rows are apart where other axes come before that of the tokens.
  const auto at = static_cast<size_t>(traced.pos);
  const std::span<const int64_t> extents(traced.extents);
  const auto outer = static_cast<size_t>(product(extents.first(at)));
  const size_t row = row_bytes(traced.format, static_cast<size_t>(product(extents.subspan(at + 1))));
  const size_t piece = row * static_cast<size_t>(count), whole = row * static_cast<size_t>(traced.extents[at]);
  for (size_t i = 0; i < outer; ++i) {
    writer_->write(value + 1, i * whole + static_cast<size_t>(first) * row, data.subspan(i * piece, piece));
  }
}

std::string Recording::text(const std::string& key) const {
  const auto at = file_.metadata().find(key);
  return at == file_.metadata().end() ? "" : at->second;
}

std::vector<int32_t> Recording::tokens() const {
  const SafetensorsTensor* tensor = file_.find_tensor(kTokens);
  if (tensor == nullptr) return {};
  const auto fail = [&](const std::string& why) -> void { throw Error(path() + ": tensor 'tokens': " + why); };
  if (tensor->type_name != "I32" && tensor->type_name != "I64") {
    fail("is " + std::string(tensor->type_name) + ", wanted I32 or I64");
  }
  std::vector<int32_t> tokens(static_cast<size_t>(product(tensor->extents)));
  for (size_t i = 0; i < tokens.size(); ++i) {
    const double id = read_number(*tensor, static_cast<int64_t>(i));
    if (id < 0 || id > std::numeric_limits<int32_t>::max()) fail("entry " + std::to_string(i) + " is not a token id");
    tokens[i] = static_cast<int32_t>(id);
  }
  return tokens;
}

std::vector<std::string> Recording::axes(const std::string& name) const {
  std::vector<std::string> axes;
  const std::string text = this->text("axes:" + name), between = " x ";
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(between, begin), text.size());
    axes.push_back(text.substr(begin, end - begin));
    begin = end == text.size() ? end : end + between.size();
  }
  return axes;
}

Recording::Pairs Recording::pairs(const std::string& name) const {
  const std::string text = this->text("pairs:" + name);
  const size_t first = text.find(' '), second = text.find(' ', first == text.npos ? text.npos : first + 1);
  if (second == text.npos) return {};
  const std::string order = text.substr(first + 1, second - first - 1);
  if (order != "interleaved" && order != "half_split") return {};
  return {text.substr(0, first), order == "interleaved" ? RopePairs::interleaved : RopePairs::half_split};
}

bool is_readable(const SafetensorsTensor& tensor) {
  for (const std::string_view type : {"F64", "F32", "F16", "BF16", "I64", "I32", "BOOL"}) {
    if (tensor.type_name == type) return true;
  }
  return false;
}

double read_number(const SafetensorsTensor& tensor, int64_t index) {
  const uint8_t* data = tensor.data;
  const std::string_view type = tensor.type_name;
  if (type == "F32") return static_cast<double>(number_at<float>(data, index));
  if (type == "F64") return number_at<double>(data, index);
  if (type == "BF16") return static_cast<double>(bf16_to_f32(number_at<uint16_t>(data, index)));
  if (type == "F16") return static_cast<double>(f16_to_f32(number_at<uint16_t>(data, index)));
  if (type == "I32") return number_at<int32_t>(data, index);
  if (type == "I64") return static_cast<double>(number_at<int64_t>(data, index));
  return data[index] != 0 ? 1 : 0;
}

}  // namespace weft
