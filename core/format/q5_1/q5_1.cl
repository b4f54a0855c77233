WEFT_BLOCKS_OF_32(q5_1, 24, 8, weft_half_at(block), weft_five_bits(packed, weft_word_at(block + 4), i),
                  weft_five_bits32(packed, weft_word_at(block + 4), &low, &high), 0, -weft_half_at(block + 2))
