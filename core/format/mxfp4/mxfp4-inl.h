// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::mxfp4> : quants::Block<Format::mxfp4, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) { scale[0] = halved_scale(block[kScale]); }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF*) {
    const hn::RebindToUnsigned<DF> du;
    const auto exponent = rows.wide_bytes(kScale);
    const auto normal = hn::ShiftLeft<23>(hn::Sub(exponent, hn::Set(du, 1)));
    // The first two are subnormal.
    const auto first = hn::Eq(exponent, hn::Zero(du)), second = hn::Eq(exponent, hn::Set(du, 1));
    const auto small = hn::IfThenElse(second, hn::Set(du, 0x00400000u), normal);
    scale[0] = hn::BitCast(DF(), hn::IfThenElse(first, hn::Set(du, 0x00200000u), small));
  }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t) {
    return quants::looked_up(kE2m1Values, run.nibbles(kValues, 0));
  }
};
