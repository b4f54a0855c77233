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

// A block takes so long that neither the processor's window nor its own prefetching reaches far enough ahead: each run
// prefetches its share of a later block, line by line and in the order of memory, in every call alike, so that there is
// no branch for which sums would leave their registers. (Zen 5, two threads, one row, of 85 GB/s: Q4_K 32 to 90 GB/s,
// Q3_K 25 to 70, Q6_K 22 to 80; half the distance gives a tenth less, all lines of a block at once nothing.)
inline constexpr int64_t kAhead = 9216;  // bytes
// Intel's cores, whose own prefetching ends with each page, are also asked to have what is further ahead in the second
// cache. (Xeon without AMX, two threads, 28 GB/s, decode of 1.1 GB: Q4_K_M 25 to 32 tokens/s, of which the first
// prefetch alone gives 29; several groups by turns, each a stream, were no faster for any format.)
inline constexpr int64_t kFurther = 24576;
// Of a block of all rows of a group.
template <Format kFormat>
inline constexpr int64_t kBytesOfGroup = FormatTraits<kFormat>::kBytes * kGroupRows;

// Rows [m, m + kRows) of a tile of `stride`.
struct TileRows {
  const Int8Tile& tile;
  int64_t stride, m;
};

// A run of a block of each row of a group: adds to `total` and `less`. A part of the block's bytes from `ahead` on is
// asked for in the first cache, and from `further` on in the second.
template <Format kFormat, int64_t kRows>
HWY_INLINE void vnni_run(const BlockOfRows<kFormat>& rows, const std::byte* ahead, const std::byte* further,
                         const VF* scale, const VF* minimum, const TileRows& left, int64_t block, int64_t run,
                         VXF* total, VXF* less) {
  using Q = Quants<kFormat>;
  const DX d;
  const DXF df;
  constexpr int64_t kRuns = Q::kElements / kRun, kGrains = kRun / Q::kGrain, kUnits = Q::kGrain / kGroupRun;
  constexpr int64_t kLine = 64, kLines = (kBytesOfGroup<kFormat> + kLine - 1) / kLine;
  const auto flip = hn::Set(DBytes(), Q::kSigned ? 0x80 : 0);
  const int64_t left_run = (block * kRuns + run) * left.stride + left.m;
  const int8_t* activations = left.tile.values + left_run * kActivationBlock;
  Q::begin_run(rows, run);
  WEFT_UNROLL
  for (int64_t line = run * kLines / kRuns; line < (run + 1) * kLines / kRuns; ++line) {
    // Stays where it is, which hwy::Prefetch does not: compilers move those of a block to its beginning.
    asm volatile("prefetcht0 %0" ::"m"(*(ahead + line * kLine)));
    asm volatile("prefetcht2 %0" ::"m"(*(further + line * kLine)));
  }
  WEFT_UNROLL
  for (int64_t g = 0; g < kGrains; ++g) {
    const int64_t left_grain = kGrains == 1 ? left_run : ((block * kRuns + run) * kGrains + g) * left.stride + left.m;
    const int32_t* bias = (kGrains == 1 ? left.tile.bias : left.tile.bias_16) + left_grain;
    VX sum[kRows];
    WEFT_UNROLL
    for (int64_t r = 0; r < kRows; ++r) sum[r] = hn::Set(d, Q::kSigned ? bias[r] : 0);
    WEFT_UNROLL
    for (int64_t unit = g * kUnits; unit < (g + 1) * kUnits; ++unit) {
      const VX bytes = hn::BitCast(d, hn::Xor(Q::get(RunOfRows<kFormat>{rows, unit}, run), flip));
      WEFT_UNROLL
      for (int64_t r = 0; r < kRows; ++r) {
        int32_t four;
        std::memcpy(&four, activations + r * kActivationBlock + unit * kGroupRun, sizeof four);
        sum[r] = Vnni::add<Q::kSigned>(sum[r], bytes, hn::Set(d, four));
      }
    }
    const int64_t grain = run * kGrains + g;
    const float* sums = (kGrains == 1 ? left.tile.sums_32 : left.tile.sums_16) + left_grain;
    WEFT_UNROLL
    for (int64_t r = 0; r < kRows; ++r) {
      const VXF factor = hn::Mul(scale[grain], hn::Set(df, left.tile.scales[left_run + r]));
      total[r] = hn::MulAdd(hn::ConvertTo(df, sum[r]), factor, total[r]);
      if constexpr (Q::kMinimum) less[r] = hn::MulAdd(minimum[grain], hn::Set(df, sums[r]), less[r]);
    }
  }
}

// The products of such rows with a group. `further`: bytes ahead.
template <Format kFormat, int64_t kRows>
HWY_NOINLINE void vnni_rows(const std::byte* group, int64_t further, int64_t k, const TileRows& left, float* const* out,
                            int64_t column) {
  using Q = Quants<kFormat>;
  const DXF df;
  const int64_t blocks = k / Q::kElements;
  VXF total[kRows], less[kRows];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) total[r] = less[r] = hn::Zero(df);
  for (int64_t b = 0; b < blocks; ++b) {
    const BlockOfRows<kFormat> rows(group, blocks, b, 0);
    // Chunks of blocks are in another order than blocks, but take as much memory.
    const std::byte* here = group + b * kBytesOfGroup<kFormat>;
    VF scale[kScalesOf<kFormat>], minimum[kScalesOf<kFormat>];
    Q::scales_of_rows(rows, scale, minimum);
    WEFT_UNROLL
    for (int64_t run = 0; run < Q::kElements / kRun; ++run) {
      vnni_run<kFormat, kRows>(rows, here + kAhead, here + further, scale, minimum, left, b, run, total, less);
    }
  }
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) {
    const VXF sum = Q::kMinimum ? hn::Sub(total[r], less[r]) : total[r];
    hn::StoreU(sum, df, out[left.m + r] + column);
  }
}

