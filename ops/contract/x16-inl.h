// Rows of Q8_0 that are interleaved by 16 (core/record/layout.h), as vectors of f32 whose lanes are outputs.

#if defined(WEFT_CONTRACT_X16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_CONTRACT_X16_INL_H_
#undef WEFT_CONTRACT_X16_INL_H_
#else
#define WEFT_CONTRACT_X16_INL_H_
#endif

#include "core/record/layout.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

inline constexpr int64_t kGroupRows = kRows16.rows;
inline constexpr int64_t kGroupRun = kRows16.run;
inline constexpr int64_t kGroupBlock = 32;  // elements that share a scale
static_assert(kGroupRun == 4);

// Calls use(i, j, weights) with elements first + i + j of rows [lane, lane + kLanes) of a group whose rows have `k`
// elements, for i + j < depth: i counts runs, j is the place in one. `first` and `depth`: whole blocks.
template <class Use>
HWY_INLINE void decode_group(const std::byte* group, int64_t k, int64_t lane, int64_t first, int64_t depth,
                             const Use& use) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const hn::RebindToUnsigned<DF> du;
  const std::byte* values = group + static_cast<size_t>(first * kGroupRows + lane * kGroupRun);
  const std::byte* scales = group + static_cast<size_t>(k * kGroupRows + (first / kGroupBlock * kGroupRows + lane) * 2);
  for (int64_t block = 0; block < depth; block += kGroupBlock, scales += kGroupRows * 2) {
    const VF scale = half_to_float(hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(scales)));
    for (int64_t i = block; i < block + kGroupBlock; i += kGroupRun, values += kGroupRows * kGroupRun) {
      // Stored 128 higher.
      const auto bytes = hn::Xor(hn::LoadU(du, reinterpret_cast<const uint32_t*>(values)), hn::Set(du, 0x80808080u));
      const auto weights = [&](hn::Vec<decltype(du)> top) HWY_ATTR {
        return hn::Mul(hn::ConvertTo(df, hn::ShiftRight<24>(hn::BitCast(di, top))), scale);
      };
      use(i, 0, weights(hn::ShiftLeft<24>(bytes)));
      use(i, 1, weights(hn::ShiftLeft<16>(bytes)));
      use(i, 2, weights(hn::ShiftLeft<8>(bytes)));
      use(i, 3, weights(bytes));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
