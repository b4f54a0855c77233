// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::nvfp4> : quants::Block<Format::nvfp4, 16, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    const hn::FixedTag<float, 4> df;
    const hn::RebindToUnsigned<decltype(df)> du;
    const auto bits = hn::PromoteTo(du, hn::LoadU(hn::FixedTag<uint8_t, 4>(), block + kScales));
    const auto small = hn::BitCast(df, hn::ShiftLeft<20>(hn::And(bits, hn::Set(du, 0x7f))));
    const auto none = hn::RebindMask(df, hn::Eq(bits, hn::Set(du, kNoScale)));
    hn::StoreU(hn::IfThenZeroElse(none, hn::Mul(small, hn::Set(df, 0x1p119f))), df, scale);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF*) {
    const hn::RebindToUnsigned<DF> du;
    const auto bytes = rows.words(kScales, 0);
    const auto halved = [&](auto moved) HWY_ATTR {
      const auto bits = hn::And(moved, hn::Set(du, 255));
      const VF small = hn::BitCast(DF(), hn::ShiftLeft<20>(hn::And(bits, hn::Set(du, 0x7f))));
      const auto none = hn::RebindMask(DF(), hn::Eq(bits, hn::Set(du, kNoScale)));
      return hn::IfThenZeroElse(none, hn::Mul(small, hn::Set(DF(), 0x1p119f)));
    };
    scale[0] = halved(bytes);
    scale[1] = halved(hn::ShiftRight<8>(bytes));
    scale[2] = halved(hn::ShiftRight<16>(bytes));
    scale[3] = halved(hn::ShiftRight<24>(bytes));
  }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    return quants::looked_up(kE2m1Values, run.nibbles_by_8(kValues, 16 * i));
  }
};
