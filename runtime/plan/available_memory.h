// How much memory is left for this process.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "runtime/plan/plan.h"

namespace weft {

// Bytes that can still be allocated and used: the least of what the system can give without taking it from others
// (swap included), what the process's control groups leave, and what `ulimit -v` leaves. The system promises more
// than it has, and kills processes that use all of what it promised, so large blocks are compared with this before
// they are allocated. `untouched`: bytes that are allocated but not used yet, which the system still counts as
// free. `root`: where /proc and /sys are found; tests set it. A limit that cannot be read is ignored.
size_t available_memory(size_t untouched = 0, const std::filesystem::path& root = "/");

// What plans and caches can still allocate on a device of whose memory a plan has taken `taken` already. Only the
// CPU reports what is free: on other devices, memory that other programs use is not counted.
size_t available_memory(const Device& device, const PlanMemory& taken);
// The largest single block that can be allocated there.
size_t largest_block(const Device& device);

// "25769803776 bytes (25.8 GB)"
std::string bytes_text(size_t bytes);

}  // namespace weft
