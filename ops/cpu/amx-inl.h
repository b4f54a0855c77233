// What kernels that use AMX tiles have in common: the shapes of tile registers, and the order of elements in them. For
// Highway's AVX-512 target with what HWY_PUSH_ATTRIBUTES adds below.

#if defined(WEFT_CPU_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WEFT_CPU_AMX_INL_H_
#undef WEFT_CPU_AMX_INL_H_
#else
#define WEFT_CPU_AMX_INL_H_
#endif

#include "core/format/vectors-inl.h"

#if HWY_ARCH_X86_64 && HWY_TARGET == HWY_AVX3

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",amx-tile,amx-bf16")
namespace weft {
namespace HWY_NAMESPACE {

// The operand of `ldtilecfg`: a register has up to 16 rows of 64 bytes, or is not used.
class alignas(64) TileShapes {
 public:
  void set(int i, int64_t rows) {
    row_bytes_[i] = rows > 0 ? 64 : 0;
    rows_[i] = static_cast<uint8_t>(rows);
  }
  // g++ 12 takes _tile_loadconfig's operand for 8 bytes.
  void load() const { asm volatile("ldtilecfg %0" : : "m"(*this)); }

 private:
  uint8_t palette_ = 1;
  [[maybe_unused]] uint8_t first_row_ = 0, reserved_[14] = {};
  uint16_t row_bytes_[16] = {};
  uint8_t rows_[16] = {};
};

// Tile instructions do not tell the compiler what memory they read and write.
HWY_INLINE void tile_fence() { asm volatile("" : : : "memory"); }

// The 16-bit elements of a vector's lower half, each in a pair with that of the upper half.
HWY_INLINE __m512i pairs_of_halves(__m512i halves) {
  alignas(64) static constexpr uint16_t kTurns[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kTurns), halves);
}

// 16 vectors of 32-bit elements, a row each, to vectors of 16 rows, an element each, which are stored `apart` bytes
// from each other.
HWY_INLINE void turn_16_by_16(const __m512i* rows, void* out, int64_t apart) {
  __m512i by_2[16], by_4[16];
  WEFT_UNROLL
  for (int i = 0; i < 16; i += 2) {
    by_2[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    by_2[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  // by_4[i + p]: element p of each quarter, of rows i to i + 3.
  WEFT_UNROLL
  for (int i = 0; i < 16; i += 4) {
    by_4[i] = _mm512_unpacklo_epi64(by_2[i], by_2[i + 2]);
    by_4[i + 1] = _mm512_unpackhi_epi64(by_2[i], by_2[i + 2]);
    by_4[i + 2] = _mm512_unpacklo_epi64(by_2[i + 1], by_2[i + 3]);
    by_4[i + 3] = _mm512_unpackhi_epi64(by_2[i + 1], by_2[i + 3]);
  }
  const auto store = [&](int element, __m512i vector) {
    _mm512_store_si512(static_cast<std::byte*>(out) + element * apart, vector);
  };
  WEFT_UNROLL
  for (int p = 0; p < 4; ++p) {
    // Quarters 0 and 2, and 1 and 3, of rows 0 to 7, and of rows 8 to 15.
    const __m512i even_low = _mm512_shuffle_i32x4(by_4[p], by_4[4 + p], 0x88);
    const __m512i odd_low = _mm512_shuffle_i32x4(by_4[p], by_4[4 + p], 0xdd);
    const __m512i even_high = _mm512_shuffle_i32x4(by_4[8 + p], by_4[12 + p], 0x88);
    const __m512i odd_high = _mm512_shuffle_i32x4(by_4[8 + p], by_4[12 + p], 0xdd);
    store(p, _mm512_shuffle_i32x4(even_low, even_high, 0x88));
    store(4 + p, _mm512_shuffle_i32x4(odd_low, odd_high, 0x88));
    store(8 + p, _mm512_shuffle_i32x4(even_low, even_high, 0xdd));
    store(12 + p, _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_POP_ATTRIBUTES

#endif

#endif  // per-target include guard
