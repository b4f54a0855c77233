// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Floats<Format::f32> {
  static HWY_INLINE VF load(const uint8_t* from) { return hn::LoadU(DF(), reinterpret_cast<const float*>(from)); }
};
