// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q8_0> : quants::Scaled32<Format::q8_0> {
  static HWY_INLINE const uint8_t* bytes(const uint8_t* block) { return block + kValues; }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t, int64_t part) {
    return hn::LoadU(D8(), bytes(block) + part * kPart);
  }
};