// The products of a group with `rows` rows, a whole tile: a panel would cost more to write and read
// than to decode.
template <Format kFormat>
void vnni_group(const std::byte* group, int64_t k, const Int8Tile& left, int64_t rows, float* const* out,
                int64_t column) {
  // Where only the first cache is to be asked, its lines are asked for twice, which costs less than a second kernel.
  const int64_t further = wants_far_lines() ? kFurther : kAhead;
  int64_t m = 0;
  const auto with = [&](auto some) {
    constexpr int64_t kRows = decltype(some)::value;
    for (; m + kRows <= rows; m += kRows) {
      vnni_rows<kFormat, kRows>(group, further, k, {left, rows, m}, out, column);
    }
  };
  with(std::integral_constant<int64_t, 8>());
  with(std::integral_constant<int64_t, 4>());
  with(std::integral_constant<int64_t, 2>());
  with(std::integral_constant<int64_t, 1>());
}

template <Format kFormat>
void vnni_few_rows(const ProductArgs& args) {
  const Int8Tile left(args.left[0], args.rows, args.k);
  for (int64_t group = 0; group < args.columns / kGroupRows; ++group) {
    vnni_group<kFormat>(args.right[group], args.k, left, args.rows, args.out, group * kGroupRows);
  }
}

// The same of rows in digits, which are rows of the int8 tile.
template <Format kFormat>
void vnni_digits(const ProductArgs& args) {
  const DXF df;
  const DigitTile left(args.left[0], args.rows, args.k);
  HWY_ALIGN float sums[kDigitRows * kDigits][kGroupRows];
  float* of_digit[kDigitRows * kDigits];
  for (int64_t m = 0; m < kDigitRows * kDigits; ++m) of_digit[m] = sums[m];
  for (int64_t column = 0; column < args.columns; column += kGroupRows) {
    const RowPointers group = args.right + column / kGroupRows;
    vnni_group<kFormat>(*group, args.k, left.digits, args.rows * kDigits, of_digit, 0);
    for (int64_t m = 0; m < args.rows; ++m) {
      VXF sum = hn::Load(df, sums[m * kDigits + kDigits - 1]);
      for (int64_t digit = kDigits - 2; digit >= 0; --digit) {
        sum = hn::Add(sum, hn::Load(df, sums[m * kDigits + digit]));
      }
      hn::StoreU(sum, df, args.out[m] + column);
      // Activations without digits, or weights with an infinite scale: what their products are, their digits do not
      // say.
      if (!hn::AllTrue(df, hn::IsFinite(sum))) {
        float_dots(args.format, *group, args.k, left.floats + m * args.k, args.out[m] + column);
      }
    }
  }
}

void vnni_products(const ProductArgs& args) {
  if (args.rows > kRowTile) {
    int8_x16_products<Vnni>(args);
    return;
  }
  const auto few = visit_block_format(args.format, []<Format kFormat>() { return &vnni_few_rows<kFormat>; });
  few(args);
}

void vnni_digit_products(const ProductArgs& args) {
  visit_block_format(args.format, []<Format kFormat>() { return &vnni_digits<kFormat>; })(args);
}

}  // namespace HWY_NAMESPACE

void int8_x16_by_vnni(const ProductArgs& args) { HWY_NAMESPACE::vnni_products(args); }
void digits_x16_by_vnni(const ProductArgs& args) { HWY_NAMESPACE::vnni_digit_products(args); }

}  // namespace weft
HWY_POP_ATTRIBUTES

#endif

#if HWY_ONCE
namespace weft {

#if HWY_ARCH_X86 && (HWY_TARGETS & HWY_AVX3)

namespace {
constexpr const char* kName = "int8-x16-vnni";
constexpr const char* kDigitsName = "digits-x16-vnni";

const char* run_int8_x16_vnni(const ProductArgs& args) {
  int8_x16_by_vnni(args);
  return kName;
}

const char* run_digits_x16_vnni(const ProductArgs& args) {
  digits_x16_by_vnni(args);
  return kDigitsName;
}

ProductKernel vnni_row(ActivationElement element) {
  ProductKernel row = x16_row(element);
  row.features = "avx512_vnni";
  row.available = has_avx512_vnni;
  return row;
}
}  // namespace

void add_int8_x16_vnni(KernelTable& table) {
  ProductKernel row = vnni_row(ActivationElement::int8);
  row.name = kName;
  row.preference = 31;
  row.run = run_int8_x16_vnni;
  row.scratch_bytes = kBytePanels * kBytePanelBytes;
  table.add(std::move(row));

  ProductKernel digits = vnni_row(ActivationElement::digits);
  digits.name = kDigitsName;
  digits.activations.tile = digits.last_rows = kDigitRows;
  digits.preference = 20;
  digits.run = run_digits_x16_vnni;
  table.add(std::move(digits));
}

#else

void add_int8_x16_vnni(KernelTable&) {}

#endif

}  // namespace weft
#endif
