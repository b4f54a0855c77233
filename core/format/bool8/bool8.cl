static inline int weft_load_bool8(weft_bytes m, long e) { return m[e] != 0; }
static inline void weft_store_bool8(__global uchar* m, long e, int x) { m[e] = (uchar)(x != 0); }
