#include "ops/contract/x16_panels.h"

#include "core/format/formats.h"
#include "ops/cpu/cpu_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/x16_panels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/contract/x16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// Calls use(block, rows, scale, minimum) for each block of the elements.
template <Format kFormat, class Use>
HWY_INLINE void for_blocks(const std::byte* group, int64_t k, int64_t first, int64_t depth, int64_t lane,
                           const Use& use) {
  using Q = Quants<kFormat>;
  for (int64_t b = 0; b < depth / Q::kElements; ++b) {
    const BlockOfRows<kFormat> rows(group, k / Q::kElements, first / Q::kElements + b, lane);
    VF scale[kScalesOf<kFormat>], minimum[kScalesOf<kFormat>];
    Q::scales_of_rows(rows, scale, minimum);
    use(b, rows, scale, minimum);
  }
}

template <Format kFormat>
void bytes_of(const std::byte* group, int64_t k, int64_t first, int64_t depth, uint8_t* values, float* scales,
              float* minimums) {
  using Q = Quants<kFormat>;
  constexpr int64_t kRuns = Q::kElements / kRun;
  for (int64_t lane = 0; lane < kGroupRows; lane += kLanes) {
    for_blocks<kFormat>(group, k, first, depth, lane,
                        [&](int64_t b, const BlockOfRows<kFormat>& rows, const VF* scale, const VF* minimum) HWY_ATTR {
                          WEFT_UNROLL
                          for (int64_t i = 0; i < kScalesOf<kFormat>; ++i) {
                            const int64_t at = (b * kScalesOf<kFormat> + i) * kGroupRows + lane;
                            hn::StoreU(scale[i], DF(), scales + at);
                            if (Q::kMinimum) hn::StoreU(minimum[i], DF(), minimums + at);
                          }
                          // What comes next is multiplied with many rows before it is decoded.
                          stream_block(rows, true, depth);
                          uint8_t* to = values + b * Q::kElements * kGroupRows + lane * kGroupRun;
                          WEFT_UNROLL
                          for (int64_t run = 0; run < kRuns; ++run) {
                            Q::begin_run(rows, run);
                            WEFT_UNROLL
                            for (int64_t unit = 0; unit < kRun / kGroupRun; ++unit) {
                              const VBytes bytes = Q::get(RunOfRows<kFormat>{rows, unit}, run);
                              hn::StoreU(hn::Xor(bytes, hn::Set(DBytes(), Q::kSigned ? 0x80 : 0)), DBytes(),
                                         to + (run * kRun + unit * kGroupRun) * kGroupRows);
                            }
                          }
                        });
  }
}

template <Format kFormat>
void floats_of(const std::byte* group, int64_t k, int64_t first, int64_t depth, int64_t row, int64_t rows_wanted,
               float* out, int64_t stride) {
  using Q = Quants<kFormat>;
  constexpr int64_t kRuns = Q::kElements / kRun;
  for (int64_t lane = 0; lane < rows_wanted; lane += kLanes) {
    for_blocks<kFormat>(group, k, first, depth, row + lane,
                        [&](int64_t b, const BlockOfRows<kFormat>& rows, const VF* scale, const VF* minimum) HWY_ATTR {
                          WEFT_UNROLL
                          for (int64_t run = 0; run < kRuns; ++run) {
                            Q::begin_run(rows, run);
                            WEFT_UNROLL
                            for (int64_t unit = 0; unit < kRun / kGroupRun; ++unit) {
                              const int64_t element = run * kRun + unit * kGroupRun;
                              const VBytes bytes = Q::get(RunOfRows<kFormat>{rows, unit}, run);
                              float* to = out + (b * Q::kElements + element) * stride + lane;
                              WEFT_UNROLL
                              for (int64_t j = 0; j < kGroupRun; ++j) {
                                hn::StoreU(float_of<kFormat>(bytes, j, scale, minimum, element / Q::kGrain), DF(),
                                           to + j * stride);
                              }
                            }
                          }
                        });
  }
}

