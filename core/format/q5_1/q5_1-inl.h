// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q5_1> : quants::Offset32<Format::q5_1> {
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t) {
    return hn::Or(run.nibbles(kValues, 0), run.fifth_bits(kFifth));
  }
};
