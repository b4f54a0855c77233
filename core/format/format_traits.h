// What core/format/NAME/NAME.h says about a format, by specializing FormatTraits:
//
//   kName                     as GGUF tools print it
//   kElements, kBytes         of a block; one element for formats without blocks
//   kIsFloat                  whether reading it yields f32; the rest of this list is about those formats
//   kGgufType, kFileType      the numbers for it in GGUF files: the type of a tensor, and general.file_type of a file
//   with
//                             all matrices in it; nothing where there is none
//   kTensorReach              (some formats with blocks) FormatInfo::tensor_reach
//   kSections                 (formats with blocks) the parts of a block, as an interleaved layout takes it apart: all
//   of
//                             its bytes, what is read most first
//   Block                     the plain decoder: Block{bytes}.at(i) is element i of the block at `bytes`
//   encode(in, blocks, out)   writes so many blocks. Values that go into a block of several elements are finite.
//   set_scales(value, bytes)  (formats with blocks) gives the floats that scale a block as a whole this value; if they
//                             cannot have it, one that is nearer to 0. For tests.
//
// An element of a format with blocks is scale * q - minimum, with a small integer q; runs of 16 or 32 elements share
// the scale and the minimum, each rounded to f32 as ggml rounds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/format/format.h"
#include "core/format/packing.h"

namespace weft {

template <Format kFormat>
struct FormatTraits;

}  // namespace weft
