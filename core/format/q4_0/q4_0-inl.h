// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q4_0> : quants::Scaled32<Format::q4_0> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return quants::minus(quants::nibbles(block + kValues, part), 8);
  }
};
