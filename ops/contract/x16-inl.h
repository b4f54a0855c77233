// Rows of blocks that are interleaved by 16 (core/record/layout.h), as vectors whose lanes are rows.

#if defined(WEFT_CONTRACT_X16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_CONTRACT_X16_INL_H_
#undef WEFT_CONTRACT_X16_INL_H_
#else
#define WEFT_CONTRACT_X16_INL_H_
#endif

#include <hwy/cache_control.h>
#include <utility>

#include "core/record/layout.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

inline constexpr int64_t kGroupRows = kRows16.rows;
inline constexpr int64_t kGroupRun = kRows16.run;
static_assert(kGroupRun == 4);

using DWords = hn::RebindToUnsigned<DF>;      // a lane has four bytes of a row
using DBytes = hn::Repartition<uint8_t, DF>;  // the same
using VWords = hn::Vec<DWords>;
using VBytes = hn::Vec<DBytes>;

// A block of each of kLanes rows of a group.
template <Format kFormat>
class BlockOfRows {
  static constexpr const auto& kSections = FormatTraits<kFormat>::kSections;
  static constexpr size_t kCount = std::size(kSections);
  static constexpr int64_t unit(const BlockSection& section) {
    return static_cast<int64_t>(Interleaved::unit(section, kRows16));
  }

 public:
  // `lane`: the first of the rows. `blocks`: of a row.
  HWY_INLINE BlockOfRows(const std::byte* group, int64_t blocks, int64_t block, int64_t lane) {
    const auto* at = reinterpret_cast<const uint8_t*>(group);
    WEFT_UNROLL
    for (size_t i = 0; i < kCount; ++i) {
      section_[i] = at + block * kSections[i].bytes * kGroupRows + lane * unit(kSections[i]);
      at += blocks * kSections[i].bytes * kGroupRows;
    }
  }

  // Where the section begins that a stored block has at `section`.
  HWY_INLINE const uint8_t* at(size_t section) const { return find(section, std::make_index_sequence<kCount>()); }
  // words: four bytes of each row, `offset` bytes into the section. halves: f16 numbers, as f32. wide_halves,
  // wide_bytes: words of 16 bits, and bytes, as integers.
  HWY_INLINE VWords words(size_t section, int64_t offset) const {
    return hn::LoadU(DWords(), reinterpret_cast<const uint32_t*>(at(section) + offset * kGroupRows));
  }
  HWY_INLINE VF halves(size_t section) const {
    return half_to_float(hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(at(section))));
  }
  HWY_INLINE VWords wide_halves(size_t section) const {
    return hn::PromoteTo(DWords(), hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(at(section))));
  }
  HWY_INLINE VWords wide_bytes(size_t section) const {
    return hn::PromoteTo(DWords(), hn::LoadU(hn::Rebind<uint8_t, DF>(), at(section)));
  }

  static constexpr uint8_t flip(size_t section) {
    uint8_t flip = 0;
    for (const BlockSection& s : kSections) flip = s.at == section ? s.flip : flip;
    return flip;
  }

 private:
  template <size_t... kIndex>
  HWY_INLINE const uint8_t* find(size_t section, std::index_sequence<kIndex...>) const {
    const uint8_t* found = nullptr;
    ((found = kSections[kIndex].at == section ? section_[kIndex] : found), ...);
    return found;
  }
  const uint8_t* section_[kCount];
};

// Elements 4 * unit ... of a run of 32, of each row: what Quants::get reads.
template <Format kFormat>
struct RunOfRows {
  const BlockOfRows<kFormat>& block;
  int64_t unit;

  HWY_INLINE VBytes four(size_t section, int64_t offset) const {
    return hn::BitCast(DBytes(), block.words(section, offset));
  }
  HWY_INLINE VBytes bytes(size_t section, int64_t offset) const {
    return hn::Xor(four(section, offset + 4 * unit), hn::Set(DBytes(), BlockOfRows<kFormat>::flip(section)));
  }
  HWY_INLINE VBytes bits(size_t section, int64_t offset, int64_t n, uint8_t mask) const {
    return quants::bits(four(section, offset + 4 * unit), n, mask);
  }
  HWY_INLINE VBytes nibbles(size_t section, int64_t offset) const {
    return quants::bits(four(section, offset + unit % 4 * 4), unit / 4 * -4, 15);
  }
  HWY_INLINE VBytes nibbles_by_8(size_t section, int64_t offset) const {
    return quants::bits(four(section, offset + unit / 4 * 8 + unit % 2 * 4), unit / 2 % 2 * -4, 15);
  }
  // BlockSection::by_fours: bit `unit` of byte j is that of element 4 * unit + j.
  HWY_INLINE VBytes fifth_bits(size_t section) const { return quants::bits(four(section, 0), 4 - unit, 16); }
};

template <Format kFormat>
inline constexpr int64_t kScalesOf = Quants<kFormat>::kElements / Quants<kFormat>::kGrain;

// The largest section of a block, as far ahead as the elements that are decoded now: they come next, but for the end of
// a row, where other rows follow. The hardware sees several streams at a time, and begins anew with each page.
template <Format kFormat>
HWY_INLINE void prefetch_ahead(const BlockOfRows<kFormat>& rows, int64_t depth) {
  constexpr BlockSection kLargest = FormatTraits<kFormat>::kSections[0];
  constexpr int64_t kBytes = kLargest.bytes * kGroupRows;
  const uint8_t* next = rows.at(kLargest.at) + depth / Quants<kFormat>::kElements * kBytes;
  WEFT_UNROLL
  for (int64_t i = 0; i < kBytes; i += 64) hwy::Prefetch(next + i);
}

// Element j of the four that `bytes` has of each row, from Quants::get, as f32. `scale`, `minimum`: those of the block;
// `grain`: which of them.
template <Format kFormat>
HWY_INLINE VF float_of(VBytes bytes, int64_t j, const VF* scale, const VF* minimum, int64_t grain) {
  const VWords words = hn::BitCast(DWords(), bytes);
  const VF q = Quants<kFormat>::kSigned ? quants::signed_byte_of(words, j) : quants::byte_of(words, j);
  if constexpr (Quants<kFormat>::kMinimum) return hn::MulSub(q, scale[grain], minimum[grain]);
  else return hn::Mul(q, scale[grain]);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
