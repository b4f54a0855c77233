// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q6_k> : quants::Block<Format::q6_k, 16, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    quants::scaled<16>(reinterpret_cast<const int8_t*>(block + kScales), quants::scale_at(block + kScale), scale);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF*) {
    const VF by = rows.halves(kScale);
    WEFT_UNROLL
    for (int64_t i = 0; i < 16; ++i) {
      scale[i] = hn::Mul(by, quants::signed_byte_of(rows.words(kScales, i / 4 * 4), i % 4));
    }
  }
  template <class Rows>
  static HWY_INLINE void begin_run(const Rows& rows, int64_t i) {
    if (i % 4 == 0) rows.touch(kHigh + static_cast<size_t>(i / 4 * 32), 32);
  }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    const int64_t half = i / 4, in_half = i % 4;
    const auto low = run.bits(kLow, half * 64 + in_half % 2 * 32, -(in_half / 2 * 4), 15);
    const auto high = run.bits(kHigh, half * 32, 4 - in_half * 2, 48);
    return quants::minus(hn::Or(low, high), 32);
  }
};
