// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q5_k> : quants::SixBit256<Format::q5_k> {
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    const auto low = quants::bits(block + kLow + run / 2 * 32, part, -(run % 2 * 4), 15);
    return hn::Or(low, quants::bits(block + kHigh, part, 4 - run, 16));
  }
};
