#include "runtime/plan/available_memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

#include "gpu/device.h"
#include "runtime/plan/control_groups.h"

namespace weft {

namespace {

namespace fs = std::filesystem;

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

size_t difference(size_t from, size_t what) { return from > what ? from - what : 0; }

// The number in a file; nothing for "max", or where the file does not exist.
std::optional<size_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  size_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// The number after a word: "MemAvailable:   24105 kB", "inactive_file 4096".
std::optional<size_t> number_after(std::string_view word, const fs::path& path) {
  std::ifstream file(path);
  for (std::string first; file >> first;) {
    size_t number = 0;
    if (first == word) return file >> number ? std::optional(number) : std::nullopt;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

size_t of_system(const fs::path& root) {
  const auto available = number_after("MemAvailable:", root / "proc/meminfo");
  if (!available) return kNoLimit;
  return (*available + number_after("SwapFree:", root / "proc/meminfo").value_or(0)) * 1024;
}

// Pages of files count as used, but are given back when memory is needed.
size_t of_group(const ControlGroup& group) {
  const bool v2 = group.unified;
  const auto limit = number_in(group.folder / (v2 ? "memory.max" : "memory.limit_in_bytes"));
  const auto used = number_in(group.folder / (v2 ? "memory.current" : "memory.usage_in_bytes"));
  if (!limit || !used) return kNoLimit;
  size_t files = 0;
  for (const char* kind : {"inactive_file", "active_file"}) {
    files += number_after((v2 ? "" : "total_") + std::string(kind), group.folder / "memory.stat").value_or(0);
  }
  return difference(*limit, difference(*used, files));
}

size_t of_address_space(const fs::path& root) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
  return difference(limit.rlim_cur, number_after("VmSize:", root / "proc/self/status").value_or(0) * 1024);
}

}  // namespace

size_t available_memory(size_t untouched, const fs::path& root) {
  size_t least = of_system(root);
  for (const ControlGroup& group : control_groups("memory", root)) least = std::min(least, of_group(group));
  if (least != kNoLimit) least = difference(least, untouched);
  return std::min(least, of_address_space(root));
}

size_t available_memory(const Device& device, const PlanMemory& taken) {
  const size_t untouched = taken.arena + taken.scratch;
  if (device.is_cpu()) return available_memory(untouched);
  const GpuDeviceInfo& info = device.gpu()->info();
  const size_t left = difference(info.memory_bytes, untouched + taken.weights);
  return info.is_gpu ? left : std::min(left, available_memory(untouched));  // else it is this machine's memory
}

size_t largest_block(const Device& device) {
  return device.is_cpu() ? kNoLimit : device.gpu()->info().max_buffer_bytes;
}

std::string bytes_text(size_t bytes) {
  constexpr struct {
    double size;
    const char* name;
  } kUnits[] = {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}};
  std::string text = std::to_string(bytes) + " bytes";
  for (const auto& unit : kUnits) {
    if (static_cast<double>(bytes) < unit.size) continue;
    char rounded[32];
    std::snprintf(rounded, sizeof rounded, " (%.1f %s)", static_cast<double>(bytes) / unit.size, unit.name);
    return text + rounded;
  }
  return text;
}

}  // namespace weft
