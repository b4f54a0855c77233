// The storage formats. This is the one list of them: enum, tables and choices are made from it. A format is a folder
// here, core/format/NAME/; README.md says what is in it.
#pragma once

#define WEFT_FLOAT_FORMATS(X) X(f32) X(f16) X(bf16)
// Of values that are no floats.
#define WEFT_INTEGER_FORMATS(X) X(i32) X(bool8)
// Those that quantize.
#define WEFT_BLOCK_FORMATS(X) \
  X(q4_0)                     \
  X(q4_1)                     \
  X(q5_0)                     \
  X(q5_1)                     \
  X(q8_0)                     \
  X(q2_k)                     \
  X(q3_k)                     \
  X(q4_k)                     \
  X(q5_k)                     \
  X(q6_k)                     \
  X(q8_k)                     \
  X(iq4_nl)                   \
  X(iq4_xs)                   \
  X(mxfp4)                    \
  X(nvfp4)
