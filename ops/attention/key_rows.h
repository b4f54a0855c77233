// Operands of attention by key: rows of keys and values, in the pages of a cache or in a dense value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/contract/coordinates.h"
#include "ops/cpu/kernel.h"

namespace weft {

class KeyRowsRun;

// An operand with the axis `key`: for each key (and coordinates on query axes) a row over `inner` axes.
class KeyRows {
 public:
  // Throws Error where the operand cannot be read by rows: chosen by ids, or blocks cut.
  KeyRows(const KernelContext& context, const Region& region, int operand, AxisId key, std::vector<AxisId> query,
          std::vector<AxisId> inner);

  int cache() const { return cache_; }  // -1: a dense value
  bool depends_on(size_t query) const { return depends_[query]; }
  Format format() const { return format_; }
  int64_t max_width() const { return max_width_; }
  // True where rows lie contiguously in the operand's format.
  bool contiguous() const { return contiguous_; }
  // True where each key's rows of all heads lie together.
  bool key_leads() const { return operand_.view.front().axis == key_; }
  // Bytes that `elements` take, whole blocks of the format.
  int64_t bytes_of(int64_t elements) const;

  KeyRowsRun bind(const StepArgs& args) const;

 private:
  friend class KeyRowsRun;
  Operand operand_;
  Format format_ = Format::f32;
  int cache_ = -1;
  AxisId key_;
  std::vector<AxisId> query_, inner_;
  std::vector<bool> depends_;
  bool contiguous_ = false;
  int64_t max_width_ = 0;
};

// The operand within one run.
class KeyRowsRun {
 public:
  int64_t width() const { return width_; }  // elements of a row
  // Distance of a row from the operand's first, in elements.
  int64_t query_offset(const int64_t* query) const;

  // Addresses of rows. `index[j]`: a key's slot in the pool, or its coordinate in a dense value. Contiguous rows
  // only.
  void addresses(const int64_t* index, int64_t keys, int64_t query_offset, const std::byte** rows) const;
  // Rows as contiguous f32: in place if they are so and need not be `copied`, else in `buffer` (keys * width floats).
  void floats(const int64_t* index, int64_t keys, int64_t query_offset, bool copied, const std::byte** addresses,
              float* buffer, const float** rows) const;
  // The single elements of rows without inner axes: 4 bytes each as they are, or f32.
  void elements(const int64_t* index, int64_t keys, int64_t query_offset, void* out) const;

 private:
  friend class KeyRows;
  const KeyRows* owner_ = nullptr;
  const std::byte* data_ = nullptr;
  int64_t width_ = 1, offset_ = 0, key_stride_ = 0;
  std::array<int64_t, AxisSpace::kMax> query_stride_{}, inner_stride_{};
  AxisSpace inner_space_;
};

}  // namespace weft
