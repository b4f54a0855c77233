// The k largest elements of a line.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

// Candidates, best first: larger values, then lower ids. NaN counts, and is kept, as -inf.
class TopK {
 public:
  TopK() = default;
  // Room for `k` >= 1 values and ids, owned by the caller.
  TopK(float* values, int32_t* ids, int64_t k) : values_(values), ids_(ids), k_(k) {}

  // Elements data[i * stride] with ids first_id + i. Ids must come in rising order from call to call.
  void add(const float* data, int64_t count, int64_t stride, int32_t first_id);
  void add_candidates(const TopK& other);
  // Fills up with (-inf, 0) where there were fewer than k elements.
  void finish();

  int64_t count() const { return count_; }
  const float* values() const { return values_; }
  const int32_t* ids() const { return ids_; }

 private:
  void insert(float value, int32_t id);

  float* values_ = nullptr;
  int32_t* ids_ = nullptr;
  int64_t k_ = 0;
  int64_t count_ = 0;
};

// The same for any k in O(n log k): `order` is room for `count` ids. Writes k values and ids, `out_stride` apart.
void select_by_sorting(const float* data, int64_t count, int64_t stride, int64_t k, int32_t* order, float* values,
                       int32_t* ids, int64_t out_stride);

}  // namespace weft
