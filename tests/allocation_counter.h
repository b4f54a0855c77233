// Counts what a test executable takes from the heap, where one of its files uses the count.
#pragma once

#include <atomic>

namespace weft::test {
extern std::atomic<long> allocations;  // calls of malloc and related functions, including operator new
}  // namespace weft::test
