static inline float2 weft_scale_q3_k(weft_bytes block, int h) {
  const int low = block[96 + (h & 7)] >> (h & 8 ? 4 : 0) & 15;
  const int high = block[104 + (h & 3)] >> (h >> 2) * 2 & 3;
  return (float2)(weft_half_at(block + 108) * (float)((low | high << 4) - 32), 0.0f);
}
static inline char16 weft_sixteen_q3_k(weft_bytes block, int h) {
  const char16 low = weft_bits16(block + 32 + (h >> 3) * 32 + (h & 1) * 16, (h >> 1 & 3) * 2, 3);
  const char16 high = weft_bits16(block + (h & 1) * 16, h >> 1, 1);
  return low + high * (char16)4 - (char16)4;
}
static inline int weft_number_q3_k(weft_bytes block, int i) {
  return (block[32 + (i >> 7) * 32 + (i & 31)] >> (i >> 5 & 3) * 2 & 3) + (block[i & 31] >> (i >> 5) & 1) * 4 - 4;
}
WEFT_BLOCKS_OF(256, q3_k, 110)
