// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q4_1> : quants::Offset32<Format::q4_1> {
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t) {
    return run.nibbles(kValues, 0);
  }
};
