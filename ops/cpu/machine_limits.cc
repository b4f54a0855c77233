#include "ops/cpu/machine_limits.h"

#include "ops/cpu/cpu_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/machine_limits.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/amx-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Fourteen independent chains: more than latency times throughput on any current CPU. Each begins with a different
// value, or the compiler would compute equal ones once.
#define WEFT_CHAINS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)

double fma_burst(int64_t repetitions) {
  const hn::ScalableTag<float> d;
  const auto x = hn::Set(d, 0.999f), y = hn::Set(d, 1e-3f);
#define WEFT_BEGIN(I) auto a##I = hn::Set(d, static_cast<float>(I));
#define WEFT_STEP(I) a##I = hn::MulAdd(a##I, x, y);
#define WEFT_SUM(I) sum = hn::Add(sum, a##I);
  WEFT_CHAINS(WEFT_BEGIN)
  for (int64_t i = 0; i < repetitions; ++i) {
    WEFT_CHAINS(WEFT_STEP)
  }
  auto sum = hn::Zero(d);
  WEFT_CHAINS(WEFT_SUM)
#undef WEFT_BEGIN
#undef WEFT_STEP
#undef WEFT_SUM
  volatile float sink = hn::GetLane(sum);
  static_cast<void>(sink);
  return 14.0 * 2.0 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(repetitions);
}

#if HWY_ARCH_X86
// Four bytes of each lane, two by two in 16 bits and then in 32: what kernels do without VNNI.
template <class V>
HWY_INLINE V add_bytes(V sums, V x, V ones) {
#if HWY_TARGET <= HWY_AVX3
  return V{_mm512_add_epi32(sums.raw, _mm512_madd_epi16(_mm512_maddubs_epi16(sums.raw, x.raw), ones.raw))};
#elif HWY_TARGET <= HWY_AVX2
  return V{_mm256_add_epi32(sums.raw, _mm256_madd_epi16(_mm256_maddubs_epi16(sums.raw, x.raw), ones.raw))};
#else
  return V{_mm_add_epi32(sums.raw, _mm_madd_epi16(_mm_maddubs_epi16(sums.raw, x.raw), ones.raw))};
#endif
}

double int8_burst(int64_t repetitions) {
  const hn::ScalableTag<int32_t> d;
  const auto x = hn::Set(d, 0x01020304), ones = hn::Set(d, 0x00010001);
#define WEFT_BEGIN(I) auto a##I = hn::Set(d, I);
#define WEFT_STEP(I) a##I = add_bytes(a##I, x, ones);
#define WEFT_SUM(I) sum = hn::Add(sum, a##I);
  WEFT_CHAINS(WEFT_BEGIN)
  for (int64_t i = 0; i < repetitions; ++i) {
    WEFT_CHAINS(WEFT_STEP)
  }
  auto sum = hn::Zero(d);
  WEFT_CHAINS(WEFT_SUM)
#undef WEFT_BEGIN
#undef WEFT_STEP
#undef WEFT_SUM
  volatile int32_t sink = hn::GetLane(sum);
  static_cast<void>(sink);
  return 14.0 * 8.0 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(repetitions);
}
#else
// Kernels widen bytes to 32 bits, and do no more per second than with floats.
double int8_burst(int64_t repetitions) { return fma_burst(repetitions); }
#endif

// [from, from + bytes), as kStreams runs side by side: what reads fastest differs between machines.
template <size_t kStreams>
HWY_INLINE void read_runs(const uint8_t* from, size_t bytes) {
  const hn::ScalableTag<uint8_t> d;
  const size_t n = hn::Lanes(d), run = bytes / kStreams / (4 * n) * (4 * n);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i < run; i += 4 * n) {
    for (size_t stream = 0; stream < kStreams; ++stream) {
      const uint8_t* at = from + stream * run + i;
      s0 = hn::Xor(s0, hn::Load(d, at)), s1 = hn::Xor(s1, hn::Load(d, at + n));
      s2 = hn::Xor(s2, hn::Load(d, at + 2 * n)), s3 = hn::Xor(s3, hn::Load(d, at + 3 * n));
    }
  }
  volatile uint8_t sink = hn::GetLane(hn::Xor(hn::Xor(s0, s1), hn::Xor(s2, s3)));
  static_cast<void>(sink);
}

