// Reductions of tiles: along a run into one result, and side by side.
#include <cstring>
#include <limits>

#include "ops/cpu/tile_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/tile_reduce.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "ops/cpu/tile_stream-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Four vector sums per tile of at most kTile elements, and f64 across tiles.
template <class F>
HWY_INLINE double SumBlocks(size_t n, const F& element) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  double total = 0;
  for (size_t begin = 0; begin < n; begin += kTile) {
    const size_t end = HWY_MIN(n, begin + static_cast<size_t>(kTile));
    VF s0 = hn::Zero(df), s1 = s0, s2 = s0, s3 = s0;
    size_t i = begin;
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      s0 = element(s0, i);
      s1 = element(s1, i + lanes);
      s2 = element(s2, i + 2 * lanes);
      s3 = element(s3, i + 3 * lanes);
    }
    for (; i < end; i += lanes) s0 = element(s0, i);
    const VF sum = hn::Add(hn::Add(s0, s1), hn::Add(s2, s3));
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(df, sum)));
  }
  return total;
}

void ReduceSum(const Stream& value, const TileSlot* factor_slot, int64_t base, size_t n, TileReduction& reduction) {
  const size_t whole = n / kTileLanes * kTileLanes;
  double total;
  if (factor_slot != nullptr) {
    const Stream factor(*factor_slot, base);
    total = SumBlocks(whole, [&](VF sum, size_t i) HWY_ATTR { return hn::MulAdd(value.f32(i), factor.f32(i), sum); });
    for (size_t i = whole; i < n; ++i) {
      total += static_cast<double>(value.scalar<float>(i) * factor.scalar<float>(i));
    }
  } else {
    total = SumBlocks(whole, [&](VF sum, size_t i) HWY_ATTR { return hn::Add(sum, value.f32(i)); });
    for (size_t i = whole; i < n; ++i) total += static_cast<double>(value.scalar<float>(i));
  }
  reduction.sum += total;
}

void ReduceMax(const Stream& value, size_t n, TileReduction& reduction) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  const VF lowest = hn::Set(df, -std::numeric_limits<float>::infinity());
  for (size_t begin = 0; begin < n; begin += kTile) {
    const size_t end = HWY_MIN(n, begin + static_cast<size_t>(kTile));
    // A NaN is greater than nothing, so it is never taken.
    const auto larger = [](VF v, VF m) HWY_ATTR { return hn::IfThenElse(hn::Gt(v, m), v, m); };
    VF m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
    size_t i = begin;
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      m0 = larger(value.f32(i), m0);
      m1 = larger(value.f32(i + lanes), m1);
      m2 = larger(value.f32(i + 2 * lanes), m2);
      m3 = larger(value.f32(i + 3 * lanes), m3);
    }
    float best = hn::GetLane(hn::MaxOfLanes(df, larger(larger(m0, m1), larger(m2, m3))));
    for (; i < end; ++i) {
      const float v = value.scalar<float>(i);
      best = v > best ? v : best;
    }
    if (best > reduction.best || reduction.best_index < 0) {
      for (size_t j = begin; j < end; ++j) {
        if (value.scalar<float>(j) == best) {
          reduction.best = best;
          reduction.best_index = reduction.count + static_cast<int64_t>(j);
          break;
        }
      }
    }
  }
}

// i32, and bool8 as 0 and 1: exact, so in any order.
void ReduceInts(const Stream& value, Element element, size_t n, TileReduction& reduction) {
  for (size_t i = 0; i < n; ++i) {
    const auto lane = value.scalar<int32_t>(i);
    const int32_t x = element == Element::bool8 ? -lane : lane;
    reduction.int_sum += x;
    if (reduction.best_index < 0 || x > reduction.int_best) {
      reduction.int_best = x;
      reduction.best_index = reduction.count + static_cast<int64_t>(i);
    }
  }
}

void ReduceTile(const TileSlot& slot, const TileSlot* factor, Element element, int64_t base, int64_t n,
                TileReduction& reduction) {
  const Stream value(slot, base);
  if (element != Element::f32) {
    ReduceInts(value, element, static_cast<size_t>(n), reduction);
  } else if (reduction.op == ReduceOp::sum || reduction.op == ReduceOp::mean) {
    ReduceSum(value, factor, base, static_cast<size_t>(n), reduction);
  } else {
    ReduceMax(value, static_cast<size_t>(n), reduction);
  }
  reduction.count += n;
}

void AccumulateSums(const float* values, int64_t count, double* sums) {
  const hn::CappedTag<double, kTileLanes / 2> dd;
  const hn::Rebind<float, decltype(dd)> dh;
  const auto n = static_cast<size_t>(count);
  const size_t lanes = hn::Lanes(dd);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto wide = hn::PromoteTo(dd, hn::LoadU(dh, values + i));
    hn::StoreU(hn::Add(hn::LoadU(dd, sums + i), wide), dd, sums + i);
  }
  for (; i < n; ++i) sums[i] += static_cast<double>(values[i]);
}

void AccumulateLargest(const float* values, int64_t count, int32_t row, float* best, int32_t* index) {
  const DF df;
  const DI di;
  const auto n = static_cast<size_t>(count);
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF v = hn::LoadU(df, values + i), b = hn::LoadU(df, best + i);
    const VI at = hn::LoadU(di, index + i);
    const MF first = hn::And(hn::RebindMask(df, hn::Lt(at, hn::Zero(di))), hn::Eq(v, v));
    const MF larger = hn::Or(first, hn::Gt(v, b));
    hn::StoreU(hn::IfThenElse(larger, v, b), df, best + i);
    hn::StoreU(hn::IfThenElse(hn::RebindMask(di, larger), hn::Set(di, row), at), di, index + i);
  }
  for (; i < n; ++i) {
    if (values[i] > best[i] || (index[i] < 0 && values[i] == values[i])) {
      best[i] = values[i];
      index[i] = row;
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(ReduceTile);
HWY_EXPORT(AccumulateSums);
HWY_EXPORT(AccumulateLargest);

void reduce_tile(const TileSlot& value, const TileSlot* factor, Element element, int64_t base, int64_t n,
                 TileReduction& reduction) {
  HWY_DYNAMIC_DISPATCH(ReduceTile)(value, factor, element, base, n, reduction);
}

void accumulate_sums(const float* values, int64_t n, double* sums) {
  HWY_DYNAMIC_DISPATCH(AccumulateSums)(values, n, sums);
}

void accumulate_largest(const float* values, int64_t n, int32_t row, float* best, int32_t* index) {
  HWY_DYNAMIC_DISPATCH(AccumulateLargest)(values, n, row, best, index);
}

}  // namespace weft
#endif  // HWY_ONCE
