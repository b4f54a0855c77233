#include "core/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "core/align.h"

namespace weft {
namespace {

void advise(const std::byte* begin, const std::byte* end, size_t page, int advice) {
  const size_t first = align_up(reinterpret_cast<size_t>(begin), page);
  const size_t last = reinterpret_cast<size_t>(end) / page * page;
  if (first < last) (void)madvise(reinterpret_cast<void*>(first), last - first, advice);
}

size_t page_size() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

void read_neighbours(const std::byte* begin, const std::byte* end, bool reads) {
  advise(begin, end, page_size(), reads ? MADV_NORMAL : MADV_RANDOM);
}

void read_ahead(const std::byte* begin, const std::byte* end) {
  // Linux reads no more per call than the device's readahead, which is this unless somebody has changed it.
  constexpr size_t kCall = size_t{128} << 10;
  for (const std::byte* at = begin; at < end; at += std::min<size_t>(kCall, static_cast<size_t>(end - at))) {
    const size_t bytes = std::min<size_t>(kCall, static_cast<size_t>(end - at));
    const size_t first = reinterpret_cast<size_t>(at) / page_size() * page_size();
    (void)madvise(reinterpret_cast<void*>(first), reinterpret_cast<size_t>(at) + bytes - first, MADV_WILLNEED);
  }
}

void drop_pages(const std::byte* begin, const std::byte* end) { advise(begin, end, page_size(), MADV_DONTNEED); }

void keep_pages_apart(const std::byte* begin, const std::byte* end) {
  advise(begin, end, page_size(), MADV_NOHUGEPAGE);
}

void use_huge_pages(const std::byte* begin, const std::byte* end) {
  constexpr size_t kHugePage = size_t{2} << 20;
  advise(begin, end, kHugePage, MADV_HUGEPAGE);
}

}  // namespace weft
