static inline float2 weft_scale_iq4_xs(weft_bytes block, int h) {
  const int run = h >> 1;
  const int low = block[4 + (run >> 1)] >> (run & 1) * 4 & 15;
  const int high = (block[2] | block[3] << 8) >> run * 2 & 3;
  return (float2)(weft_half_at(block) * (float)((low | high << 4) - 32), 0.0f);
}
static inline char16 weft_sixteen_iq4_xs(weft_bytes block, int h) {
  char16 lo, hi;
  weft_looked_up32(block + 8 + (h >> 1) * 16, vload16(0, weft_iq4_values), &lo, &hi);
  return h & 1 ? hi : lo;
}
static inline int weft_number_iq4_xs(weft_bytes block, int i) {
  return weft_iq4_values[weft_nibble(block + 8 + (i >> 5) * 16, i & 31)];
}
WEFT_BLOCKS_OF(256, iq4_xs, 136)
