// Products of quantized activations with interleaved rows, for any CPU: the fallback of int8_x16_vnni.cc, and its
// cross-check.
#include <cstring>
#include <utility>

#include "ops/contract/activations.h"
#include "ops/contract/kernels.h"
#include "ops/contract/products.h"
#include "ops/contract/x16_panels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/int8_x16.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/contract/x16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

#include "ops/contract/int8_x16-inl.h"

// Products of signed bytes, two by two in 16 bits, where they do not fit as long as neither is -128: the weights of a
// file may be. So their magnitudes are taken as unsigned bytes, and the activations get their signs.
struct SignedPairs {
  static constexpr bool kBias = false;
  static constexpr int64_t kMostRows = 4, kFew = 1, kSome = 1;
  using Bytes = hn::Repartition<int8_t, DX>;

#if HWY_ARCH_X86
  struct Weights {
    VX magnitude, sign;
  };
  template <bool kSigned>
  static HWY_INLINE Weights weights(VX bytes) {
    if constexpr (!kSigned) return {bytes, bytes};
    const VX value = hn::Xor(bytes, hn::Set(DX(), static_cast<int32_t>(0x80808080u)));
    return {hn::BitCast(DX(), hn::Abs(hn::BitCast(Bytes(), value))), value};
  }
  template <bool kSigned>
  static HWY_INLINE VX add(VX sums, const Weights& weights, VX activations) {
#if HWY_TARGET <= HWY_AVX3
    // AVX-512 has no instruction that copies signs: activations are negated where the weight is negative.
    const auto negative = hn::Lt(hn::BitCast(Bytes(), weights.sign), hn::Zero(Bytes()));
    const auto by = hn::BitCast(Bytes(), activations);
    const auto right = kSigned ? hn::IfThenElse(negative, hn::Neg(by), by) : by;
    const auto pairs = _mm512_maddubs_epi16(weights.magnitude.raw, right.raw);
    return hn::Add(sums, VX{_mm512_madd_epi16(pairs, _mm512_set1_epi16(1))});
#elif HWY_TARGET <= HWY_AVX2
    const auto right = kSigned ? _mm256_sign_epi8(activations.raw, weights.sign.raw) : activations.raw;
    const auto pairs = _mm256_maddubs_epi16(weights.magnitude.raw, right);
    return hn::Add(sums, VX{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
#else
    const auto right = kSigned ? _mm_sign_epi8(activations.raw, weights.sign.raw) : activations.raw;
    const auto pairs = _mm_maddubs_epi16(weights.magnitude.raw, right);
    return hn::Add(sums, VX{_mm_madd_epi16(pairs, _mm_set1_epi16(1))});
#endif
  }
#else
  using Weights = VX;
  template <bool kSigned>
  static HWY_INLINE Weights weights(VX bytes) {
    return kSigned ? hn::Xor(bytes, hn::Set(DX(), static_cast<int32_t>(0x80808080u))) : bytes;
  }
  // The four bytes of a lane, each as an i32; those without a sign are at most 127.
  template <bool kSigned>
  static HWY_INLINE VX add(VX sums, Weights weights, VX activations) {
    const DX d;
    const auto byte = [&](VX of, auto shift)
                          HWY_ATTR { return hn::ShiftRight<24>(hn::ShiftLeft<decltype(shift)::value>(of)); };
    const auto product = [&](auto shift) HWY_ATTR { return hn::Mul(byte(weights, shift), byte(activations, shift)); };
    (void)d;
    return hn::Add(
        sums, hn::Add(hn::Add(product(std::integral_constant<int, 24>()), product(std::integral_constant<int, 16>())),
                      hn::Add(product(std::integral_constant<int, 8>()), product(std::integral_constant<int, 0>()))));
  }
#endif
};

void int8_x16_highway(const ProductArgs& args) { int8_x16_products<SignedPairs>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(int8_x16_highway);

namespace {
constexpr const char* kName = "int8-x16";

const char* run_int8_x16(const ProductArgs& args) {
  HWY_DYNAMIC_DISPATCH(int8_x16_highway)(args);
  return kName;
}
}  // namespace

void add_int8_x16(KernelTable& table) {
  ProductKernel row = x16_row(ActivationElement::int8);
  row.name = kName;
  row.preference = 30;
  row.run = run_int8_x16;
  row.scratch_bytes = kBytePanels * kBytePanelBytes;
  table.add(std::move(row));
}

}  // namespace weft
#endif
