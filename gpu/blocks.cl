// Elements of the block formats; `e` counts elements from `m`. core/format/format_blocks.cc describes the layout
// of each block: an element is scale * q - minimum, and what weft_load_X (one element) and weft_load32_X (32 of
// them from a multiple of 32 on) share is written only once.

static inline float weft_half_at(weft_bytes at) { return vload_half(0, (__global const half*)at); }
static inline uint weft_word_at(weft_bytes at) {
  return (uint)at[0] | (uint)at[1] << 8 | (uint)at[2] << 16 | (uint)at[3] << 24;
}

// 16 bytes: the low four bits are elements 0..15, the high ones 16..31.
static inline int weft_nibble(weft_bytes packed, int i) { return packed[i & 15] >> (i & 16 ? 4 : 0) & 15; }
static inline void weft_nibbles(weft_bytes packed, char16* lo, char16* hi) {
  const uchar16 pairs = vload16(0, packed);
  *lo = as_char16(pairs & (uchar16)15);
  *hi = as_char16(pairs >> (uchar16)4);
}
// The same with a fifth bit: bit i of 32 for element i.
static inline int weft_five_bits(weft_bytes packed, uint fifth, int i) {
  return weft_nibble(packed, i) | (int)(fifth >> i & 1u) << 4;
}
static inline char16 weft_fifth16(uint bits) {
  const uint16 at = (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return convert_char16((((uint16)bits >> at) & (uint16)1) << (uint16)4);
}
static inline void weft_five_bits32(weft_bytes packed, uint fifth, char16* lo, char16* hi) {
  weft_nibbles(packed, lo, hi);
  *lo |= weft_fifth16(fifth);
  *hi |= weft_fifth16(fifth >> 16);
}

// Selects bits of 16 bytes: those of `mask` after a right shift by `n`.
static inline char16 weft_bits16(weft_bytes from, int n, uchar mask) {
  return as_char16((vload16(0, from) >> (uchar16)(uchar)n) & (uchar16)mask);
}

__constant char weft_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};

// ---- blocks of 32

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

// Name, bytes of a block, where the packed numbers begin, the number of element i, the numbers of all, what is
// subtracted from a number, and the minimum.
#define WEFT_BLOCKS_OF_32(name, bytes, values, one, all, less, minimum)                     \
  static inline float weft_load_##name(weft_bytes m, long e) {                              \
    const weft_bytes block = m + (e >> 5) * bytes, packed = block + values;                 \
    const int i = (int)(e & 31);                                                            \
    return weft_half_at(block) * (float)((one) - less) - (minimum);                         \
  }                                                                                         \
  static inline void weft_load32_##name(weft_bytes m, long e, float16* lo, float16* hi) {   \
    const weft_bytes block = m + (e >> 5) * bytes, packed = block + values;                 \
    const float scale = weft_half_at(block);                                                \
    char16 low, high;                                                                       \
    all;                                                                                    \
    *lo = convert_float16(low - (char16)less) * scale - (minimum);                          \
    *hi = convert_float16(high - (char16)less) * scale - (minimum);                         \
  }

WEFT_BLOCKS_OF_32(q4_0, 18, 2, weft_nibble(packed, i), weft_nibbles(packed, &low, &high), 8, 0.0f)
WEFT_BLOCKS_OF_32(q4_1, 20, 4, weft_nibble(packed, i), weft_nibbles(packed, &low, &high), 0, -weft_half_at(block + 2))
WEFT_BLOCKS_OF_32(q5_0, 22, 6, weft_five_bits(packed, weft_word_at(block + 2), i),
                  weft_five_bits32(packed, weft_word_at(block + 2), &low, &high), 16, 0.0f)
WEFT_BLOCKS_OF_32(q5_1, 24, 8, weft_five_bits(packed, weft_word_at(block + 4), i),
                  weft_five_bits32(packed, weft_word_at(block + 4), &low, &high), 0, -weft_half_at(block + 2))

