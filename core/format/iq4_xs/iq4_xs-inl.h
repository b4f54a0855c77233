// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::iq4_xs> : quants::Block<Format::iq4_xs, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    int8_t packed[8];
    unpack_scales(block, packed);
    quants::scaled<8>(packed, quants::scale_at(block + kScale), scale);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return quants::looked_up(kIq4Values, quants::nibbles(block + kValues + 16 * run, part));
  }
};
