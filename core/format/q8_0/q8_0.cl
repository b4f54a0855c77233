static inline float weft_load_q8_0(weft_bytes m, long e) {
  const weft_bytes block = m + (e >> 5) * 34;
  return weft_half_at(block) * (float)(char)block[2 + (e & 31)];
}
static inline void weft_load32_q8_0(weft_bytes m, long e, float16* lo, float16* hi) {
  const weft_bytes block = m + (e >> 5) * 34;
  const float scale = weft_half_at(block);
  *lo = convert_float16(vload16(0, (__global const char*)(block + 2))) * scale;
  *hi = convert_float16(vload16(1, (__global const char*)(block + 2))) * scale;
}
