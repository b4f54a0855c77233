// How much memory is left for this process.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "runtime/plan/plan.h"

namespace weft {

// Bytes that can still be allocated and used: the least of what the system has without taking it from others (swap
// included), what the process's control groups leave, and what `ulimit -v` leaves. The system promises more than it has
// and ends processes that take it at their word, so large blocks are compared with this before they are allocated.
// `untouched`: bytes that are allocated and not used yet, which the system still counts as free. `root`: where /proc and
// /sys are looked for; tests set it. What cannot be read sets no limit.
size_t available_memory(size_t untouched = 0, const std::filesystem::path& root = "/");

// What plans and caches can still take on a device, of whose memory a plan has taken `taken` before. Devices other than
// the CPU do not say what is free: others' use is not counted there.
size_t available_memory(const Device& device, const PlanMemory& taken);
// The largest single block that can be allocated there.
size_t largest_block(const Device& device);

// "25769803776 bytes (25.8 GB)"
std::string bytes_text(size_t bytes);

}  // namespace weft
