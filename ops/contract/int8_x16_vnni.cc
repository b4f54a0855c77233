// Products of quantized activations with interleaved rows by VNNI, for which the packaged Highway has no operation: a
// separate target on top of Highway's AVX-512. int8_x16.cc is the fallback, and the cross-check.
#include <cstring>
#include <type_traits>
#include <utility>

#include "ops/contract/activations.h"
#include "ops/contract/kernels.h"
#include "ops/contract/products.h"
#include "ops/contract/x16_panels.h"
#include "ops/cpu/cpu_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/int8_x16_vnni.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/contract/x16-inl.h"

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace weft {
namespace HWY_NAMESPACE {

#include "ops/contract/int8_x16-inl.h"

struct Vnni {
  static constexpr bool kBias = true;
  static constexpr int64_t kMostRows = 12, kFew = 4, kSome = 2;
  using Weights = VX;
  template <bool kSigned>
  static HWY_INLINE Weights weights(VX bytes) {
    return bytes;
  }
  template <bool kSigned>
  static HWY_INLINE VX add(VX sums, Weights weights, VX activations) {
    return VX{_mm512_dpbusd_epi32(sums.raw, weights.raw, activations.raw)};
  }
};

}  // namespace HWY_NAMESPACE

void int8_x16_by_vnni(const ProductArgs& args) { HWY_NAMESPACE::int8_x16_products<HWY_NAMESPACE::Vnni>(args); }

}  // namespace weft
HWY_POP_ATTRIBUTES

#endif

#if HWY_ONCE
namespace weft {

#if HWY_ARCH_X86 && (HWY_TARGETS & HWY_AVX3)

namespace {
constexpr const char* kName = "int8-x16-vnni";

const char* run_int8_x16_vnni(const ProductArgs& args) {
  int8_x16_by_vnni(args);
  return kName;
}
}  // namespace

void add_int8_x16_vnni(KernelTable& table) {
  ProductKernel row = x16_row(ActivationElement::int8);
  row.name = kName;
  row.preference = 31;
  row.features = "avx512_vnni";
  row.available = has_avx512_vnni;
  row.run = run_int8_x16_vnni;
  row.scratch_bytes = kBytePanels * kBytePanelBytes;
  table.add(std::move(row));
}

#else

void add_int8_x16_vnni(KernelTable&) {}

#endif

}  // namespace weft
#endif
