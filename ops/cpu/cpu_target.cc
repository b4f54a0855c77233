#include "ops/cpu/cpu_target.h"

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/cpu_target.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

bool has_long_vectors() { return HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3; }

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(target_name);
HWY_EXPORT(has_long_vectors);

// Dispatched as kernels are, so that it cannot differ from what they run with.
const char* cpu_target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

// Asking Highway what is supported takes a CPUID each time, which is slow in virtual machines; a dispatch does not.
bool has_avx512_vnni() {
#if HWY_ARCH_X86 && (HWY_TARGETS & HWY_AVX3)
  static const bool has = __builtin_cpu_supports("avx512vnni") != 0;
  return has && HWY_DYNAMIC_DISPATCH(has_long_vectors)();
#else
  return false;
#endif
}

bool wants_far_lines() {
#if HWY_ARCH_X86
  static const bool wants = __builtin_cpu_is("amd") == 0;
  return wants;
#else
  return true;
#endif
}

#if defined(__linux__) && HWY_ARCH_X86_64 && (HWY_TARGETS & HWY_AVX3)
namespace {

// CPUID: leaf 7 for AMX, its subleaf 1 for AVX512_BF16; XCR0: what state the operating system saves.
bool offers_amx_bf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const unsigned subleaves = a;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAvx512Bf16 = 1u << 5;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0 || subleaves < 1) return false;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & kAvx512Bf16) == 0) return false;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3u << 17;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return (low & kTileState) == kTileState && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool has_amx_bf16() {
  static const bool has = offers_amx_bf16();
  return has && HWY_DYNAMIC_DISPATCH(has_long_vectors)();
}
#else
bool has_amx_bf16() { return false; }
#endif

}  // namespace weft
#endif
