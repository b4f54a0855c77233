// What the texts core/format/NAME/NAME.cl share. Each defines, for its format, with `e` counting elements from `m`,
//   weft_load_X(m, e)             element e, as float or int
//   weft_load32_X(m, e, lo, hi)   (formats of floats) 32 elements from e on, a multiple of 32 for formats of blocks
//   weft_store_X(m, e, x)         (formats without blocks) x to element e
//   weft_encode32_X(m, b, x)      (the format of blocks that caches may have) 32 floats to block b
// and, where a kernel reads it in an interleaved layout, with Y for that
//   weft_load_X_Y(m, e, k, rows)  element e in the order of storage, of matrices of `rows` rows of k elements
// An element of a block is scale * q - minimum; NAME.h says how a block lies.

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

// 32 numbers of 4 bits, and what they stand for.
static inline void weft_looked_up32(weft_bytes packed, char16 values, char16* lo, char16* hi) {
  weft_nibbles(packed, lo, hi);
  *lo = shuffle(values, as_uchar16(*lo));
  *hi = shuffle(values, as_uchar16(*hi));
}

// The scale (x) and the minimum (y) of half `h` of a run of 32, in blocks that begin as those of Q4_K.
static inline float2 weft_six_bit_pair(weft_bytes block, int h) {
  const int run = h >> 1;
  const weft_bytes s = block + 4;
  const int scale = run < 4 ? s[run] & 63 : (s[run + 4] & 15) | (s[run - 4] >> 6) << 4;
  const int minimum = run < 4 ? s[run + 4] & 63 : s[run + 4] >> 4 | (s[run] >> 6) << 4;
  return (float2)(weft_half_at(block) * (float)scale, weft_half_at(block + 2) * (float)minimum);
}

// ---- both loads of formats of blocks

// Of 32 elements. Name, bytes of a block, where the packed numbers begin, the scale, the number of element i, the numbers
// of all, what is subtracted from a number, and the minimum.
#define WEFT_BLOCKS_OF_32(name, bytes, values, scale_of, one, all, less, minimum)           \
  static inline float weft_load_##name(weft_bytes m, long e) {                              \
    const weft_bytes block = m + (e >> 5) * bytes, packed = block + values;                 \
    const int i = (int)(e & 31);                                                            \
    return (scale_of) * (float)((one) - less) - (minimum);                                  \
  }                                                                                         \
  static inline void weft_load32_##name(weft_bytes m, long e, float16* lo, float16* hi) {   \
    const weft_bytes block = m + (e >> 5) * bytes, packed = block + values;                 \
    const float scale = scale_of;                                                           \
    char16 low, high;                                                                       \
    all;                                                                                    \
    *lo = convert_float16(low - (char16)less) * scale - (minimum);                          \
    *hi = convert_float16(high - (char16)less) * scale - (minimum);                         \
  }

// Of more: runs of 16 whose scales (x) and minimums (y) may differ. Elements (a power of two), name, and bytes of a block,
// for which there are
//   weft_scale_X(block, h)    scale and minimum of run h
//   weft_sixteen_X(block, h)  the numbers of run h
//   weft_number_X(block, i)   the number of element i
#define WEFT_BLOCKS_OF(elements, name, bytes)                                                   \
  static inline float weft_load_##name(weft_bytes m, long e) {                                  \
    const weft_bytes block = m + (long)((ulong)e / elements) * bytes;                           \
    const int i = (int)(e & (elements - 1));                                                    \
    const float2 scale = weft_scale_##name(block, i >> 4);                                      \
    return scale.x * (float)weft_number_##name(block, i) - scale.y;                             \
  }                                                                                             \
  static inline void weft_load32_##name(weft_bytes m, long e, float16* lo, float16* hi) {       \
    const weft_bytes block = m + (long)((ulong)e / elements) * bytes;                           \
    const int h = (int)(e & (elements - 1)) >> 4;                                               \
    const float2 first = weft_scale_##name(block, h), second = weft_scale_##name(block, h + 1); \
    *lo = convert_float16(weft_sixteen_##name(block, h)) * first.x - first.y;                   \
    *hi = convert_float16(weft_sixteen_##name(block, h + 1)) * second.x - second.y;             \
  }
