// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q2_k> : quants::Block<Format::q2_k, 16, false, true> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float* minimum) {
    const hn::FixedTag<uint8_t, 16> d;
    const hn::Repartition<uint16_t, decltype(d)> words;
    const auto packed = hn::LoadU(d, block + kScales);
    uint8_t low[16], high[16];
    hn::StoreU(hn::And(packed, hn::Set(d, 15)), d, low);
    hn::StoreU(hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(words, packed))), hn::Set(d, 15)), d, high);
    quants::scaled<16>(low, quants::scale_at(block + kScale), scale);
    quants::scaled<16>(high, quants::scale_at(block + kMin), minimum);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF* minimum) {
    const hn::RebindToUnsigned<DF> du;
    const VF by = rows.halves(kScale), least = rows.halves(kMin);
    WEFT_UNROLL
    for (int64_t i = 0; i < 16; ++i) {
      const auto four = rows.words(kScales, i / 4 * 4);
      scale[i] = hn::Mul(by, quants::byte_of(hn::And(four, hn::Set(du, 0x0f0f0f0fu)), i % 4));
      minimum[i] = hn::Mul(least, quants::byte_of(hn::And(hn::ShiftRight<4>(four), hn::Set(du, 0x0f0f0f0fu)), i % 4));
    }
  }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    return run.bits(kLow, i / 4 * 32, -(i % 4 * 2), 3);
  }
};
