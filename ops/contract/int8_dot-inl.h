// Dot products of right-hand rows with quantized left-hand rows (activations.h says how those lie), on any of the ways
// to multiply bytes. To be included within the attributes of the target, in weft::HWY_NAMESPACE: each way compiles it
// for itself, and `Dot` keeps their instances apart.
//
//   Dot::add<kSigned>(sums, bytes, values): adds products of `bytes` (int8, or uint8 of at most 63) with int8 values
//   to i32 lanes, each of which takes four neighbours

using DI = hn::Repartition<int32_t, D8>;
using DS = hn::RebindToFloat<DI>;
using VI = hn::Vec<DI>;
using VS = hn::Vec<DS>;

// The scale of 16 elements each, for the sums of a part.
HWY_INLINE VS two_scales(const float* scale) {
  const DS d;
#if HWY_MAX_BYTES >= 32 && HWY_ARCH_X86
  const hn::Half<DS> half;
  return hn::Combine(d, hn::Set(half, scale[1]), hn::Set(half, scale[0]));
#else
  return hn::Set(d, scale[0]);
#endif
}

// Sums of one right-hand row with kLhs left-hand rows. Blocks take turns with two sums each, so that there are enough
// independent ones to hide the latency of the addition.
template <class Dot, Format kFormat, int64_t kLhs>
struct Int8Dot {
  using Q = Quants<kFormat>;
  static constexpr int64_t kRuns = Q::kElements / kRun;
  static constexpr int64_t kScales = Q::kElements / Q::kGrain;
  static constexpr int64_t kLanesOfSum = kPart / 4;

  VS sum[2][kLhs];
  float least[kLhs];  // products with minimums, where a block has one
  const Int8Tile* lhs;

  // g++ compiles implicit constructors without the target's attributes.
  HWY_INLINE explicit Int8Dot(const Int8Tile* rows) : lhs(rows) {}

  HWY_INLINE void block(const uint8_t* at, int64_t b, int64_t turn) {
    const DS d;
    HWY_ALIGN float scale[kScales], minimum[kScales];
    Q::scales(at, scale, minimum);
    const int64_t first = b * kRuns;
    WEFT_UNROLL
    for (int64_t run = 0; run < kRuns; ++run) {
      VI dots[kLhs];
      WEFT_UNROLL
      for (int64_t m = 0; m < kLhs; ++m) dots[m] = hn::Zero(DI());
      WEFT_UNROLL
      for (int64_t part = 0; part < kParts; ++part) {
        const V8 bytes = Q::get(quants::StoredRun{at, part}, run);
        WEFT_UNROLL
        for (int64_t m = 0; m < kLhs; ++m) {
          const auto values =
              hn::LoadU(D8(), reinterpret_cast<const uint8_t*>(lhs[m].values) + (first + run) * kRun + part * kPart);
          dots[m] = Dot::template add<Q::kSigned>(dots[m], bytes, values);
        }
        if (Q::kGrain == kRun && part + 1 < kParts) continue;
        const VS own = Q::kGrain == kRun ? hn::Set(d, scale[run]) : two_scales(scale + 2 * run + part);
        WEFT_UNROLL
        for (int64_t m = 0; m < kLhs; ++m) {
          VS& to = sum[(turn + run) % 2][m];
          const VS factor = hn::Mul(own, hn::Set(d, lhs[m].scales[first + run]));
          to = hn::MulAdd(hn::ConvertTo(d, dots[m]), factor, to);
          if (Q::kGrain < kRun) dots[m] = hn::Zero(DI());
        }
      }
    }
    if constexpr (Q::kMinimum) {
      WEFT_UNROLL
      for (int64_t m = 0; m < kLhs; ++m) {
        const float* sums = (Q::kGrain == kRun ? lhs[m].sums_32 : lhs[m].sums_16) + b * kScales;
        if constexpr (kScales == 1) {
          least[m] += minimum[0] * sums[0];
        } else {
          WEFT_UNROLL
          for (int64_t i = 0; i < kScales; i += kLanesOfSum) {
            VS& to = sum[i / kLanesOfSum % 2][m];
            to = hn::NegMulAdd(hn::LoadU(d, minimum + i), hn::LoadU(d, sums + i), to);
          }
        }
      }
    }
  }

  HWY_INLINE void row(const uint8_t* at, int64_t k, float* const* out, int64_t j) {
    const DS d;
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) {
      sum[0][m] = sum[1][m] = hn::Zero(d);
      least[m] = 0;
    }
    const int64_t blocks = k / Q::kElements;
    int64_t b = 0;
    for (; b + 2 <= blocks; b += 2, at += 2 * Q::kBytes) {
      block(at, b, 0);
      block(at + Q::kBytes, b + 1, 1);
    }
    if (b < blocks) block(at, b, 0);
    WEFT_UNROLL
    for (int64_t m = 0; m < kLhs; ++m) {
      out[m][j] = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum[0][m], sum[1][m]))) - least[m];
    }
  }
};

template <class Dot, Format kFormat, int64_t kLhs>
HWY_NOINLINE void dot_int8_format(RowPointers rows, int64_t count, const Int8Tile* lhs, int64_t k, float* const* out) {
  Int8Dot<Dot, kFormat, kLhs> dot(lhs);
  for (int64_t j = 0; j < count; ++j) dot.row(reinterpret_cast<const uint8_t*>(rows[j]), k, out, j);
}

template <class Dot, Format kFormat>
void dot_int8_lhs(RowPointers rows, int64_t count, const Int8Tile* lhs, int lhs_rows, int64_t k, float* const* out) {
  static_assert(kInt8Rows == 2);
  if (lhs_rows == 1) return dot_int8_format<Dot, kFormat, 1>(rows, count, lhs, k, out);
  dot_int8_format<Dot, kFormat, 2>(rows, count, lhs, k, out);
}

template <class Dot>
void dot_int8_with(Format format, RowPointers rows, int64_t count, const Int8Tile* lhs, int lhs_rows, int64_t k,
                   float* const* out) {
  const auto dot = visit_block_format(format, []<Format kFormat>() { return &dot_int8_lhs<Dot, kFormat>; });
  dot(rows, count, lhs, lhs_rows, k, out);
}