void read_one_run(const uint8_t* from, size_t bytes) { read_runs<1>(from, bytes); }
void read_four_runs(const uint8_t* from, size_t bytes) { read_runs<4>(from, bytes); }

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ARCH_X86_64 && HWY_TARGET == HWY_AVX3

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace weft {
namespace HWY_NAMESPACE {

double vnni_burst(int64_t repetitions) {
  const __m512i x = _mm512_set1_epi32(0x01020304), y = _mm512_set1_epi32(0x04030201);
#define WEFT_BEGIN(I) __m512i a##I = _mm512_set1_epi32(I);
#define WEFT_STEP(I) a##I = _mm512_dpbusd_epi32(a##I, x, y);
#define WEFT_SUM(I) sum = _mm512_add_epi32(sum, a##I);
  WEFT_CHAINS(WEFT_BEGIN)
  for (int64_t i = 0; i < repetitions; ++i) {
    WEFT_CHAINS(WEFT_STEP)
    // Else a compiler could multiply once: the operands stay the same.
    asm volatile("" : "+v"(a0), "+v"(a1), "+v"(a2), "+v"(a3), "+v"(a4), "+v"(a5), "+v"(a6));
    asm volatile("" : "+v"(a7), "+v"(a8), "+v"(a9), "+v"(a10), "+v"(a11), "+v"(a12), "+v"(a13));
  }
  __m512i sum = _mm512_setzero_si512();
  WEFT_CHAINS(WEFT_SUM)
#undef WEFT_BEGIN
#undef WEFT_STEP
#undef WEFT_SUM
  volatile int sink = _mm512_cvtsi512_si32(sum);
  static_cast<void>(sink);
  return 14.0 * 128.0 * static_cast<double>(repetitions);
}

}  // namespace HWY_NAMESPACE
double vnni_burst(int64_t repetitions) { return HWY_NAMESPACE::vnni_burst(repetitions); }
}  // namespace weft
HWY_POP_ATTRIBUTES

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",amx-tile,amx-bf16")
namespace weft {
namespace HWY_NAMESPACE {

// Four sums: two by two, as in a product of matrices, with operands that stay in their registers.
double amx_burst(int64_t repetitions) {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) shapes.set(i, 16);
  shapes.load();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t i = 0; i < repetitions; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4.0 * 2.0 * 16 * 16 * 32 * static_cast<double>(repetitions);
}

}  // namespace HWY_NAMESPACE
double amx_burst(int64_t repetitions) { return HWY_NAMESPACE::amx_burst(repetitions); }
}  // namespace weft
HWY_POP_ATTRIBUTES

#endif

#if HWY_ONCE
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "core/aligned_bytes.h"
#include "ops/cpu/kernel_table.h"
#include "ops/cpu/pinned_team.h"

