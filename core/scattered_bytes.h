// Bytes that follow each other, but lie in several places of mapped files, or where kernels cannot read them.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/aligned_bytes.h"

namespace weft {

// The pieces belong to mapped files, which must outlive this. Pages that have been copied leave the process. Threads
// may share one.
class ScatteredBytes {
 public:
  explicit ScatteredBytes(std::vector<std::span<const std::byte>> pieces);

  size_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  // Copies [begin, begin + bytes), which must be within the size.
  void copy(size_t begin, size_t bytes, std::byte* to) const;
  // Begins to read them from the disk, without waiting.
  void read_ahead(size_t begin, size_t bytes) const;
  // All of them in one place, aligned to a cache line: copied when first asked for, and kept. Throws Error where memory
  // runs out.
  const std::byte* joined() const;
  bool is_joined() const;

 private:
  // visit(piece, from, count) for what [begin, begin + bytes) has of each piece.
  template <class Visit>
  void each_piece(size_t begin, size_t bytes, const Visit& visit) const;

  std::vector<std::span<const std::byte>> pieces_;
  std::vector<size_t> ends_;  // of each piece, counted over all of them
  mutable std::mutex mutex_;
  mutable AlignedBytes joined_;
  mutable bool is_joined_ = false;
};

}  // namespace weft
