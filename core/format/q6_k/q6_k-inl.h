// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q6_k> : quants::Block<Format::q6_k, 16, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    quants::scaled<16>(reinterpret_cast<const int8_t*>(block + kScales), quants::scale_at(block + kScale), scale);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    const int64_t half = run / 4, in_half = run % 4;
    const auto low = quants::bits(block + kLow + half * 64 + in_half % 2 * 32, part, -(in_half / 2 * 4), 15);
    const auto high = quants::bits(block + kHigh + half * 32, part, 4 - in_half * 2, 48);
    return quants::minus(hn::Or(low, high), 32);
  }
};
