static inline int weft_load_i32(weft_bytes m, long e) { return ((__global const int*)m)[e]; }
static inline void weft_store_i32(__global uchar* m, long e, int x) { ((__global int*)m)[e] = x; }
