// Products of a few left-hand rows of f32 with rows that are interleaved by 16: panels of these are decoded as they are
// needed. Lanes are outputs.
#include <type_traits>
#include <utility>

#include "core/record/layout.h"
#include "ops/contract/kernels.h"
#include "ops/contract/products.h"
#include "ops/contract/x16_panels.h"

#ifndef WEFT_CONTRACT_F32_X16
#define WEFT_CONTRACT_F32_X16
namespace weft {
constexpr int64_t kPanelElements = 256;
constexpr int64_t kPanelRows = kRows16.rows;
}  // namespace weft
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/f32_x16.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// kRows of the `stride` left-hand rows of a tile, from element `first` on, against a panel; sums of earlier elements
// are in `out`.
template <int64_t kRows>
HWY_NOINLINE void x16_rows(const float* panel, const float* left, int64_t stride, int64_t first, int64_t depth,
                           float* const* out, int64_t column) {
  const DF df;
  // Vectors of outputs, and elements that take turns: so that a few rows have enough sums to hide the latency of the
  // additions.
  constexpr int64_t kVectorsOfOutputs = kPanelRows / kLanes;
  constexpr int64_t kOutputs = HWY_MIN(kVectorsOfOutputs, 2);
  constexpr int64_t kSums = kRows * kOutputs < 4 ? 4 : kRows * kOutputs < 8 ? 2 : 1;
  left += first * stride;
  for (int64_t j = 0; j < kPanelRows; j += kOutputs * kLanes) {
    VF sum[kRows][kOutputs][kSums];
    WEFT_UNROLL
    for (int64_t m = 0; m < kRows; ++m) {
      WEFT_UNROLL
      for (int64_t v = 0; v < kOutputs; ++v) {
        WEFT_UNROLL
        for (int64_t s = 0; s < kSums; ++s) sum[m][v][s] = hn::Zero(df);
        if (first != 0) sum[m][v][0] = hn::LoadU(df, out[m] + column + j + v * kLanes);
      }
    }
    for (int64_t i = 0; i < depth; i += kSums) {
      WEFT_UNROLL
      for (int64_t s = 0; s < kSums; ++s) {
        WEFT_UNROLL
        for (int64_t v = 0; v < kOutputs; ++v) {
          const VF weight = hn::LoadU(df, panel + (i + s) * kPanelRows + j + v * kLanes);
          WEFT_UNROLL
          for (int64_t m = 0; m < kRows; ++m) {
            sum[m][v][s] = hn::MulAdd(weight, hn::Set(df, left[(i + s) * stride + m]), sum[m][v][s]);
          }
        }
      }
    }
    WEFT_UNROLL
    for (int64_t m = 0; m < kRows; ++m) {
      WEFT_UNROLL
      for (int64_t v = 0; v < kOutputs; ++v) {
        VF total = sum[m][v][0];
        WEFT_UNROLL
        for (int64_t s = 1; s < kSums; ++s) total = hn::Add(total, sum[m][v][s]);
        hn::StoreU(total, df, out[m] + column + j + v * kLanes);
      }
    }
  }
}

void f32_x16_products(const ProductArgs& args) {
  constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3;
  if (args.rows == 1) {
    const auto* left = reinterpret_cast<const float*>(args.left[0]);
    for (int64_t j = 0; j < args.columns; j += kPanelRows) {
      float_dots(args.format, args.right[j / kPanelRows], args.k, left, args.out[0] + j);
    }
    return;
  }
  auto* panel = reinterpret_cast<float*>(args.scratch);
  for (int64_t j = 0; j < args.columns; j += kPanelRows) {
    int64_t first = 0;
    do {  // once for k = 0: the sums are 0
      const int64_t depth = HWY_MIN(kPanelElements, args.k - first);
      float_panel(args.format, args.right[j / kPanelRows], args.k, first, depth, 0, kPanelRows, panel, kPanelRows);
      for (int64_t tile = 0; tile < args.rows; tile += kRowTile) {
        const int64_t stride = HWY_MIN(kRowTile, args.rows - tile);
        const auto* of_tile = reinterpret_cast<const float*>(args.left[tile / kRowTile]);
        int64_t m = 0;
        while (m < stride) {
          const int64_t rows = stride - m;
          const auto with = [&](auto some) {
            constexpr int64_t kRows = decltype(some)::value;
            x16_rows<kRows>(panel, of_tile + m, stride, first, depth, args.out + tile + m, j);
            m += kRows;
          };
          if (kManyRegisters && rows >= 12) with(std::integral_constant<int64_t, 12>());
          else if (kManyRegisters && rows >= 8) with(std::integral_constant<int64_t, 8>());
          else if (rows >= 4) with(std::integral_constant<int64_t, 4>());
          else if (rows == 3) with(std::integral_constant<int64_t, 3>());
          else if (rows == 2) with(std::integral_constant<int64_t, 2>());
          else with(std::integral_constant<int64_t, 1>());
        }
      }
      first += depth;
    } while (first < args.k);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(f32_x16_products);

namespace {
constexpr const char* kName = "f32-x16";

const char* run_f32_x16(const ProductArgs& args) {
  HWY_DYNAMIC_DISPATCH(f32_x16_products)(args);
  return kName;
}
}  // namespace

void add_f32_x16(KernelTable& table) {
  ProductKernel row = x16_row(ActivationElement::floats);
  row.name = kName;
  row.scratch_bytes = kPanelElements * kPanelRows * sizeof(float);
  row.run = run_f32_x16;
  table.add(std::move(row));
}

}  // namespace weft
#endif
