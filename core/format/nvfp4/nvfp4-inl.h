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
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    const hn::Repartition<uint64_t, quants::D16> eight;
    const auto both = hn::LoadU(quants::D16(), block + kValues + 16 * run);
    const auto low = hn::BitCast(eight, both), high = hn::BitCast(eight, quants::high_nibbles(both));
    const auto first = hn::BitCast(quants::D16(), hn::InterleaveLower(eight, low, high));
    const auto second = hn::BitCast(quants::D16(), hn::InterleaveUpper(eight, low, high));
    return quants::looked_up(kE2m1Values, hn::And(quants::part_of(first, second, part), hn::Set(D8(), 15)));
  }
};
