// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q2_k> : quants::Block<Format::q2_k, 16, false, true> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float* minimum) {
    const hn::FixedTag<uint8_t, 16> d;
    const hn::Repartition<uint16_t, decltype(d)> words;
    const auto packed = hn::LoadU(d, block + kScales);
    uint8_t low[16], high[16];
    hn::StoreU(hn::And(packed, hn::Set(d, 15)), d, low);
    hn::StoreU(hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(words, packed))), hn::Set(d, 15)), d, high);
    quants::scaled<16>(low, quants::scale_at(block + kScale), scale);
    quants::scaled<16>(high, quants::scale_at(block + kMin), minimum);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return quants::bits(block + kLow + run / 4 * 32, part, -(run % 4 * 2), 3);
  }
};
