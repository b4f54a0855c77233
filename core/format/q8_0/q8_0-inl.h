// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q8_0> : quants::Scaled32<Format::q8_0> {
  static HWY_INLINE const uint8_t* bytes(const uint8_t* block) { return block + kValues; }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t) {
    return run.bytes(kValues, 0);
  }
};
