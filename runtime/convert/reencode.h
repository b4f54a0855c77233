// Tensors from one storage format to another, a piece at a time: the memory needed does not depend on their size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/format/format.h"

namespace weft {

// Consecutive elements in a file; a multiple of both formats' blocks.
struct Piece {
  const std::byte* data;
  size_t elements;
};

// The elements of `count` pieces, one after another, as a tensor.
struct ReencodeJob {
  std::string what;  // "FILE: tensor 'T'", for errors
  Format from, to;
  size_t count;
  std::function<Piece(size_t)> piece;
  float divisor = 1;  // of the elements, before they are encoded; bytes that are passed on stay as they are
};

// All of a tensor, in the order of its file.
ReencodeJob whole_tensor(std::string what, Format from, Format to, const std::byte* data, size_t elements);

// The largest magnitude of the elements, infinities and NaNs apart. `threads` as below.
float largest_magnitude(const ReencodeJob& job, int threads);

// Calls sink(bytes) with the encoded pieces in order, several at a time; the work is shared by `threads` threads.
// Where the formats are equal, bytes are passed on unchanged. Throws Error, naming the element, for a value that
// is not finite, or that F16 cannot reach.
void reencode(const ReencodeJob& job, int threads, const std::function<void(std::span<const uint8_t>)>& sink);

}  // namespace weft