namespace weft {

HWY_EXPORT(fma_burst);
HWY_EXPORT(int8_burst);
HWY_EXPORT(read_one_run);
HWY_EXPORT(read_four_runs);

#if !(HWY_ARCH_X86_64 && (HWY_TARGETS & HWY_AVX3))
double vnni_burst(int64_t) { return 0; }  // never called: has_avx512_vnni() and has_amx_bf16() are false
double amx_burst(int64_t) { return 0; }
#endif

namespace {

constexpr size_t kLeastBlock = size_t{64} << 10;
constexpr size_t kPartsApart = 4096;  // parts of threads begin at multiples of this

// What work(thread, threads) amounts to per second, where every thread returns the amount that it has done. Waking
// the team is not counted.
template <class Work>
double rate_of(int threads, const Work& work) {
  double amount = 0;
  std::chrono::steady_clock::time_point begin, end;
#pragma omp parallel num_threads(threads) reduction(+ : amount)
  {
#pragma omp barrier
#pragma omp master
    begin = std::chrono::steady_clock::now();
#pragma omp barrier
    amount += work(omp_get_thread_num(), omp_get_num_threads());
#pragma omp barrier
#pragma omp master
    end = std::chrono::steady_clock::now();
  }
  return amount / std::max(std::chrono::duration<double>(end - begin).count(), 1e-9);
}

// "307200K\n"
size_t size_of(const std::string& text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return 0;
  const char unit = end == text.data() + text.size() ? ' ' : *end;
  return number << (unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0);
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

MachineLimits best_of(const MachineLimits& a, const MachineLimits& b) {
  return {a.threads,
          a.read_size,
          std::max(a.read_bytes, b.read_bytes),
          std::max(a.fma_flops, b.fma_flops),
          std::max(a.int8_ops, b.int8_ops),
          std::max(a.amx_flops, b.amx_flops)};
}

double peak_of(const MachineLimits& limits, PeakUnit unit) {
  switch (unit) {
    case PeakUnit::int8: return limits.int8_ops;
    case PeakUnit::amx: return limits.amx_flops > 0 ? limits.amx_flops : limits.fma_flops;
    default: return limits.fma_flops;
  }
}

std::string peak_name(PeakUnit unit) {
  if (unit == PeakUnit::amx) return "AMX";
  return unit == PeakUnit::fma ? "FMA" : has_avx512_vnni() ? "VNNI" : "int8";
}

PeakUnit peak_unit_of(const std::string& kernels) {
  PeakUnit unit = PeakUnit::fma;
  for (const ProductKernel* row : kernel_table().products()) {
    const PeakUnit of = row->features.find("amx") != std::string::npos ? PeakUnit::amx
                        : is_in_int8(row->activations.element)         ? PeakUnit::int8
                                                                       : PeakUnit::fma;
    if (of > unit && kernels.find(row->name) != std::string::npos) unit = of;
  }
  return unit;
}

size_t last_level_cache(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  std::map<int, std::map<std::string, size_t>> caches;  // by level, then by the CPUs that share one
  std::error_code error;
  for (fs::directory_iterator cpu(root / "sys/devices/system/cpu", error), end; !error && cpu != end;
       cpu.increment(error)) {
    if (!cpu->path().filename().string().starts_with("cpu")) continue;
    std::error_code none;
    for (fs::directory_iterator at(cpu->path() / "cache", none), last; !none && at != last; at.increment(none)) {
      if (first_line(at->path() / "type") == "Instruction") continue;
      const size_t bytes = size_of(first_line(at->path() / "size"));
      const std::string level = first_line(at->path() / "level");
      if (bytes > 0 && !level.empty()) caches[level[0] - '0'][first_line(at->path() / "shared_cpu_list")] = bytes;
    }
  }
  size_t sum = 0;
  if (!caches.empty()) {
    for (const auto& [cpus, bytes] : caches.rbegin()->second) sum += bytes;
  }
#ifdef _SC_LEVEL3_CACHE_SIZE
  if (sum == 0 && root == "/") sum = static_cast<size_t>(std::max(::sysconf(_SC_LEVEL3_CACHE_SIZE), 0L));
#endif
  return sum;
}

size_t uncached_size(size_t available) {
  // What replaces lines at random keeps some of what is read again. (EPYC, 32 MiB: 105 GB/s over 128 MiB, 82 over 256.)
  constexpr size_t kLarge = size_t{512} << 20;
  static const size_t wanted = std::max(4 * last_level_cache(), kLarge);
  return std::max(std::min(wanted, available / 2), kLeastBlock);
}

struct LimitMeter::Block {
  explicit Block(size_t size) : memory(size + kHuge) {
    void* at = memory.data();
    size_t space = memory.size();
    data = static_cast<uint8_t*>(std::align(size >= kHuge ? kHuge : kPartsApart, size, at, space));
    bytes = size;
#ifdef MADV_HUGEPAGE
    // The limit is what memory gives, and not what looking up its pages leaves of that. Where it is refused: so be it.
    if (size >= kHuge) ::madvise(data, size / kHuge * kHuge, MADV_HUGEPAGE);
#endif
  }
  // Where a thread's part begins; all parts have equal sizes.
  size_t part(int threads) const { return bytes / static_cast<size_t>(threads) / kPartsApart * kPartsApart; }

  static constexpr size_t kHuge = size_t{2} << 20;
  AlignedBytes memory;
  uint8_t* data = nullptr;
  size_t bytes = 0;
};

LimitMeter::LimitMeter(int threads, size_t read_size)
    : threads_(std::max(threads, 1)),
      block_(std::make_shared<Block>(std::max(read_size, kLeastBlock * static_cast<size_t>(threads_)))) {
  const PinnedTeam pinned(threads_);
  const size_t part = block_->part(threads_);
#pragma omp parallel num_threads(threads_)
  std::memset(block_->data + part * static_cast<size_t>(omp_get_thread_num()), 1, part);
}

LimitMeter::LimitMeter(int threads, std::shared_ptr<Block> block)
    : threads_(std::max(threads, 1)), block_(std::move(block)) {}

LimitMeter LimitMeter::for_team(int threads) const { return {threads, block_}; }

MachineLimits LimitMeter::measure(double seconds) {
  constexpr int kBursts = 4;                       // in turns, each time that memory is read
  constexpr int64_t kBurst = 500000;               // about 1 ms
  constexpr size_t kLeastRead = size_t{32} << 20;  // small blocks are read several times
  const PinnedTeam pinned(threads_);
  const size_t part = block_->part(threads_);
  const size_t passes = std::max<size_t>(kLeastRead / std::max<size_t>(part, 1), 1);
  const auto reads = [&](auto read) {
    return rate_of(threads_, [&](int thread, int) {
      for (size_t pass = 0; pass < passes; ++pass) read(block_->data + part * static_cast<size_t>(thread), part);
      return static_cast<double>(part * passes);
    });
  };
  MachineLimits best{.threads = threads_, .read_size = block_->bytes};
  const auto begin = std::chrono::steady_clock::now();
  const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  double longest = 0;  // a round
  do {
    const double at = spent();
    MachineLimits now;
    for (int i = 0; i < kBursts; ++i) {
      MachineLimits burst;
      burst.fma_flops = rate_of(threads_, [](int, int) { return HWY_DYNAMIC_DISPATCH(fma_burst)(kBurst); });
      burst.int8_ops = rate_of(threads_, [](int, int) {
        return has_avx512_vnni() ? vnni_burst(kBurst) : HWY_DYNAMIC_DISPATCH(int8_burst)(kBurst);
      });
      if (has_amx_bf16()) burst.amx_flops = rate_of(threads_, [](int, int) { return amx_burst(kBurst / 10); });
      now = best_of(now, burst);
    }
    now.read_bytes =
        std::max(reads([](const uint8_t* from, size_t n) { HWY_DYNAMIC_DISPATCH(read_one_run)(from, n); }),
                 reads([](const uint8_t* from, size_t n) { HWY_DYNAMIC_DISPATCH(read_four_runs)(from, n); }));
    best = best_of(best, now);
    longest = std::max(longest, spent() - at);
  } while (spent() + longest < seconds);
  return best;
}

}  // namespace weft
#endif
