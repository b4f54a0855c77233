static inline float2 weft_scale_q8_k(weft_bytes block, int h) {
  return (float2)(*(__global const float*)block, 0.0f);
}
static inline char16 weft_sixteen_q8_k(weft_bytes block, int h) {
  return vload16(h, (__global const char*)(block + 4));
}
static inline int weft_number_q8_k(weft_bytes block, int i) { return (char)block[4 + i]; }
WEFT_BLOCKS_OF(256, q8_k, 292)
