// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q8_k> : quants::Block<Format::q8_k, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    for (int64_t i = 0; i < 8; ++i) scale[i] = load_as<float>(block + kScale);
  }
  template <class Rows>
  static HWY_INLINE void scales_of_rows(const Rows& rows, VF* scale, VF*) {
    const VF by = hn::BitCast(DF(), rows.words(kScale, 0));
    WEFT_UNROLL
    for (int64_t i = 0; i < 8; ++i) scale[i] = by;
  }
  template <class Rows>
  static HWY_INLINE void begin_run(const Rows& rows, int64_t i) {
    if (i == 0) rows.touch(kSums, 32);
  }
  template <class Run>
  static HWY_INLINE auto get(const Run& run, int64_t i) {
    return run.bytes(kValues, i * kRun);
  }
};
