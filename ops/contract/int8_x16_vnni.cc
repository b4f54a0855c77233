// Products of quantized activations with interleaved rows by VNNI, for which the packaged Highway has no operation: a
// separate target on top of Highway's AVX-512. int8_x16.cc is the fallback, and the cross-check.
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/format/formats.h"
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

// One left-hand row and a block of each row of a group: adds to `total` and `less`.
template <Format kFormat>
HWY_INLINE void vnni_block(const BlockOfRows<kFormat>& rows, const Int8Tile& left, int64_t block, VXF& total,
                           VXF& less) {
  using Q = Quants<kFormat>;
  const DX d;
  const DXF df;
  constexpr int64_t kRuns = Q::kElements / kRun, kGrains = kRun / Q::kGrain, kUnits = Q::kGrain / kGroupRun;
  const auto flip = hn::Set(DBytes(), Q::kSigned ? 0x80 : 0);
  VF scale[kScalesOf<kFormat>], minimum[kScalesOf<kFormat>];
  Q::scales_of_rows(rows, scale, minimum);
  WEFT_UNROLL
  for (int64_t run = 0; run < kRuns; ++run) {
    const int64_t left_run = block * kRuns + run;
    const int8_t* activations = left.values + left_run * kActivationBlock;
    const VXF left_scale = hn::Set(df, left.scales[left_run]);
    WEFT_UNROLL
    for (int64_t g = 0; g < kGrains; ++g) {
      const int64_t left_grain = left_run * kGrains + g;
      VX sum = hn::Set(d, Q::kSigned ? (kGrains == 1 ? left.bias : left.bias_16)[left_grain] : 0);
      WEFT_UNROLL
      for (int64_t unit = g * kUnits; unit < (g + 1) * kUnits; ++unit) {
        const VBytes bytes = hn::Xor(Q::get(RunOfRows<kFormat>{rows, unit}, run), flip);
        int32_t four;
        std::memcpy(&four, activations + unit * kGroupRun, sizeof four);
        sum = Vnni::add<Q::kSigned>(sum, hn::BitCast(d, bytes), hn::Set(d, four));
      }
      const int64_t grain = run * kGrains + g;
      total = hn::MulAdd(hn::ConvertTo(df, sum), hn::Mul(scale[grain], left_scale), total);
      if constexpr (Q::kMinimum) {
        const float* sums = kGrains == 1 ? left.sums_32 : left.sums_16;
        less = hn::MulAdd(minimum[grain], hn::Set(df, sums[left_grain]), less);
      }
    }
  }
}

// The products of one left-hand row; kGroups take turns, block by block.
template <Format kFormat, int64_t kGroups>
void vnni_dots_in_turns(RowPointers groups, int64_t count, int64_t k, const Int8Tile& left, float* out) {
  constexpr int64_t kAhead = kGroups == 1 ? 1024 : 512;
  const bool prefetches = wants_prefetch();
  const DXF df;
  const int64_t blocks = k / Quants<kFormat>::kElements;
  for (int64_t g = 0; g < count; g += kGroups) {
    VXF total[kGroups], less[kGroups];
    WEFT_UNROLL
    for (int64_t p = 0; p < kGroups; ++p) total[p] = less[p] = hn::Zero(df);
    for (int64_t b = 0; b < blocks; ++b) {
      WEFT_UNROLL
      for (int64_t p = 0; p < kGroups; ++p) {
        if (g + p >= count) continue;
        const BlockOfRows<kFormat> rows(groups[g + p], blocks, b, 0);
        stream_block(rows, prefetches, kAhead);
        vnni_block<kFormat>(rows, left, b, total[p], less[p]);
      }
    }
    WEFT_UNROLL
    for (int64_t p = 0; p < kGroups; ++p) {
      if (g + p < count) hn::StoreU(hn::Sub(total[p], less[p]), df, out + (g + p) * kGroupRows);
    }
  }
}

template <Format kFormat>
void vnni_dots(RowPointers groups, int64_t count, int64_t k, const Int8Tile& left, float* out) {
  // With small blocks, which compute little for each line, memory serves several streams that are prefetched faster
  // than one, and one faster where the hardware has to find them.
  if constexpr (Quants<kFormat>::kElements == kRun) {
    if (wants_prefetch()) return vnni_dots_in_turns<kFormat, 4>(groups, count, k, left, out);
  }
  vnni_dots_in_turns<kFormat, 1>(groups, count, k, left, out);
}

void vnni_products(const ProductArgs& args) {
  if (args.rows > 1) {
    int8_x16_products<Vnni>(args);
    return;
  }
  // A panel would cost more to write and read than to decode.
  const auto dots = visit_block_format(args.format, []<Format kFormat>() { return &vnni_dots<kFormat>; });
  dots(args.right, args.columns / kGroupRows, args.k, Int8Tile(args.left[0], 1, args.k), args.out[0]);
}

}  // namespace HWY_NAMESPACE

void int8_x16_by_vnni(const ProductArgs& args) { HWY_NAMESPACE::vnni_products(args); }

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
