// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q4_k> : quants::SixBit256<Format::q4_k> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return quants::bits(block + kLow + run / 2 * 32, part, -(run % 2 * 4), 15);
  }
};
