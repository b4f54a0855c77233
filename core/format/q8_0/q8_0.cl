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
// The steps of FormatTraits<Format::q8_0>::encode without its powers of two, which cancel. A block with an infinity or a
// NaN becomes one of NaN.
static inline void weft_encode32_q8_0(__global uchar* m, long block, __global const float* x) {
  __global uchar* to = m + block * 34;
  int largest = 0;  // the bits of magnitudes compare like the magnitudes
  for (int i = 0; i < 32; ++i) largest = max(largest, as_int(x[i]) & 0x7fffffff);
  if (largest >= 0x7f800000) {
    for (int i = 0; i < 34; ++i) to[i] = i == 1 ? 0x7e : 0;
    return;
  }
  vstore_half_rte(fmin(as_float(largest) / 127.0f, 65504.0f), 0, (__global half*)to);
  const float scale = weft_half_at(to);
  const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
  for (int i = 0; i < 32; ++i) to[2 + i] = as_uchar(convert_char_rte(clamp(x[i] * inverse, -127.0f, 127.0f)));
}

// As matrices of `rows` rows of k elements whose rows are interleaved by 16, in runs of four (core/record/layout.h):
// the group that holds a row, counted over all matrices; the chunk of a block;
// of row r of a group, its run i, and the scale of a block.
static inline weft_bytes weft_group_q8_0_x16(weft_bytes m, long row, int k, int rows) {
  const long matrix = row / rows, group = matrix * ((rows + 15) / 16) + row % rows / 16;
  return m + group * ((17L * k + 63) / 64 * 64);
}
static inline weft_bytes weft_chunk_q8_0_x16(weft_bytes group, int block) { return group + (block & ~7) * 544L; }
static inline float4 weft_run_q8_0_x16(weft_bytes group, int r, int i, int k) {
  const int block = i >> 3, led = min(8, k / 32 - (block & ~7));
  const weft_bytes elements = weft_chunk_q8_0_x16(group, block) + 32 * led + 512 * (block & 7);
  return convert_float4(as_char4(((__global const uint*)elements)[16 * (i & 7) + r] ^ 0x80808080u));
}
static inline float weft_scale_q8_0_x16(weft_bytes group, int r, int block) {
  return weft_half_at(weft_chunk_q8_0_x16(group, block) + 2 * (16 * (block & 7) + r));
}
static inline float weft_load_q8_0_x16(weft_bytes m, long e, int k, int rows) {
  const long row = e / k;
  const int i = (int)(e % k), r = (int)(row % rows) % 16;
  const weft_bytes group = weft_group_q8_0_x16(m, row, k, rows);
  const float4 run = weft_run_q8_0_x16(group, r, i / 4, k);
  return weft_scale_q8_0_x16(group, r, i / 32) * (i % 4 < 2 ? (i % 2 ? run.y : run.x) : i % 2 ? run.w : run.z);
}
