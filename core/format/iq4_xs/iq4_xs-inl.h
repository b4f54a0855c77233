// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::iq4_xs> : quants::Block<Format::iq4_xs, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    int8_t packed[8];
    unpack_scales(block, packed);
    quants::scaled<8>(packed, quants::scale_at(block + kScale), scale);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF*) {
    const hn::RebindToUnsigned<DF> du;
    const VF by = rows.halves(kScale);
    const auto low = rows.words(kScalesLow, 0), high = rows.wide_halves(kScalesHigh);
    const auto six = [&](auto four, auto two) HWY_ATTR {
      const auto bits = hn::Or(hn::And(four, hn::Set(du, 15)), hn::ShiftLeft<4>(hn::And(two, hn::Set(du, 3))));
      const auto number = hn::Sub(hn::BitCast(hn::RebindToSigned<DF>(), bits), hn::Set(hn::RebindToSigned<DF>(), 32));
      return hn::Mul(by, hn::ConvertTo(DF(), number));
    };
    scale[0] = six(low, high);
    scale[1] = six(hn::ShiftRight<4>(low), hn::ShiftRight<2>(high));
    scale[2] = six(hn::ShiftRight<8>(low), hn::ShiftRight<4>(high));
    scale[3] = six(hn::ShiftRight<12>(low), hn::ShiftRight<6>(high));
    scale[4] = six(hn::ShiftRight<16>(low), hn::ShiftRight<8>(high));
    scale[5] = six(hn::ShiftRight<20>(low), hn::ShiftRight<10>(high));
    scale[6] = six(hn::ShiftRight<24>(low), hn::ShiftRight<12>(high));
    scale[7] = six(hn::ShiftRight<28>(low), hn::ShiftRight<14>(high));
  }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    return quants::looked_up(kIq4Values, run.nibbles(kValues, 16 * i));
  }
};
