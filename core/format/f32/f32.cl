static inline float weft_load_f32(weft_bytes m, long e) { return ((__global const float*)m)[e]; }
static inline void weft_store_f32(__global uchar* m, long e, float x) { ((__global float*)m)[e] = x; }
static inline void weft_load32_f32(weft_bytes m, long e, float16* lo, float16* hi) {
  *lo = vload16(0, (__global const float*)m + e);
  *hi = vload16(1, (__global const float*)m + e);
}
