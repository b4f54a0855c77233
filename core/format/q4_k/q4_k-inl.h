// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q4_k> : quants::SixBit256<Format::q4_k> {
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    return run.bits(kLow, i / 2 * 32, -(i % 2 * 4), 15);
  }
};
