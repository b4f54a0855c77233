// What this machine can do at most, measured: the denominators of every share that benchmarks and profiles print.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace weft {

// Per second, by all threads of a team together.
struct MachineLimits {
  int threads = 0;
  size_t read_size = 0;   // bytes of the block that reads went over, again and again
  double read_bytes = 0;  // streaming reads
  double fma_flops = 0;   // f32 fused multiply-adds, 2 FLOPs each, in the widest vectors
  double int8_ops = 0;    // products of bytes summed in i32, 2 operations each: by VNNI, or by what there is instead
  double amx_flops = 0;   // products of bf16 summed in f32 by AMX tiles, 2 FLOPs each; 0: this machine has none
};

// The larger figure of each kind; `a` and `b` are of equal teams and blocks.
MachineLimits best_of(const MachineLimits& a, const MachineLimits& b);

// Which of a machine's units a kernel computes its products with.
enum class PeakUnit : unsigned char { fma, int8, amx };
double peak_of(const MachineLimits& limits, PeakUnit unit);
// "FMA", "VNNI" (or "int8" where the machine has none), "AMX".
std::string peak_name(PeakUnit unit);
// The fastest unit of those that the kernels use which these names stand for: names of products in the kernel table
// (or what StepArgs::ran was told), in any text, as that of attention has them. FMA for all others.
PeakUnit peak_unit_of(const std::string& kernels);

// Bytes of the caches of the highest level that the CPUs of this machine have, together; 0 where the system does not
// tell. `root`: where /sys is found; tests set it.
size_t last_level_cache(const std::filesystem::path& root = "/");
// The size of a block that lies in memory and not in caches: 4 times the last-level cache and at least 512 MiB, but at
// most half of `available` bytes, and at least 64 KiB.
size_t uncached_size(size_t available);

// Measures a team of threads, each pinned to a CPU meanwhile.
class LimitMeter {
 public:
  // Takes `read_size` bytes (at least 64 KiB), and touches all of them with the threads that will read them. Throws
  // Error where memory runs out.
  LimitMeter(int threads, size_t read_size);
  // One for another team over the same block.
  LimitMeter for_team(int threads) const;

  // Every figure several times, in turn, for about `seconds` in all and at least once: the best of each.
  MachineLimits measure(double seconds);

 private:
  struct Block;
  LimitMeter(int threads, std::shared_ptr<Block> block);

  int threads_;
  std::shared_ptr<Block> block_;
};

}  // namespace weft
