// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q3_k> : quants::Block<Format::q3_k, 16, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    int8_t packed[16];
    unpack_scales(block, packed);
    quants::scaled<16>(packed, quants::scale_at(block + kScale), scale);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    const auto low = quants::bits(block + kLow + run / 4 * 32, part, -(run % 4 * 2), 3);
    const auto high = quants::bits(block + kHigh, part, 2 - run, 4);
    return quants::minus(hn::Or(low, high), 4);
  }
};
