// Products of quantized activations with rows of Q8_0 that are interleaved by 16 (core/record/layout.h), on any of the
// ways to multiply bytes. To be included within the attributes of the target, in weft::HWY_NAMESPACE: each way compiles
// it for itself, and `Dot` keeps their instances apart.
//
// Lanes are outputs, so sums need no reduction. A block of 32 elements is summed as integers: for each of its 8 runs of
// four elements one vector of weights meets the same four activations of each left-hand row. The sums then get one
// factor, the product of both scales. What is done for several left-hand rows, or groups of outputs, is independent:
// there must be enough of it to hide the latency of the products.
//
//   Dot::Weights              what weights() gives
//   Dot::kMostRows            left-hand rows at a time, 6 or 12; kFew, kSome: vectors of outputs with up to 3, or 6, of
//   them Dot::kBias                whether sums start from Int8Tile::bias, for weights that stay 128 higher
//   Dot::weights(bytes)       what is multiplied, from 4 weights per lane as they are stored
//   Dot::add(sums, weights, activations)   adds 4 products to each i32 lane; `activations`: 4 bytes, in every lane

using DX = hn::CappedTag<int32_t, 16>;  // lanes are outputs
using DXF = hn::RebindToFloat<DX>;
using VX = hn::Vec<DX>;
using VXF = hn::Vec<DXF>;
inline constexpr int64_t kOutputLanes = HWY_MIN(hn::MaxLanes(DX()), size_t{16});

// kRows left-hand rows of a tile of `stride`, from row `m` on, against kOutputs vectors of outputs: vector v is lanes
// [lane[v], ...) of groups[v].
template <class Dot, int64_t kRows, int64_t kOutputs>
HWY_INLINE void int8_x16_block_rows(const std::byte* const* groups, const int64_t* lane, const Int8Tile& left,
                                    int64_t m, int64_t stride, int64_t k, float* const* out, const int64_t* column) {
  const DX d;
  const DXF df;
  const hn::Rebind<uint16_t, DX> d16;
  VXF total[kRows][kOutputs];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) {
    WEFT_UNROLL
    for (int64_t v = 0; v < kOutputs; ++v) total[r][v] = hn::Zero(df);
  }
  const int64_t blocks = k / kActivationBlock;
  const size_t scales_at = static_cast<size_t>(k) * kGroupRows;
  for (int64_t b = 0; b < blocks; ++b) {
    const int8_t* activations = left.values + (b * stride + m) * kActivationBlock;
    VX sum[kRows][kOutputs];
    WEFT_UNROLL
    for (int64_t r = 0; r < kRows; ++r) {
      WEFT_UNROLL
      for (int64_t v = 0; v < kOutputs; ++v) {
        sum[r][v] = Dot::kBias ? hn::Set(d, left.bias[b * stride + m + r]) : hn::Zero(d);
      }
    }
    WEFT_UNROLL
    for (int64_t i = 0; i < 8; ++i) {
      typename Dot::Weights weights[kOutputs];
      WEFT_UNROLL
      for (int64_t v = 0; v < kOutputs; ++v) {
        const std::byte* at = groups[v] + static_cast<size_t>(((b * 8 + i) * kGroupRows + lane[v]) * 4);
        weights[v] = Dot::weights(hn::LoadU(d, reinterpret_cast<const int32_t*>(at)));
      }
      WEFT_UNROLL
      for (int64_t r = 0; r < kRows; ++r) {
        int32_t four;
        std::memcpy(&four, activations + r * kActivationBlock + i * 4, sizeof four);
        const VX all = hn::Set(d, four);
        WEFT_UNROLL
        for (int64_t v = 0; v < kOutputs; ++v) sum[r][v] = Dot::add(sum[r][v], weights[v], all);
      }
    }
    WEFT_UNROLL
    for (int64_t v = 0; v < kOutputs; ++v) {
      const std::byte* at = groups[v] + scales_at + static_cast<size_t>((b * kGroupRows + lane[v]) * 2);
      const VXF scale = half_to_float(hn::LoadU(d16, reinterpret_cast<const uint16_t*>(at)));
      WEFT_UNROLL
      for (int64_t r = 0; r < kRows; ++r) {
        const VXF factor = hn::Mul(scale, hn::Set(df, left.scales[b * stride + m + r]));
        total[r][v] = hn::MulAdd(hn::ConvertTo(df, sum[r][v]), factor, total[r][v]);
      }
    }
  }
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) {
    WEFT_UNROLL
    for (int64_t v = 0; v < kOutputs; ++v) hn::StoreU(total[r][v], df, out[m + r] + column[v]);
  }
}

template <class Dot, int64_t kRows, int64_t kOutputs>
HWY_NOINLINE void int8_x16_outputs(const ProductArgs& args, const Int8Tile& left, int64_t m, int64_t stride,
                                   float* const* out) {
  int64_t j = 0;
  for (; j + kOutputs * kOutputLanes <= args.columns; j += kOutputs * kOutputLanes) {
    const std::byte* groups[kOutputs];
    int64_t lane[kOutputs], column[kOutputs];
    for (int64_t v = 0; v < kOutputs; ++v) {
      column[v] = j + v * kOutputLanes;
      groups[v] = args.right[column[v] / kGroupRows];
      lane[v] = column[v] % kGroupRows;
    }
    int8_x16_block_rows<Dot, kRows, kOutputs>(groups, lane, left, m, stride, args.k, out, column);
  }
  for (; j < args.columns; j += kOutputLanes) {
    const int64_t lane = j % kGroupRows;
    int8_x16_block_rows<Dot, kRows, 1>(args.right + j / kGroupRows, &lane, left, m, stride, args.k, out, &j);
  }
}

// Rows and vectors of outputs that fill the registers.
template <class Dot>
void int8_x16_products(const ProductArgs& args) {
  for (int64_t first = 0; first < args.rows; first += kRowTile) {
    const int64_t stride = HWY_MIN(kRowTile, args.rows - first);
    const Int8Tile left(args.left[first / kRowTile], stride, args.k);
    float* const* out = args.out + first;
    for (int64_t m = 0; m < stride;) {
      const int64_t rows = HWY_MIN(Dot::kMostRows, stride - m);
      switch (rows) {
        case 1: int8_x16_outputs<Dot, 1, Dot::kFew>(args, left, m, stride, out); break;
        case 2: int8_x16_outputs<Dot, 2, Dot::kFew>(args, left, m, stride, out); break;
        case 3: int8_x16_outputs<Dot, 3, Dot::kFew>(args, left, m, stride, out); break;
        case 4: int8_x16_outputs<Dot, 4, Dot::kSome>(args, left, m, stride, out); break;
        case 5: int8_x16_outputs<Dot, 5, Dot::kSome>(args, left, m, stride, out); break;
        case 6: int8_x16_outputs<Dot, 6, Dot::kSome>(args, left, m, stride, out); break;
        default:
          if constexpr (Dot::kMostRows > 6) {
            switch (rows) {
              case 7: int8_x16_outputs<Dot, 7, 1>(args, left, m, stride, out); break;
              case 8: int8_x16_outputs<Dot, 8, 1>(args, left, m, stride, out); break;
              case 9: int8_x16_outputs<Dot, 9, 1>(args, left, m, stride, out); break;
              case 10: int8_x16_outputs<Dot, 10, 1>(args, left, m, stride, out); break;
              case 11: int8_x16_outputs<Dot, 11, 1>(args, left, m, stride, out); break;
              default: int8_x16_outputs<Dot, 12, 1>(args, left, m, stride, out); break;
            }
          }
      }
      m += rows;
    }
  }
}
