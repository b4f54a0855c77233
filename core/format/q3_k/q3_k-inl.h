// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q3_k> : quants::Block<Format::q3_k, 16, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    int8_t packed[16];
    unpack_scales(block, packed);
    quants::scaled<16>(packed, quants::scale_at(block + kScale), scale);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF*) {
    const hn::RebindToUnsigned<DF> du;
    const VF by = rows.halves(kScale);
    const auto low = hn::Set(du, 0x0f0f0f0fu), top = hn::Set(du, 0x30303030u);
    const auto a = rows.words(kScales, 0), b = rows.words(kScales, 4), c = rows.words(kScales, 8);
    // As unpack_scales has them; 32 less by signed bytes.
    const hn::Vec<hn::RebindToUnsigned<DF>> six[4] = {
        hn::Or(hn::And(a, low), hn::And(hn::ShiftLeft<4>(c), top)),
        hn::Or(hn::And(b, low), hn::And(hn::ShiftLeft<2>(c), top)),
        hn::Or(hn::And(hn::ShiftRight<4>(a), low), hn::And(c, top)),
        hn::Or(hn::And(hn::ShiftRight<4>(b), low), hn::And(hn::ShiftRight<2>(c), top))};
    WEFT_UNROLL
    for (int64_t i = 0; i < 16; ++i) {
      scale[i] = hn::Mul(by, hn::Sub(quants::byte_of(six[i / 4], i % 4), hn::Set(DF(), 32.0f)));
    }
  }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    const auto low = run.bits(kLow, i / 4 * 32, -(i % 4 * 2), 3);
    const auto high = run.bits(kHigh, 0, 2 - i, 4);
    return quants::minus(hn::Or(low, high), 4);
  }
};
