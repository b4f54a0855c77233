// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::iq4_nl> : quants::Scaled32<Format::iq4_nl> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return quants::looked_up(kIq4Values, quants::nibbles(block + kValues, part));
  }
};
