static inline float2 weft_scale_q6_k(weft_bytes block, int h) {
  return (float2)(weft_half_at(block + 208) * (float)(char)block[192 + h], 0.0f);
}
static inline char16 weft_sixteen_q6_k(weft_bytes block, int h) {
  const int run = h >> 1 & 3;
  const char16 low = weft_bits16(block + (h >> 3) * 64 + (run & 1) * 32 + (h & 1) * 16, (run >> 1) * 4, 15);
  const char16 high = weft_bits16(block + 128 + (h >> 3) * 32 + (h & 1) * 16, run * 2, 3);
  return low + high * (char16)16 - (char16)32;
}
static inline int weft_number_q6_k(weft_bytes block, int i) {
  const int run = i >> 5 & 3;
  const int low = block[(i >> 7) * 64 + (run & 1) * 32 + (i & 31)] >> (run >> 1) * 4 & 15;
  return low + (block[128 + (i >> 7) * 32 + (i & 31)] >> run * 2 & 3) * 16 - 32;
}
WEFT_BLOCKS_OF(256, q6_k, 210)
