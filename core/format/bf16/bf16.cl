static inline float weft_load_bf16(weft_bytes m, long e) {
  return as_float((uint)((__global const ushort*)m)[e] << 16);
}
static inline void weft_store_bf16(__global uchar* m, long e, float x) {
  const uint bits = as_uint(x);
  const uint rounded = x != x ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
  ((__global ushort*)m)[e] = (ushort)(rounded >> 16);
}
static inline void weft_load32_bf16(weft_bytes m, long e, float16* lo, float16* hi) {
  *lo = as_float16(convert_uint16(vload16(0, (__global const ushort*)m + e)) << 16);
  *hi = as_float16(convert_uint16(vload16(1, (__global const ushort*)m + e)) << 16);
}
