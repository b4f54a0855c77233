// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q4_1> : quants::Offset32<Format::q4_1> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return quants::nibbles(block + kValues, part);
  }
};
