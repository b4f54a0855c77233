// Dot products with quantized activations: sums of a run are exact integers, scaled once per run.
#include "ops/contract/int8_dot.h"

#include <iterator>
#include <utility>

#include "ops/contract/products.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/int8_dot.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "core/format/quants-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

#include "ops/contract/int8_dot-inl.h"

struct Pairs {
  template <bool kSigned>
  static HWY_INLINE VI add(VI sums, V8 bytes, V8 values) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
    // Pairs of products stay within 16 bits: at most 2 * 128 * 127.
    const auto left = kSigned ? _mm256_abs_epi8(bytes.raw) : bytes.raw;
    const auto right = kSigned ? _mm256_sign_epi8(values.raw, bytes.raw) : values.raw;
    const auto pairs = _mm256_maddubs_epi16(left, right);
    return hn::Add(sums, VI{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
#else
    const hn::Rebind<int16_t, hn::Half<D8> > d16;
    const hn::Half<D8> half;
    const hn::RebindToSigned<hn::Half<D8> > half_signed;
    const auto widened = [&](hn::Vec<hn::Half<D8> > part, bool is_signed) HWY_ATTR {
      return is_signed ? hn::PromoteTo(d16, hn::BitCast(half_signed, part)) : hn::PromoteTo(d16, part);
    };
    VI rest = hn::Zero(DI());
    sums = hn::ReorderWidenMulAccumulate(DI(), widened(hn::LowerHalf(half, bytes), kSigned),
                                         widened(hn::LowerHalf(half, values), true), sums, rest);
    sums = hn::ReorderWidenMulAccumulate(DI(), widened(hn::UpperHalf(half, bytes), kSigned),
                                         widened(hn::UpperHalf(half, values), true), sums, rest);
    return hn::Add(sums, rest);
#endif
  }
};

void dot_int8_highway(Format format, RowPointers rows, int64_t count, const Int8Tile* lhs, int lhs_rows, int64_t k,
                      float* const* out) {
  dot_int8_with<Pairs>(format, rows, count, lhs, lhs_rows, k, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(dot_int8_highway);

namespace {
constexpr const char* kName = "int8-dot";

const char* run_int8_dot(const ProductArgs& args) {
  dot_int8_rows(args, [](Format format, RowPointers rows, int64_t count, const Int8Tile* lhs, int lhs_rows, int64_t k,
                         float* const* out) {
    HWY_DYNAMIC_DISPATCH(dot_int8_highway)(format, rows, count, lhs, lhs_rows, k, out);
  });
  return kName;
}
}  // namespace

void dot_int8_rows(const ProductArgs& args, Int8DotFunction* dot) {
  const Int8Tile rows[kInt8Rows] = {Int8Tile(args.left[0], 1, args.k), Int8Tile(args.left[args.rows - 1], 1, args.k)};
  dot(args.format, args.right, args.columns, rows, static_cast<int>(args.rows), args.k, args.out);
}

ProductKernel int8_dot_row() {
  ProductKernel row;
  row.formats.assign(std::begin(kBlockFormats), std::end(kBlockFormats));
  row.activations = {ActivationElement::int8, 1};
  row.last_rows = kInt8Rows;
  return row;
}

void add_int8_dot(KernelTable& table) {
  ProductKernel row = int8_dot_row();
  row.name = kName;
  row.preference = 20;
  row.run = run_int8_dot;
  table.add(std::move(row));
}

}  // namespace weft
#endif
