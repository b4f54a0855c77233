// Bytes that follow each other, but lie in several places of mapped files, or where kernels cannot read them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/deferred_bytes.h"

namespace weft {

class ScatteredBytes final : public DeferredBytes {
 public:
  explicit ScatteredBytes(std::vector<std::span<const std::byte>> pieces);

  size_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  void copy(size_t begin, size_t bytes, std::byte* to) const override;
  void read_ahead(size_t begin, size_t bytes) const override;

 private:
  // visit(piece, from, count) for what [begin, begin + bytes) has of each piece.
  template <class Visit>
  void each_piece(size_t begin, size_t bytes, const Visit& visit) const;

  std::vector<std::span<const std::byte>> pieces_;
  std::vector<size_t> ends_;  // of each piece, counted over all of them
};

}  // namespace weft
