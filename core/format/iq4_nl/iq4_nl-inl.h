// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::iq4_nl> : quants::Scaled32<Format::iq4_nl> {
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t) {
    return quants::looked_up(kIq4Values, run.nibbles(kValues, 0));
  }
};
