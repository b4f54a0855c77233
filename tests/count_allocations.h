// Counts the allocations of a test program. Replaces the global operator new, so one source file of a program
// may include it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace weft::test {
inline std::atomic<size_t> allocations{0};
}  // namespace weft::test

// Not inlined: GCC would see free() meet operator new and warn (-Wmismatched-new-delete).
[[gnu::noinline]] void* operator new(size_t size) {
  ++weft::test::allocations;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

[[gnu::noinline]] void* operator new(size_t size, std::align_val_t alignment) {
  ++weft::test::allocations;
  const auto unit = static_cast<size_t>(alignment);
  if (void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
