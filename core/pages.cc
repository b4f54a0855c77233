#include "core/pages.h"

#include <sys/mman.h>
#include <unistd.h>

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

void drop_pages(const std::byte* begin, const std::byte* end) { advise(begin, end, page_size(), MADV_DONTNEED); }

void keep_pages_apart(const std::byte* begin, const std::byte* end) {
  advise(begin, end, page_size(), MADV_NOHUGEPAGE);
}

void use_huge_pages(const std::byte* begin, const std::byte* end) {
  constexpr size_t kHugePage = size_t{2} << 20;
  advise(begin, end, kHugePage, MADV_HUGEPAGE);
}

}  // namespace weft
