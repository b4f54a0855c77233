// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Floats<Format::f16> {
  static HWY_INLINE VF load(const uint8_t* from) {
    return half_to_float(hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(from)));
  }
};
