WEFT_BLOCKS_OF_32(q5_0, 22, 6, weft_half_at(block), weft_five_bits(packed, weft_word_at(block + 2), i),
                  weft_five_bits32(packed, weft_word_at(block + 2), &low, &high), 16, 0.0f)
