WEFT_BLOCKS_OF_32(q4_1, 20, 4, weft_half_at(block), weft_nibble(packed, i), weft_nibbles(packed, &low, &high), 0,
                  -weft_half_at(block + 2))
