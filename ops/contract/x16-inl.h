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
  static constexpr int64_t kChunk = Interleaved::chunk_blocks(kSections, FormatTraits<kFormat>::kElements, kRows16);
  static constexpr bool leads(size_t i) { return Interleaved::leads(kSections[i], kRows16); }
  static constexpr int64_t before(size_t i, bool leading) {
    return Interleaved::bytes_before(i, leading, kSections, kRows16);
  }
  static constexpr int64_t unit(const BlockSection& section) {
    return static_cast<int64_t>(Interleaved::unit(section, kRows16));
  }

 public:
  // `lane`: the first of the rows. `blocks`: of a row.
  HWY_INLINE BlockOfRows(const std::byte* group, int64_t blocks, int64_t block, int64_t lane) {
    constexpr int64_t kLeading = before(kCount, true), kOthers = before(kCount, false);
    const int64_t in = block % kChunk, first = block - in, count = HWY_MIN(kChunk, blocks - first);
    const auto* chunk = reinterpret_cast<const uint8_t*>(group) + first * (kLeading + kOthers) * kGroupRows;
    WEFT_UNROLL
    for (size_t i = 0; i < kCount; ++i) {
      const int64_t at = leads(i) ? count * before(i, true) + in * kSections[i].bytes
                                  : count * kLeading + in * kOthers + before(i, false);
      section_[i] = chunk + at * kGroupRows + lane * unit(kSections[i]);
    }
  }

  // Where byte `byte` of stored blocks begins, which is the first of a unit.
  HWY_INLINE const uint8_t* at(size_t byte) const { return find(byte, std::make_index_sequence<kCount>()); }
  // words: four bytes of each row, `offset` bytes into the section. halves: f16 numbers, as f32. wide_halves,
  // wide_bytes: words of 16 bits, and bytes, as integers.
  HWY_INLINE VWords words(size_t section, int64_t offset) const {
    return hn::LoadU(DWords(), reinterpret_cast<const uint32_t*>(at(section + static_cast<size_t>(offset))));
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

  // Reads lines of a part of a section, so that they are read before what lies behind them. The hardware follows a
  // stream as long as it is read from front to back: without this, Q6_K, which is decoded from two places at a time,
  // comes at a quarter of the speed on Zen 4, and Q8_K, whose sums nothing reads, at half of it.
  HWY_INLINE void touch(size_t byte, int64_t bytes) const {
    for (int64_t i = 0; i < bytes * kGroupRows; i += 64) (void)static_cast<const volatile uint8_t*>(at(byte))[i];
  }
  // Behind this block, but for what leads its chunk.
  HWY_INLINE const uint8_t* end() const { return section_[kCount - 1] + kSections[kCount - 1].bytes * kGroupRows; }

  static constexpr uint8_t flip(size_t section) {
    uint8_t flip = 0;
    for (const BlockSection& s : kSections) flip = s.at == section ? s.flip : flip;
    return flip;
  }

 private:
  template <size_t... kIndex>
  HWY_INLINE const uint8_t* find(size_t byte, std::index_sequence<kIndex...>) const {
    const uint8_t* found = nullptr;
    const auto in = [&](const BlockSection& section) {
      return byte >= section.at && byte - section.at < section.bytes;
    };
    ((found = in(kSections[kIndex]) ? section_[kIndex] + static_cast<int64_t>(byte - kSections[kIndex].at) * kGroupRows
                                    : found),
     ...);
    return found;
  }
  const uint8_t* section_[kCount];
};

// The bits of `mask` of each byte, after a shift up by n that is known when this is compiled.
struct ShiftedBits {
  static HWY_INLINE VBytes of(VBytes bytes, int64_t n, uint8_t mask) { return quants::bits(bytes, n, mask); }
};

// Elements 4 * unit ... of a run of 32, of each row: what Quants::get reads. `Bits`: how it takes bits.
template <Format kFormat, class Bits = ShiftedBits>
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
    return Bits::of(four(section, offset + 4 * unit), n, mask);
  }
  HWY_INLINE VBytes nibbles(size_t section, int64_t offset) const {
    return Bits::of(four(section, offset + unit % 4 * 4), unit / 4 * -4, 15);
  }
  HWY_INLINE VBytes nibbles_by_8(size_t section, int64_t offset) const {
    return Bits::of(four(section, offset + unit / 4 * 8 + unit % 2 * 4), unit / 2 % 2 * -4, 15);
  }
  // BlockSection::by_fours: bit `unit` of byte j is that of element 4 * unit + j.
  HWY_INLINE VBytes fifth_bits(size_t section) const { return Bits::of(four(section, 0), 4 - unit, 16); }
};

template <Format kFormat>
inline constexpr int64_t kScalesOf = Quants<kFormat>::kElements / Quants<kFormat>::kGrain;

// What a kernel that streams a weight does before each block: prefetches as much, `ahead` elements further on, where
// the processor wants it (cpu_target.h).
template <Format kFormat>
HWY_INLINE void stream_block(const BlockOfRows<kFormat>& rows, bool prefetches, int64_t ahead) {
  constexpr int64_t kBytes = FormatTraits<kFormat>::kBytes * kGroupRows, kLine = 64;
  if (!prefetches) return;
  const uint8_t* end = rows.end() + ahead / Quants<kFormat>::kElements * kBytes;
  WEFT_UNROLL
  for (int64_t i = -kBytes; i < 0; i += kLine) hwy::Prefetch(end + i);
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
