// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Floats<Format::bf16> {
  static HWY_INLINE VF load(const uint8_t* from) {
    const auto bits = hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(from));
    return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(hn::RebindToUnsigned<DF>(), bits)));
  }
};
