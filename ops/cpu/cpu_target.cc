#include "ops/cpu/cpu_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/cpu_target.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(target_name);

// Dispatched as kernels are, so that it cannot differ from what they run with.
const char* cpu_target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

bool has_avx512_vnni() {
#if HWY_ARCH_X86 && (HWY_TARGETS & HWY_AVX3)
  static const bool has = __builtin_cpu_supports("avx512vnni") != 0;
  return has && (hwy::SupportedTargets() & HWY_AVX3) != 0;
#else
  return false;
#endif
}

}  // namespace weft
#endif
