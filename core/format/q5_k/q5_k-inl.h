// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q5_k> : quants::SixBit256<Format::q5_k> {
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    const auto low = run.bits(kLow, i / 2 * 32, -(i % 2 * 4), 15);
    return hn::Or(low, run.bits(kHigh, 0, 4 - i, 16));
  }
};
