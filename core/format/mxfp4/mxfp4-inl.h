// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::mxfp4> : quants::Block<Format::mxfp4, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) { scale[0] = halved_scale(block[kScale]); }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return quants::looked_up(kE2m1Values, quants::nibbles(block + kValues, part));
  }
};
