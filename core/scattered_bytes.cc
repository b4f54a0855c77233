#include "core/scattered_bytes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/pages.h"

namespace weft {

ScatteredBytes::ScatteredBytes(std::vector<std::span<const std::byte>> pieces) : pieces_(std::move(pieces)) {
  size_t end = 0;
  for (const std::span<const std::byte> piece : pieces_) ends_.push_back(end += piece.size());
}

template <class Visit>
void ScatteredBytes::each_piece(size_t begin, size_t bytes, const Visit& visit) const {
  auto i = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin());
  for (; bytes != 0; ++i) {
    const std::span<const std::byte> piece = pieces_[i];
    const size_t from = begin - (ends_[i] - piece.size()), count = std::min(bytes, piece.size() - from);
    visit(piece, from, count);
    begin += count, bytes -= count;
  }
}

void ScatteredBytes::copy(size_t begin, size_t bytes, std::byte* to) const {
  each_piece(begin, bytes, [&](std::span<const std::byte> piece, size_t from, size_t count) {
    // A piece's first and last page hold other data, too; its last part takes what earlier parts left of it.
    const std::byte* first = piece.data() + from;
    std::memcpy(to, first, count);
    keep_pages_apart(first, first + count);
    drop_pages(from + count == piece.size() ? piece.data() : first, first + count);
    to += count;
  });
}

void ScatteredBytes::read_ahead(size_t begin, size_t bytes) const {
  each_piece(begin, bytes, [](std::span<const std::byte> piece, size_t from, size_t count) {
    weft::read_ahead(piece.data() + from, piece.data() + from + count);
  });
}

}  // namespace weft
