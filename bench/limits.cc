#include "bench/limits.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/limits.cc"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace weft::bench {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Fourteen independent chains: more than latency times throughput on any current CPU.
double fma_burst(int repetitions) {
  const hn::ScalableTag<float> d;
  const auto x = hn::Set(d, 0.999f), y = hn::Set(d, 1e-3f);
  // Each chain begins with a different value, or the compiler would compute equal ones once.
  const auto start = [&](float at) { return hn::Set(d, at); };
  auto a0 = start(0), a1 = start(1), a2 = start(2), a3 = start(3), a4 = start(4), a5 = start(5), a6 = start(6);
  auto a7 = start(7), b0 = start(8), b1 = start(9), b2 = start(10), b3 = start(11), b4 = start(12), b5 = start(13);
  for (int i = 0; i < repetitions; ++i) {
    a0 = hn::MulAdd(a0, x, y), a1 = hn::MulAdd(a1, x, y), a2 = hn::MulAdd(a2, x, y), a3 = hn::MulAdd(a3, x, y);
    a4 = hn::MulAdd(a4, x, y), a5 = hn::MulAdd(a5, x, y), a6 = hn::MulAdd(a6, x, y), a7 = hn::MulAdd(a7, x, y);
    b0 = hn::MulAdd(b0, x, y), b1 = hn::MulAdd(b1, x, y), b2 = hn::MulAdd(b2, x, y), b3 = hn::MulAdd(b3, x, y);
    b4 = hn::MulAdd(b4, x, y), b5 = hn::MulAdd(b5, x, y);
  }
  const auto sum =
      hn::Add(hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(hn::Add(a4, a5), hn::Add(a6, a7))),
              hn::Add(hn::Add(hn::Add(b0, b1), hn::Add(b2, b3)), hn::Add(b4, b5)));
  volatile float sink = hn::GetLane(sum);
  static_cast<void>(sink);
  return 14.0 * 2.0 * static_cast<double>(hn::Lanes(d)) * repetitions;
}

void read_stream(const float* from, size_t count) {
  const hn::ScalableTag<float> d;
  const size_t n = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i + 4 * n <= count; i += 4 * n) {
    s0 = hn::Add(s0, hn::Load(d, from + i)), s1 = hn::Add(s1, hn::Load(d, from + i + n));
    s2 = hn::Add(s2, hn::Load(d, from + i + 2 * n)), s3 = hn::Add(s3, hn::Load(d, from + i + 3 * n));
  }
  volatile float sink = hn::GetLane(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
  static_cast<void>(sink);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

namespace weft::bench {
namespace {

HWY_EXPORT(fma_burst);
HWY_EXPORT(read_stream);

constexpr size_t kStreamFloats = size_t{64} << 20;  // 256 MiB
constexpr int kTries = 8;

template <class F>
double best_seconds(F run) {
  double best = 1e9;
  for (int i = 0; i < kTries; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

MachineLimits measure(int threads) {
  MachineLimits limits;
  double flops = 0;
  const double fma_seconds = best_seconds([&] {
    double total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    total += HWY_DYNAMIC_DISPATCH(fma_burst)(2000000);
    flops = total;
  });
  limits.fma_flops = flops / fma_seconds;

  const auto memory = hwy::AllocateAligned<float>(kStreamFloats);
  std::fill_n(memory.get(), kStreamFloats, 1.0f);  // written, so that every page exists
  const double read_seconds = best_seconds([&] {
#pragma omp parallel num_threads(threads)
    {
      const size_t part = kStreamFloats / static_cast<size_t>(threads) / 256 * 256;
      HWY_DYNAMIC_DISPATCH(read_stream)(memory.get() + part * static_cast<size_t>(omp_get_thread_num()), part);
    }
  });
  limits.read_bytes = static_cast<double>(kStreamFloats * sizeof(float)) / read_seconds;
  return limits;
}

}  // namespace

const MachineLimits& machine_limits(int threads) {
  static std::map<int, MachineLimits> known;
  const auto found = known.find(threads);
  return found != known.end() ? found->second : known.emplace(threads, measure(threads)).first->second;
}

}  // namespace weft::bench
#endif
