// All formats at compile time: their traits, and ways to get from a Format to code that is made for it.
#pragma once

#include <string>

#include "core/error.h"
#include "core/format/bf16/bf16.h"
#include "core/format/bool8/bool8.h"
#include "core/format/f16/f16.h"
#include "core/format/f32/f32.h"
#include "core/format/format_list.h"
#include "core/format/format_traits.h"
#include "core/format/i32/i32.h"
#include "core/format/iq4_nl/iq4_nl.h"
#include "core/format/iq4_xs/iq4_xs.h"
#include "core/format/mxfp4/mxfp4.h"
#include "core/format/nvfp4/nvfp4.h"
#include "core/format/q2_k/q2_k.h"
#include "core/format/q3_k/q3_k.h"
#include "core/format/q4_0/q4_0.h"
#include "core/format/q4_1/q4_1.h"
#include "core/format/q4_k/q4_k.h"
#include "core/format/q5_0/q5_0.h"
#include "core/format/q5_1/q5_1.h"
#include "core/format/q5_k/q5_k.h"
#include "core/format/q6_k/q6_k.h"
#include "core/format/q8_0/q8_0.h"
#include "core/format/q8_k/q8_k.h"

namespace weft {

#define WEFT_FORMAT_CASE(NAME) \
  case Format::NAME: return use.template operator()<Format::NAME>();

// Returns use.operator()<format>(), for formats with blocks. Throws Error for others.
template <class Use>
decltype(auto) visit_block_format(Format format, const Use& use) {
  switch (format) {
    WEFT_BLOCK_FORMATS(WEFT_FORMAT_CASE)
    default: throw Error("format " + std::string(name(format)) + " has no blocks");
  }
}

// The same for all formats that hold floats.
template <class Use>
decltype(auto) visit_float_format(Format format, const Use& use) {
  switch (format) {
    WEFT_FLOAT_FORMATS(WEFT_FORMAT_CASE)
    WEFT_BLOCK_FORMATS(WEFT_FORMAT_CASE)
    default: throw Error("format " + std::string(name(format)) + " holds no floats");
  }
}

#undef WEFT_FORMAT_CASE

}  // namespace weft
