#include "ops/select/cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/select/cpu.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The first i >= from with data[i] > threshold, or count.
size_t FindAbove(const float* data, size_t from, size_t count, float threshold) {
  const hn::ScalableTag<float> df;
  const size_t lanes = hn::Lanes(df);
  const auto limit = hn::Set(df, threshold);
  size_t i = from;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto m0 = hn::Gt(hn::LoadU(df, data + i), limit);
    const auto m1 = hn::Gt(hn::LoadU(df, data + i + lanes), limit);
    const auto m2 = hn::Gt(hn::LoadU(df, data + i + 2 * lanes), limit);
    const auto m3 = hn::Gt(hn::LoadU(df, data + i + 3 * lanes), limit);
    if (!hn::AllFalse(df, hn::Or(hn::Or(m0, m1), hn::Or(m2, m3)))) break;
  }
  while (i < count && !(data[i] > threshold)) ++i;
  return i;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
namespace {

HWY_EXPORT(FindAbove);

constexpr float kLowest = -std::numeric_limits<float>::infinity();

float ordered(float value) { return std::isnan(value) ? kLowest : value; }

}  // namespace

void TopK::insert(float value, int32_t id) {
  int64_t at = count_ < k_ ? count_++ : k_ - 1;
  for (; at > 0 && values_[at - 1] < value; --at) {
    values_[at] = values_[at - 1];
    ids_[at] = ids_[at - 1];
  }
  values_[at] = value;
  ids_[at] = id;
}

void TopK::add(const float* data, int64_t count, int64_t stride, int32_t first_id) {
  int64_t i = 0;
  for (; i < count && count_ < k_; ++i) insert(ordered(data[i * stride]), first_id + static_cast<int32_t>(i));
  if (stride == 1) {
    while (i < count) {
      i = static_cast<int64_t>(
          HWY_DYNAMIC_DISPATCH(FindAbove)(data, static_cast<size_t>(i), static_cast<size_t>(count), values_[k_ - 1]));
      if (i < count) insert(data[i], first_id + static_cast<int32_t>(i));
      ++i;
    }
    return;
  }
  for (; i < count; ++i) {
    if (data[i * stride] > values_[k_ - 1]) insert(data[i * stride], first_id + static_cast<int32_t>(i));
  }
}

void TopK::add_candidates(const TopK& other) {
  for (int64_t i = 0; i < other.count_; ++i) {
    if (count_ < k_ || other.values_[i] > values_[k_ - 1]) insert(other.values_[i], other.ids_[i]);
  }
}

void TopK::finish() {
  for (; count_ < k_; ++count_) {
    values_[count_] = kLowest;
    ids_[count_] = 0;
  }
}

void select_by_sorting(const float* data, int64_t count, int64_t stride, int64_t k, int32_t* order, float* values,
                       int32_t* ids, int64_t out_stride) {
  std::iota(order, order + count, 0);
  const int64_t chosen = std::min(count, k);
  std::partial_sort(order, order + chosen, order + count, [&](int32_t a, int32_t b) {
    const float x = ordered(data[a * stride]), y = ordered(data[b * stride]);
    return x != y ? x > y : a < b;
  });
  for (int64_t i = 0; i < k; ++i) {
    const bool exists = i < chosen;
    if (values != nullptr) values[i * out_stride] = exists ? ordered(data[order[i] * stride]) : kLowest;
    ids[i * out_stride] = exists ? order[i] : 0;
  }
}

}  // namespace weft
#endif  // HWY_ONCE
