#include "ops/attention/key_rows.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/record/axis_list.h"
#include "core/record/view.h"
#include "ops/cpu/decode_tile.h"

namespace weft {

KeyRows::KeyRows(const KernelContext& context, const Region& region, int operand, AxisId key, std::vector<AxisId> query,
                 std::vector<AxisId> inner)
    : operand_(region.operands[static_cast<size_t>(operand)]),
      key_(key),
      query_(std::move(query)),
      inner_(std::move(inner)) {
  const ValueRecord& value = context.graph.values[operand_.value];
  const auto fail = [&](const std::string& what) {
    throw Error("step '" + context.step.name + "': attention cannot read '" + value.name + "': " + what);
  };
  format_ = value.format;
  if (value.is_cached()) cache_ = value.cache;
  const std::vector<AxisId> loops = loop_axes(region, operand_);
  for (const AxisId axis : query_) depends_.push_back(contains(loops, axis));
  if (!contains(loops, key)) fail("it lacks the key axis");
  max_width_ = element_count(inner_, context.max_extents);
  contiguous_ = operand_.view.size() >= inner_.size();
  for (size_t i = 0; i < operand_.view.size(); ++i) {
    const ViewAxis& axis = operand_.view[i];
    if (axis.gather >= 0) fail("its rows are chosen by ids");
    if (cache_ >= 0 && (axis.axis == key) != (i == 0)) fail("a cache's key axis leads");
    const size_t first = operand_.view.size() - std::min(inner_.size(), operand_.view.size());
    if (i < first) continue;
    contiguous_ = contiguous_ && axis.axis == inner_[i - first] && (i == first || axis.stored == axis.axis);
  }
  if (info(format_).block_elements > 1) {
    const auto block = static_cast<int64_t>(info(format_).block_elements);
    const ViewAxis& last = operand_.view.back();
    if (!contiguous_ || inner_.empty() || last.begin % block != 0 || context.max_extents[last.stored] % block != 0 ||
        context.max_extents[last.axis] % block != 0) {
      fail("its rows are not whole blocks of " + std::string(name(format_)));
    }
  }
}

int64_t KeyRows::bytes_of(int64_t elements) const {
  const FormatInfo& format = info(format_);
  return elements / static_cast<int64_t>(format.block_elements) * static_cast<int64_t>(format.block_bytes);
}

KeyRowsRun KeyRows::bind(const StepArgs& args) const {
  KeyRowsRun run;
  run.owner_ = this;
  run.data_ = static_cast<const std::byte*>(args.data[operand_.value]);
  run.inner_space_ = AxisSpace(inner_, args.extents);
  run.width_ = run.inner_space_.count();
  const ResolvedView inner = resolve(operand_, inner_, args.extents);
  const ResolvedView query = resolve(operand_, query_, args.extents);
  const ResolvedView key = resolve(operand_, {&key_, 1}, args.extents);
  for (size_t i = 0; i < inner_.size(); ++i) run.inner_stride_[i] = inner.stride[i];
  for (size_t i = 0; i < query_.size(); ++i) run.query_stride_[i] = query.stride[i];
  run.key_stride_ = key.stride[0];
  run.offset_ = key.offset;
  return run;
}

int64_t KeyRowsRun::query_offset(const int64_t* query) const {
  int64_t offset = offset_;
  for (size_t i = 0; i < owner_->query_.size(); ++i) offset += query[i] * query_stride_[i];
  return offset;
}

void KeyRowsRun::addresses(const int64_t* index, int64_t keys, int64_t query_offset, const std::byte** rows) const {
  // Each row is whole blocks, and so is the way from one to the next.
  const std::byte* first = data_ + owner_->bytes_of(query_offset);
  const int64_t step = owner_->bytes_of(key_stride_);
  for (int64_t j = 0; j < keys; ++j) rows[j] = first + index[j] * step;
}

void KeyRowsRun::floats(const int64_t* index, int64_t keys, int64_t query_offset, bool copied,
                        const std::byte** addresses_out, float* buffer, const float** rows) const {
  if (owner_->contiguous_) {
    addresses(index, keys, query_offset, addresses_out);
    const bool in_place = owner_->format_ == Format::f32 && !copied;
    if (!in_place) decode_rows(owner_->format_, addresses_out, keys, width_, buffer);
    for (int64_t j = 0; j < keys; ++j) {
      rows[j] = in_place ? reinterpret_cast<const float*>(addresses_out[j]) : buffer + j * width_;
    }
    return;
  }
  const size_t bytes = info(owner_->format_).block_bytes;
  for (int64_t j = 0; j < keys; ++j) {
    rows[j] = buffer + j * width_;
    std::array<int64_t, AxisSpace::kMax> at{};
    for (int64_t i = 0; i < width_; ++i, inner_space_.advance(at.data())) {
      int64_t element = index[j] * key_stride_ + query_offset;
      for (int a = 0; a < inner_space_.rank; ++a) {
        element += at[static_cast<size_t>(a)] * inner_stride_[static_cast<size_t>(a)];
      }
      decode_row(owner_->format_, data_ + static_cast<size_t>(element) * bytes, 1, buffer + j * width_ + i);
    }
  }
}

void KeyRowsRun::elements(const int64_t* index, int64_t keys, int64_t query_offset, void* out) const {
  const auto copy = [&]<class T>(T* to) {
    for (int64_t j = 0; j < keys; ++j) {
      std::memcpy(to + j, data_ + static_cast<size_t>(index[j] * key_stride_ + query_offset) * sizeof(T), sizeof(T));
    }
  };
  if (owner_->format_ == Format::i32 || owner_->format_ == Format::f32) return copy(static_cast<int32_t*>(out));
  if (owner_->format_ == Format::bool8) return copy(static_cast<uint8_t*>(out));
  const size_t bytes = info(owner_->format_).block_bytes;
  for (int64_t j = 0; j < keys; ++j) {
    const std::byte* from = data_ + static_cast<size_t>(index[j] * key_stride_ + query_offset) * bytes;
    decode_row(owner_->format_, from, 1, static_cast<float*>(out) + j);
  }
}

}  // namespace weft
