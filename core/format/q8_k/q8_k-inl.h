// In weft::HWY_NAMESPACE: core/format/quants-inl.h includes this.

template <>
struct Quants<Format::q8_k> : quants::Block<Format::q8_k, 32, true, false> {
  static HWY_INLINE void scales(const uint8_t* block, float* scale, float*) {
    for (int64_t i = 0; i < 8; ++i) scale[i] = load_as<float>(block + kScale);
  }
  static HWY_INLINE V8 get(const uint8_t* block, int64_t run, int64_t part) {
    return hn::LoadU(D8(), block + kValues + run * kRun + part * kPart);
  }
};
