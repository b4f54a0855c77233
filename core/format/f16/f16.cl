static inline float weft_load_f16(weft_bytes m, long e) { return vload_half((size_t)e, (__global const half*)m); }
static inline void weft_store_f16(__global uchar* m, long e, float x) {
  vstore_half_rte(x, (size_t)e, (__global half*)m);
}
static inline void weft_load32_f16(weft_bytes m, long e, float16* lo, float16* hi) {
  *lo = vload_half16(0, (__global const half*)m + e);
  *hi = vload_half16(1, (__global const half*)m + e);
}