static inline void weft_iq4_32(weft_bytes packed, char16* lo, char16* hi) {
  weft_nibbles(packed, lo, hi);
  const char16 values = vload16(0, weft_iq4_values);
  *lo = shuffle(values, as_uchar16(*lo));
  *hi = shuffle(values, as_uchar16(*hi));
}
WEFT_BLOCKS_OF_32(iq4_nl, 18, 2, weft_iq4_values[weft_nibble(packed, i)], weft_iq4_32(packed, &low, &high), 0, 0.0f)

// ---- blocks of 256: 8 runs of 32, whose halves of 16 may have separate scales

// The scale (x) and the minimum (y) of half `h` (of 16) of a block.
static inline float2 weft_scale_q2_k(weft_bytes block, int h) {
  const int own = block[h];
  return (float2)(weft_half_at(block + 80) * (float)(own & 15), weft_half_at(block + 82) * (float)(own >> 4));
}
static inline float2 weft_scale_q3_k(weft_bytes block, int h) {
  const int low = block[96 + (h & 7)] >> (h & 8 ? 4 : 0) & 15;
  const int high = block[104 + (h & 3)] >> (h >> 2) * 2 & 3;
  return (float2)(weft_half_at(block + 108) * (float)((low | high << 4) - 32), 0.0f);
}
static inline float2 weft_scale_q4_k(weft_bytes block, int h) {
  const int run = h >> 1;
  const weft_bytes s = block + 4;
  const int scale = run < 4 ? s[run] & 63 : (s[run + 4] & 15) | (s[run - 4] >> 6) << 4;
  const int minimum = run < 4 ? s[run + 4] & 63 : s[run + 4] >> 4 | (s[run] >> 6) << 4;
  return (float2)(weft_half_at(block) * (float)scale, weft_half_at(block + 2) * (float)minimum);
}
#define weft_scale_q5_k weft_scale_q4_k
static inline float2 weft_scale_q6_k(weft_bytes block, int h) {
  return (float2)(weft_half_at(block + 208) * (float)(char)block[192 + h], 0.0f);
}
static inline float2 weft_scale_q8_k(weft_bytes block, int h) {
  return (float2)(*(__global const float*)block, 0.0f);
}
static inline float2 weft_scale_iq4_xs(weft_bytes block, int h) {
  const int run = h >> 1;
  const int low = block[4 + (run >> 1)] >> (run & 1) * 4 & 15;
  const int high = (block[2] | block[3] << 8) >> run * 2 & 3;
  return (float2)(weft_half_at(block) * (float)((low | high << 4) - 32), 0.0f);
}

// Numbers 16 * h ... of a block.
static inline char16 weft_sixteen_q2_k(weft_bytes block, int h) {
  return weft_bits16(block + 16 + (h >> 3) * 32 + (h & 1) * 16, (h >> 1 & 3) * 2, 3);
}
static inline char16 weft_sixteen_q3_k(weft_bytes block, int h) {
  const char16 low = weft_bits16(block + 32 + (h >> 3) * 32 + (h & 1) * 16, (h >> 1 & 3) * 2, 3);
  const char16 high = weft_bits16(block + (h & 1) * 16, h >> 1, 1);
  return low + high * (char16)4 - (char16)4;
}
static inline char16 weft_sixteen_q4_k(weft_bytes block, int h) {
  return weft_bits16(block + 16 + (h >> 2) * 32 + (h & 1) * 16, (h >> 1 & 1) * 4, 15);
}
static inline char16 weft_sixteen_q5_k(weft_bytes block, int h) {
  const char16 low = weft_bits16(block + 48 + (h >> 2) * 32 + (h & 1) * 16, (h >> 1 & 1) * 4, 15);
  return low + weft_bits16(block + 16 + (h & 1) * 16, h >> 1, 1) * (char16)16;
}
static inline char16 weft_sixteen_q6_k(weft_bytes block, int h) {
  const int run = h >> 1 & 3;
  const char16 low = weft_bits16(block + (h >> 3) * 64 + (run & 1) * 32 + (h & 1) * 16, (run >> 1) * 4, 15);
  const char16 high = weft_bits16(block + 128 + (h >> 3) * 32 + (h & 1) * 16, run * 2, 3);
  return low + high * (char16)16 - (char16)32;
}
static inline char16 weft_sixteen_q8_k(weft_bytes block, int h) {
  return vload16(h, (__global const char*)(block + 4));
}
static inline char16 weft_sixteen_iq4_xs(weft_bytes block, int h) {
  char16 lo, hi;
  weft_iq4_32(block + 8 + (h >> 1) * 16, &lo, &hi);
  return h & 1 ? hi : lo;
}

