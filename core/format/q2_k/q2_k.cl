static inline float2 weft_scale_q2_k(weft_bytes block, int h) {
  const int own = block[h];
  return (float2)(weft_half_at(block + 80) * (float)(own & 15), weft_half_at(block + 82) * (float)(own >> 4));
}
static inline char16 weft_sixteen_q2_k(weft_bytes block, int h) {
  return weft_bits16(block + 16 + (h >> 3) * 32 + (h & 1) * 16, (h >> 1 & 3) * 2, 3);
}
static inline int weft_number_q2_k(weft_bytes block, int i) {
  return block[16 + (i >> 7) * 32 + (i & 31)] >> (i >> 5 & 3) * 2 & 3;
}
WEFT_BLOCKS_OF(256, q2_k, 84)
