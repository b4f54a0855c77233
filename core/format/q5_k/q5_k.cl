#define weft_scale_q5_k weft_six_bit_pair
static inline char16 weft_sixteen_q5_k(weft_bytes block, int h) {
  const char16 low = weft_bits16(block + 48 + (h >> 2) * 32 + (h & 1) * 16, (h >> 1 & 1) * 4, 15);
  return low + weft_bits16(block + 16 + (h & 1) * 16, h >> 1, 1) * (char16)16;
}
static inline int weft_number_q5_k(weft_bytes block, int i) {
  return (block[48 + (i >> 6) * 32 + (i & 31)] >> (i >> 5 & 1) * 4 & 15) + (block[16 + (i & 31)] >> (i >> 5) & 1) * 16;
}
WEFT_BLOCKS_OF(256, q5_k, 176)
