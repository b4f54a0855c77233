static inline float2 weft_scale_nvfp4(weft_bytes block, int h) {
  const uint bits = block[h] & 127;
  const float scale = bits < 8 ? (float)bits * 0x1p-10f : as_float((bits << 20) + (119u << 23));
  return (float2)(block[h] == 127 ? 0.0f : scale, 0.0f);
}
static inline char16 weft_sixteen_nvfp4(weft_bytes block, int h) {
  const uchar8 pairs = vload8(0, block + 4 + h * 8);
  return shuffle(vload16(0, weft_e2m1_values), (uchar16)(pairs & (uchar8)15, pairs >> (uchar8)4));
}
static inline int weft_number_nvfp4(weft_bytes block, int i) {
  return weft_e2m1_values[block[4 + (i >> 4) * 8 + (i & 7)] >> (i & 8 ? 4 : 0) & 15];
}
WEFT_BLOCKS_OF(64, nvfp4, 36)