template <Format kFormat>
void dots_of(const std::byte* group, int64_t k, const float* left, float* out) {
  using Q = Quants<kFormat>;
  const DF df;
  const bool prefetches = wants_far_lines();
  for (int64_t lane = 0; lane < kGroupRows; lane += kLanes) {
    VF sum[kGroupRun] = {hn::Zero(df), hn::Zero(df), hn::Zero(df), hn::Zero(df)};
    for_blocks<kFormat>(group, k, 0, k, lane,
                        [&](int64_t b, const BlockOfRows<kFormat>& rows, const VF* scale, const VF* minimum) HWY_ATTR {
                          stream_block(rows, prefetches, 1024);
                          const float* of_block = left + b * Q::kElements;
                          WEFT_UNROLL
                          for (int64_t run = 0; run < Q::kElements / kRun; ++run) {
                            Q::begin_run(rows, run);
                            WEFT_UNROLL
                            for (int64_t unit = 0; unit < kRun / kGroupRun; ++unit) {
                              const int64_t element = run * kRun + unit * kGroupRun;
                              const VBytes bytes = Q::get(RunOfRows<kFormat>{rows, unit}, run);
                              WEFT_UNROLL
                              for (int64_t j = 0; j < kGroupRun; ++j) {
                                const VF weight = float_of<kFormat>(bytes, j, scale, minimum, element / Q::kGrain);
                                sum[j] = hn::MulAdd(weight, hn::Set(df, of_block[element + j]), sum[j]);
                              }
                            }
                          }
                        });
    hn::StoreU(hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])), df, out + lane);
  }
}

void bytes_of_any(Format format, const std::byte* group, int64_t k, int64_t first, int64_t depth, uint8_t* values,
                  float* scales, float* minimums) {
  const auto of = visit_block_format(format, []<Format kFormat>() { return &bytes_of<kFormat>; });
  of(group, k, first, depth, values, scales, minimums);
}

void floats_of_any(Format format, const std::byte* group, int64_t k, int64_t first, int64_t depth, int64_t row,
                   int64_t rows, float* out, int64_t stride) {
  const auto of = visit_block_format(format, []<Format kFormat>() { return &floats_of<kFormat>; });
  of(group, k, first, depth, row, rows, out, stride);
}

void dots_of_any(Format format, const std::byte* group, int64_t k, const float* left, float* out) {
  const auto of = visit_block_format(format, []<Format kFormat>() { return &dots_of<kFormat>; });
  of(group, k, left, out);
}

BytePanelForm form_of(Format format) {
  return visit_block_format(format, []<Format kFormat>() {
    using Q = Quants<kFormat>;
    return BytePanelForm{Q::kGrain, Q::kSigned, Q::kMinimum, false};
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(bytes_of_any);
HWY_EXPORT(floats_of_any);
HWY_EXPORT(dots_of_any);
HWY_EXPORT(form_of);

namespace {

// Q8_0 has a byte for each element and an f16 scale for 32 of them.
bool is_in_place(Format format) { return format == Format::q8_0; }

}  // namespace

BytePanelForm byte_panel_form(Format format) {
  BytePanelForm form = HWY_DYNAMIC_DISPATCH(form_of)(format);
  form.is_in_place = is_in_place(format);
  return form;
}

BytePanel byte_panel(Format format, const std::byte* group, int64_t k, int64_t first, int64_t depth,
                     std::byte* scratch) {
  constexpr int64_t kRows = kRows16.rows;
  if (is_in_place(format)) return {reinterpret_cast<const uint8_t*>(group), nullptr, nullptr};
  auto* scales = reinterpret_cast<float*>(scratch);
  float* minimums = scales + kBytePanelDepth / 16 * kRows;
  auto* values = reinterpret_cast<uint8_t*>(minimums + kBytePanelDepth / 16 * kRows);
  HWY_DYNAMIC_DISPATCH(bytes_of_any)(format, group, k, first, depth, values, scales, minimums);
  return {values, scales, minimums};
}

void float_panel(Format format, const std::byte* group, int64_t k, int64_t first, int64_t depth, int64_t row,
                 int64_t rows, float* out, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(floats_of_any)(format, group, k, first, depth, row, rows, out, stride);
}

void float_dots(Format format, const std::byte* group, int64_t k, const float* left, float* out) {
  HWY_DYNAMIC_DISPATCH(dots_of_any)(format, group, k, left, out);
}

}  // namespace weft
#endif
