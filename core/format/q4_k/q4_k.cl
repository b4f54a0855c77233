#define weft_scale_q4_k weft_six_bit_pair
static inline char16 weft_sixteen_q4_k(weft_bytes block, int h) {
  return weft_bits16(block + 16 + (h >> 2) * 32 + (h & 1) * 16, (h >> 1 & 1) * 4, 15);
}
static inline int weft_number_q4_k(weft_bytes block, int i) {
  return block[16 + (i >> 6) * 32 + (i & 31)] >> (i >> 5 & 1) * 4 & 15;
}
WEFT_BLOCKS_OF(256, q4_k, 144)
