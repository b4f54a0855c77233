#include "runtime/trace/trace_comparison.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/utf8.h"

namespace weft {
namespace {

constexpr std::string_view kReference = "/reference";

double number(Format format, const std::byte* data, int64_t index) {
  if (format == Format::bool8) return data[index] != std::byte{0} ? 1 : 0;
  if (format == Format::i32) {
    int32_t integer;
    std::memcpy(&integer, data + index * 4, sizeof integer);
    return integer;
  }
  float single;
  std::memcpy(&single, data + index * 4, sizeof single);
  return static_cast<double>(single);
}

void note(ComparedValue& compared, int64_t at, double here, double recorded, double tolerance) {
  if (here == recorded || (std::isnan(here) && std::isnan(recorded))) return;
  double absolute = std::fabs(here - recorded);
  if (!std::isfinite(absolute)) absolute = std::numeric_limits<double>::infinity();
  const double scale = compared.scale > 0 ? compared.scale : 1;
  const double relative =
      compared.value.format == Format::f32 ? absolute / scale : std::numeric_limits<double>::infinity();
  const Difference difference{at, here, recorded, absolute, relative};
  if (compared.largest.at < 0 || relative > compared.largest.relative) compared.largest = difference;
  if (!(relative > tolerance)) return;
  ++compared.beyond;
  if (compared.first.at < 0 || at < compared.first.at) compared.first = difference;
}

std::string list_text(const std::vector<int64_t>& extents) {
  std::string text = "[";
  for (const int64_t extent : extents) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

// Whether two lists of extents differ only by ones and by dimensions that were split or merged in their order.
bool same_but_split(std::span<const int64_t> a, std::span<const int64_t> b) {
  size_t i = 0, j = 0;
  const auto skip_ones = [](std::span<const int64_t> list, size_t& at) {
    while (at < list.size() && list[at] == 1) ++at;
  };
  for (skip_ones(a, i), skip_ones(b, j); i < a.size() && j < b.size(); skip_ones(a, i), skip_ones(b, j)) {
    int64_t left = a[i++], right = b[j++];
    // One side has one dimension where the other may have several.
    const bool a_splits = left < right;
    while (a_splits && left < right && i < a.size() && left > 0 && right % left == 0) left *= a[i++];
    while (!a_splits && right < left && j < b.size() && right > 0 && left % right == 0) right *= b[j++];
    if (left != right) return false;
  }
  return i == a.size() && j == b.size();
}

// The coordinate in one order of rotary pairs of the element at coordinate `at` in another; see RopePairs.
int64_t reordered(int64_t at, int64_t rotated, RopePairs from, RopePairs to) {
  if (at >= rotated || from == to) return at;
  const int64_t half = rotated / 2;
  const int64_t pair = from == RopePairs::interleaved ? at / 2 : at % half;
  const int64_t second = from == RopePairs::interleaved ? at % 2 : at / half;
  return to == RopePairs::interleaved ? 2 * pair + second : pair + second * half;
}

}  // namespace

void TraceComparison::begin(const std::vector<TracedValue>& values, std::span<const int32_t> tokens) {
  const std::vector<int32_t> recorded = recording_.tokens();
  if (!recorded.empty() && !std::equal(recorded.begin(), recorded.end(), tokens.begin(), tokens.end())) {
    throw Error(recording_.path() + ": was made with other tokens");
  }
  for (const TracedValue& value : values) {
    ComparedValue compared{value, ComparedValue::State::compared, {}, {}, 0, {}, {}, 0};
    std::optional<Alignment> alignment = align(compared);
    if (!alignment) alignment.emplace();
    alignments_.push_back(std::move(*alignment));
    values_.push_back(std::move(compared));
  }
  const auto is_there = [](const ComparedValue& value) { return !value.recorded_as.empty(); };
  if (std::none_of(values_.begin(), values_.end(), is_there)) {
    throw Error(recording_.path() + ": has none of the values of this model; a map (--map) can say under which names");
  }
}

std::optional<TraceComparison::Alignment> TraceComparison::align(ComparedValue& compared) const {
  using State = ComparedValue::State;
  const TracedValue& value = compared.value;
  const auto misfit = [&](std::string why) {
    compared.state = State::misfit, compared.reason = std::move(why);
    return std::nullopt;
  };
  const std::optional<MappedValue> mapped = map_ == nullptr ? std::nullopt : map_->find(value.name);
  const std::vector<std::string> names = mapped ? mapped->from : std::vector<std::string>{value.name};
  Alignment result;
  for (const std::string& name : names) {
    if (result.tensor == nullptr) result.tensor = recording_.file().find_tensor(name);
  }
  if (result.tensor == nullptr) {
    compared.state = names.empty() ? State::left_out : State::absent;
    return std::nullopt;
  }
  const SafetensorsTensor& tensor = *result.tensor;
  compared.recorded_as = tensor.name;
  if (!is_readable(tensor)) return misfit("its elements are " + std::string(tensor.type_name));

  // The order of the axes in the recording: from the map, or from the recording itself.
  std::vector<std::string> order = mapped ? mapped->order : std::vector<std::string>();
  if (order.empty()) order = recording_.axes(tensor.name);
  if (order.empty()) order = value.axes;
  if (!std::is_permutation(order.begin(), order.end(), value.axes.begin(), value.axes.end())) {
    std::string text;
    for (const std::string& axis : order) text += (text.empty() ? "" : " x ") + axis;
    return misfit("it is recorded over " + in_quotes(text));
  }
  std::vector<int64_t> extents;
  std::vector<size_t> axis_at;
  for (const std::string& axis : order) {
    axis_at.push_back(static_cast<size_t>(std::find(value.axes.begin(), value.axes.end(), axis) - value.axes.begin()));
    extents.push_back(value.extents[axis_at.back()]);
  }
  if (!same_but_split(extents, tensor.extents)) {
    return misfit("it is recorded with extents " + list_text(tensor.extents) + ", wanted " + list_text(extents));
  }

  const Recording::Pairs own_pairs = recording_.pairs(tensor.name);
  std::optional<RopePairs> pairs;
  if (!own_pairs.axis.empty()) pairs = own_pairs.order;
  if (mapped && mapped->pairs) pairs = mapped->pairs;
  if (mapped && mapped->pairs && value.rotary < 0) {
    return misfit("the map states an order of pairs, but it has no rotary axis");
  }
  result.offsets.resize(value.axes.size());
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const size_t axis = axis_at[i];
    const bool rotary = pairs && static_cast<int>(axis) == value.rotary;
    for (int64_t at = 0; at < value.extents[axis]; ++at) {
      const int64_t there = rotary ? reordered(at, value.order.rotated, value.order.pairs, *pairs) : at;
      result.offsets[axis].push_back(there * stride);
    }
    stride *= value.extents[axis];
  }
  const int64_t elements = value.elements();
  for (int64_t i = 0; i < elements; ++i) {
    const double x = std::fabs(read_number(tensor, i));
    if (std::isfinite(x)) compared.scale = std::max(compared.scale, x);
  }
  return result;
}

void TraceComparison::take(size_t index, int64_t first, int64_t count, std::span<const std::byte> data) {
  ComparedValue& compared = values_[index];
  if (compared.state != ComparedValue::State::compared) return;
  const TracedValue& value = compared.value;
  const Alignment& alignment = alignments_[index];
  const size_t rank = value.axes.size();
  // Coordinates of the piece's elements, from slow to fast; those of the tokens begin at `first`.
  std::vector<int64_t> begin(rank, 0), end = value.extents, at(rank, 0);
  if (value.pos >= 0) {
    begin[static_cast<size_t>(value.pos)] = first;
    end[static_cast<size_t>(value.pos)] = first + count;
  }
  at = begin;
  for (size_t axis = 0; axis < rank; ++axis) {
    if (begin[axis] == end[axis]) return;
  }
  for (int64_t element = 0;; ++element) {
    int64_t there = 0, here = 0;
    for (size_t axis = 0; axis < rank; ++axis) {
      there += alignment.offsets[axis][static_cast<size_t>(at[axis])];
      here = here * value.extents[axis] + at[axis];
    }
    note(compared, here, number(value.format, data.data(), element), read_number(*alignment.tensor, there), tolerance_);
    size_t axis = rank;
    while (axis > 0 && ++at[axis - 1] == end[axis - 1]) at[axis - 1] = begin[axis - 1], --axis;
    if (axis == 0) break;
  }
}

std::vector<std::string> TraceComparison::unused() const {
  std::set<std::string> used = {"tokens"};
  for (const ComparedValue& value : values_) {
    if (value.state != ComparedValue::State::absent) used.insert(value.recorded_as);
  }
  std::vector<std::string> unused;
  for (const SafetensorsTensor& tensor : recording_.file().tensors()) {
    if (!used.contains(tensor.name)) unused.push_back(tensor.name);
  }
  return unused;
}

void ReferenceComparison::begin(const std::vector<TracedValue>& values, std::span<const int32_t>) {
  traced_ = values;
  kept_.resize(values.size());
  for (const TracedValue& value : values) {
    const auto at = std::find_if(values.begin(), values.end(), [&](const TracedValue& other) {
      return other.name.size() == value.name.size() + kReference.size() && other.name.starts_with(value.name) &&
             other.name.ends_with(kReference);
    });
    reference_of_.push_back(at == values.end() ? -1 : static_cast<int>(at - values.begin()));
  }
}

void ReferenceComparison::take(size_t index, int64_t, int64_t, std::span<const std::byte> data) {
  const TracedValue& value = traced_[index];
  if (value.name.ends_with(kReference)) kept_[index].assign(data.begin(), data.end());
  if (reference_of_[index] < 0) return;
  std::vector<std::byte>& reference = kept_[static_cast<size_t>(reference_of_[index])];
  ComparedValue compared{value, ComparedValue::State::compared, value.name + std::string(kReference), {}, 0, {}, {}, 0};
  const int64_t elements = value.elements();
  for (int64_t i = 0; i < elements; ++i) {
    const double x = std::fabs(number(value.format, reference.data(), i));
    if (std::isfinite(x)) compared.scale = std::max(compared.scale, x);
  }
  for (int64_t i = 0; i < elements; ++i) {
    note(compared, i, number(value.format, data.data(), i), number(value.format, reference.data(), i), tolerance_);
  }
  values_.push_back(std::move(compared));
  reference.clear(), reference.shrink_to_fit();
}

std::string coordinates_text(const TracedValue& value, int64_t element) {
  std::string text;
  for (size_t i = value.axes.size(); i-- > 0;) {
    text = value.axes[i] + " " + std::to_string(element % value.extents[i]) + (text.empty() ? "" : ", ") + text;
    element /= value.extents[i];
  }
  return text;
}

}  // namespace weft
