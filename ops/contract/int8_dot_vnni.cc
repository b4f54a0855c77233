// Byte products by VNNI, for which the packaged Highway has no operation: a separate target on top of Highway's
// AVX-512. int8_dot.cc is the fallback, and the cross-check.
#include <utility>

#include "ops/contract/int8_dot.h"
#include "ops/contract/products.h"
#include "ops/cpu/cpu_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/int8_dot_vnni.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "core/format/quants-inl.h"

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3

HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace weft {
namespace HWY_NAMESPACE {

#include "ops/contract/int8_dot-inl.h"

struct Vnni {
  template <bool kSigned>
  static HWY_INLINE VI add(VI sums, V8 bytes, V8 values) {
    if (!kSigned) return VI{_mm256_dpbusd_epi32(sums.raw, bytes.raw, values.raw)};
    // Of signed bytes the magnitude, with the sign on the other side.
    return VI{_mm256_dpbusd_epi32(sums.raw, _mm256_abs_epi8(bytes.raw), _mm256_sign_epi8(values.raw, bytes.raw))};
  }
};

}  // namespace HWY_NAMESPACE

void dot_int8_vnni(Format format, RowPointers rows, int64_t count, const Int8Tile* lhs, int lhs_rows, int64_t k,
                   float* const* out) {
  HWY_NAMESPACE::dot_int8_with<HWY_NAMESPACE::Vnni>(format, rows, count, lhs, lhs_rows, k, out);
}

}  // namespace weft
HWY_POP_ATTRIBUTES

#endif

#if HWY_ONCE
namespace weft {

#if HWY_ARCH_X86 && (HWY_TARGETS & HWY_AVX3)

namespace {
constexpr const char* kName = "int8-dot-vnni";

const char* run_int8_dot_vnni(const ProductArgs& args) {
  dot_int8_rows(args, dot_int8_vnni);
  return kName;
}
}  // namespace

void add_int8_dot_vnni(KernelTable& table) {
  ProductKernel row = int8_dot_row();
  row.name = kName;
  row.preference = 21;
  row.features = "avx512_vnni";
  row.available = has_avx512_vnni;
  row.run = run_int8_dot_vnni;
  table.add(std::move(row));
}

#else

void add_int8_dot_vnni(KernelTable&) {}

#endif

}  // namespace weft
#endif
