__constant char weft_e2m1_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
static inline float weft_scale_mxfp4(uchar exponent) {
  return as_float(exponent < 2 ? 0x00200000u << exponent : (uint)(exponent - 1) << 23);
}
WEFT_BLOCKS_OF_32(mxfp4, 17, 1, weft_scale_mxfp4(block[0]), weft_e2m1_values[weft_nibble(packed, i)],
                  weft_looked_up32(packed, vload16(0, weft_e2m1_values), &low, &high), 0, 0.0f)
