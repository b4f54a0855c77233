WEFT_BLOCKS_OF_32(q4_0, 18, 2, weft_half_at(block), weft_nibble(packed, i), weft_nibbles(packed, &low, &high), 8, 0.0f)
