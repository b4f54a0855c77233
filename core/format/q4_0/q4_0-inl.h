// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q4_0> : quants::Scaled32<Format::q4_0> {
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t) {
    return quants::minus(run.nibbles(kValues, 0), 8);
  }
};