// Number i of a block.
static inline int weft_number_q2_k(weft_bytes block, int i) {
  return block[16 + (i >> 7) * 32 + (i & 31)] >> (i >> 5 & 3) * 2 & 3;
}
static inline int weft_number_q3_k(weft_bytes block, int i) {
  return (block[32 + (i >> 7) * 32 + (i & 31)] >> (i >> 5 & 3) * 2 & 3) + (block[i & 31] >> (i >> 5) & 1) * 4 - 4;
}
static inline int weft_number_q4_k(weft_bytes block, int i) {
  return block[16 + (i >> 6) * 32 + (i & 31)] >> (i >> 5 & 1) * 4 & 15;
}
static inline int weft_number_q5_k(weft_bytes block, int i) {
  return (block[48 + (i >> 6) * 32 + (i & 31)] >> (i >> 5 & 1) * 4 & 15) + (block[16 + (i & 31)] >> (i >> 5) & 1) * 16;
}
static inline int weft_number_q6_k(weft_bytes block, int i) {
  const int run = i >> 5 & 3;
  const int low = block[(i >> 7) * 64 + (run & 1) * 32 + (i & 31)] >> (run >> 1) * 4 & 15;
  return low + (block[128 + (i >> 7) * 32 + (i & 31)] >> run * 2 & 3) * 16 - 32;
}
static inline int weft_number_q8_k(weft_bytes block, int i) { return (char)block[4 + i]; }
static inline int weft_number_iq4_xs(weft_bytes block, int i) {
  return weft_iq4_values[weft_nibble(block + 8 + (i >> 5) * 16, i & 31)];
}

#define WEFT_BLOCKS_OF_256(name, bytes)                                                    \
  static inline float weft_load_##name(weft_bytes m, long e) {                             \
    const weft_bytes block = m + (e >> 8) * bytes;                                         \
    const int i = (int)(e & 255);                                                          \
    const float2 scale = weft_scale_##name(block, i >> 4);                                 \
    return scale.x * (float)weft_number_##name(block, i) - scale.y;                        \
  }                                                                                        \
  static inline void weft_load32_##name(weft_bytes m, long e, float16* lo, float16* hi) {  \
    const weft_bytes block = m + (e >> 8) * bytes;                                         \
    const int h = (int)(e & 255) >> 4;                                                     \
    const float2 first = weft_scale_##name(block, h), second = weft_scale_##name(block, h + 1); \
    *lo = convert_float16(weft_sixteen_##name(block, h)) * first.x - first.y;              \
    *hi = convert_float16(weft_sixteen_##name(block, h + 1)) * second.x - second.y;        \
  }

WEFT_BLOCKS_OF_256(q2_k, 84)
WEFT_BLOCKS_OF_256(q3_k, 110)
WEFT_BLOCKS_OF_256(q4_k, 144)
WEFT_BLOCKS_OF_256(q5_k, 176)
WEFT_BLOCKS_OF_256(q6_k, 210)
WEFT_BLOCKS_OF_256(q8_k, 292)
WEFT_BLOCKS_OF_256(iq4_xs, 136)
