// Advice to the system about whole pages of memory within a range. Where it declines, nothing changes.
#pragma once

#include <cstddef>

namespace weft {

// Begins to read pages of a mapped file from the disk, without waiting for them, and without adding them to the
// process.
void read_ahead(const std::byte* begin, const std::byte* end);

// Whether a read of one page also reads those around it from the disk, which pays unless few are read (at first: yes).
void read_neighbours(const std::byte* begin, const std::byte* end, bool reads);

// They leave the process. Reading them again takes them from the mapped file that they belong to.
void drop_pages(const std::byte* begin, const std::byte* end);

// Keeps pages of a mapped file out of huge mappings, where a read of their neighbours would map them again.
void keep_pages_apart(const std::byte* begin, const std::byte* end);

// Fewer faults where memory is first written, and fewer misses of address translation where it is streamed.
void use_huge_pages(const std::byte* begin, const std::byte* end);

}  // namespace weft
