#include "ops/cpu/pinned_team.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <utility>

namespace weft {
namespace {

#ifdef __linux__

// A mask of fixed size cannot hold the CPUs of the largest machines: it grows until the system accepts it.
std::vector<std::byte> mask_of_thread() {
  for (size_t capacity = 1024; capacity <= (1 << 20); capacity *= 2) {
    std::vector<std::byte> mask(CPU_ALLOC_SIZE(capacity));
    if (sched_getaffinity(0, mask.size(), reinterpret_cast<cpu_set_t*>(mask.data())) == 0) return mask;
  }
  return {};
}

bool set_mask(const std::vector<std::byte>& mask) {
  return sched_setaffinity(0, mask.size(), reinterpret_cast<const cpu_set_t*>(mask.data())) == 0;
}

bool has(const std::vector<std::byte>& mask, size_t cpu) {
  return CPU_ISSET_S(cpu, mask.size(), reinterpret_cast<const cpu_set_t*>(mask.data())) != 0;
}

std::vector<std::byte> mask_of_cpu(size_t cpu, size_t bytes) {
  std::vector<std::byte> mask(bytes);
  CPU_SET_S(cpu, bytes, reinterpret_cast<cpu_set_t*>(mask.data()));
  return mask;
}

// Which core of which package; equal texts are one core.
std::string core_of(int cpu) {
  std::string text;
  for (const char* name : {"physical_package_id", "core_id"}) {
    std::string line;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + name);
    if (!std::getline(file, line)) return "cpu " + std::to_string(cpu);
    text += line + " ";
  }
  return text;
}

#endif

}  // namespace

#ifdef __linux__

std::vector<int> cpus_to_pin() {
  std::vector<int> first, others;
  std::set<std::string> cores;
  const std::vector<std::byte> mask = mask_of_thread();
  for (size_t cpu = 0; cpu < mask.size() * 8; ++cpu) {
    if (!has(mask, cpu)) continue;
    const int number = static_cast<int>(cpu);
    (cores.insert(core_of(number)).second ? first : others).push_back(number);
  }
  first.insert(first.end(), others.begin(), others.end());
  return first;
}

PinnedTeam::PinnedTeam(int threads) : threads_(threads) {
  const std::vector<int> cpus = cpus_to_pin();
  if (threads < 1 || cpus.size() < static_cast<size_t>(threads)) return;
  before_.resize(static_cast<size_t>(threads));
  bool all = true;
#pragma omp parallel num_threads(threads) reduction(&& : all)
  {
    const auto thread = static_cast<size_t>(omp_get_thread_num());
    std::vector<std::byte>& before = before_[thread];
    before = mask_of_thread();
    all = !before.empty() && set_mask(mask_of_cpu(static_cast<size_t>(cpus[thread]), before.size()));
  }
  is_pinned_ = all;
}

PinnedTeam::~PinnedTeam() {
  if (before_.empty()) return;
#pragma omp parallel num_threads(threads_)
  {
    const std::vector<std::byte>& before = before_[static_cast<size_t>(omp_get_thread_num())];
    if (!before.empty()) set_mask(before);
  }
}

#else

std::vector<int> cpus_to_pin() { return {}; }
PinnedTeam::PinnedTeam(int threads) : threads_(threads) {}
PinnedTeam::~PinnedTeam() = default;

#endif

}  // namespace weft
