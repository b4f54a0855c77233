WEFT_BLOCKS_OF_32(iq4_nl, 18, 2, weft_half_at(block), weft_iq4_values[weft_nibble(packed, i)],
                  weft_looked_up32(packed, vload16(0, weft_iq4_values), &low, &high), 0, 0.0f)
