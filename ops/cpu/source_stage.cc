// The part of SourceRun that finds elements of operands, and brings those that do not lie as the machine reads
// them into staging: strided, gathered or decoded ones, and tiles that span several runs.
#include <algorithm>
#include <cstring>

#include "ops/cpu/decode_tile.h"
#include "ops/cpu/source_load.h"

namespace weft {
namespace {

template <class T>
void copy_strided(const std::byte* data, int64_t offset, int64_t stride, int64_t count, std::byte* out) {
  const T* from = reinterpret_cast<const T*>(data) + offset;
  T* to = reinterpret_cast<T*>(out);
  if (stride == 0) {
    std::fill_n(to, count, *from);
  } else if (stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
  }
}

}  // namespace

// Offset of the element at inner coordinates `at`; false if an id is out of range.
bool SourceRun::locate(const Load& load, const int64_t* at, int64_t& offset) const {
  offset = load.row_offset;
  for (int l = 0; l < inner_rank_; ++l) {
    offset += load.stride[static_cast<size_t>(l)] * at[l];
  }
  for (int g = 0; g < load.view.gather_count; ++g) {
    const ResolvedView::Gather& gather = load.view.gathers[static_cast<size_t>(g)];
    const Load& ids = loads_[load.info->ids[static_cast<size_t>(g)]];
    int64_t where;
    int32_t id = 0;
    if (locate(ids, at, where)) std::memcpy(&id, ids.data + 4 * where, 4);
    if (id < 0 || id >= gather.extent) return false;
    offset += gather.stride * id;
  }
  return true;
}

void SourceRun::advance(Coordinates& at, int64_t count) const {
  if (inner_rank_ == 0) return;
  auto l = static_cast<size_t>(inner_rank_ - 1);
  at[l] += count;
  while (l > 0 && at[l] >= inner_extent_[l]) {
    const int64_t carry = at[l] / inner_extent_[l];
    at[l] -= carry * inner_extent_[l];
    at[--l] += carry;
  }
}

// `count` elements of one run, from coordinates `at` on, to `out`.
void SourceRun::stage_piece(const Load& load, const Coordinates& at, int64_t count, std::byte* out) const {
  const Format format = load.info->format;
  int64_t offset;
  if (load.gathered_inside) {
    Coordinates each = at;
    const auto innermost = static_cast<size_t>(inner_rank_ - 1);
    for (int64_t i = 0; i < count; ++i, ++each[innermost]) {
      std::byte* to = out + i * load.element_bytes;
      if (!locate(load, each.data(), offset)) {
        std::memset(to, 0, static_cast<size_t>(load.element_bytes));
      } else if (is_plain(format)) {
        std::memcpy(to, load.data + offset * load.element_bytes, static_cast<size_t>(load.element_bytes));
      } else {
        const float value = decode_element(format, load.data, static_cast<size_t>(offset));
        std::memcpy(to, &value, 4);
      }
    }
    return;
  }
  if (!locate(load, at.data(), offset)) {
    std::memset(out, 0, static_cast<size_t>(count * load.element_bytes));
    return;
  }
  const int64_t stride = inner_rank_ > 0 ? load.stride[static_cast<size_t>(inner_rank_ - 1)] : 0;
  auto* floats = reinterpret_cast<float*>(out);
  if (format == Format::bool8) {
    copy_strided<uint8_t>(load.data, offset, stride, count, out);
  } else if (is_plain(format)) {
    copy_strided<uint32_t>(load.data, offset, stride, count, out);
  } else if (stride == 1) {
    decode_elements(format, load.data, offset, count, floats);
  } else if (stride == 0) {
    std::fill_n(floats, count, decode_element(format, load.data, static_cast<size_t>(offset)));
  } else {
    for (int64_t i = 0; i < count; ++i) {
      floats[i] = decode_element(format, load.data, static_cast<size_t>(offset + i * stride));
    }
  }
}

// `count` elements that may span several runs, to the load's staging. Where no ids are involved, the offset is
// carried along from run to run.
void SourceRun::stage(const Load& load, Coordinates at, int64_t count) const {
  if (load.info->is_table) return stage_offsets(load, at, count);
  const auto innermost = static_cast<size_t>(std::max(inner_rank_ - 1, 0));
  const bool carried = load.view.gather_count == 0 && is_plain(load.info->format) && across_;
  if (!carried) {
    for (int64_t done = 0; done < count;) {
      const int64_t piece = std::min(count - done, run_ - at[innermost]);
      stage_piece(load, at, piece, load.staging + done * load.element_bytes);
      done += piece;
      advance(at, piece);
    }
    return;
  }
  int64_t offset;
  locate(load, at.data(), offset);
  if (load.element_bytes == 1) {
    stage_runs<uint8_t>(load, at, offset, count);
  } else {
    stage_runs<uint32_t>(load, at, offset, count);
  }
}

template <class T>
void SourceRun::stage_runs(const Load& load, Coordinates at, int64_t offset, int64_t count) const {
  const auto innermost = static_cast<size_t>(inner_rank_ - 1);
  const int64_t stride = load.stride[innermost];
  const T* data = reinterpret_cast<const T*>(load.data);
  T* out = reinterpret_cast<T*>(load.staging);
  for (const T* end = out + count; out < end;) {
    const int64_t piece = std::min<int64_t>(end - out, run_ - at[innermost]);
    const T* from = data + offset;
    for (int64_t i = 0; i < piece; ++i, from += stride) *out++ = *from;
    // To the next run: the loops inside it start over.
    offset += piece * stride;
    at[innermost] += piece;
    for (size_t l = innermost; l > 0 && at[l] == inner_extent_[l]; --l) {
      at[l] = 0;
      ++at[l - 1];
      offset += load.stride[l - 1] - load.stride[l] * inner_extent_[l];
    }
  }
}

// Where the elements lie in a table, but for the axis that is looked up. (The verifier refuses one that is gathered,
// too.)
void SourceRun::stage_offsets(const Load& load, Coordinates at, int64_t count) const {
  const auto innermost = static_cast<size_t>(inner_rank_ - 1);
  auto* offsets = reinterpret_cast<int32_t*>(load.staging);
  for (int64_t i = 0; i < count;) {
    const int64_t piece = std::min(count - i, run_ - at[innermost]);
    int64_t offset = 0;
    locate(load, at.data(), offset);
    for (int64_t j = 0; j < piece; ++j, offset += load.stride[innermost]) {
      offsets[i + j] = static_cast<int32_t>(offset);
    }
    i += piece;
    advance(at, piece);
  }
}

void SourceRun::stage_index(const Index& index, Coordinates at, int64_t count) const {
  const auto innermost = static_cast<size_t>(inner_rank_ - 1);
  const auto loop = static_cast<size_t>(index.inner);
  for (int64_t i = 0; i < count;) {
    const int64_t piece = std::min(count - i, run_ - at[innermost]);
    if (loop == innermost) {
      for (int64_t j = 0; j < piece; ++j) index.staging[i + j] = static_cast<int32_t>(at[innermost] + j);
    } else {
      std::fill_n(index.staging + i, piece, static_cast<int32_t>(at[loop]));
    }
    i += piece;
    advance(at, piece);
  }
}

}  // namespace weft
