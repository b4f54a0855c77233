// Products of quantized activations with rows that are interleaved by 16 (x16_panels.h), on any of the ways to multiply
// bytes. To be included within the attributes of the target, in weft::HWY_NAMESPACE: each way compiles it for itself,
// and `Dot` keeps their instances apart.
//
// Lanes are outputs, so sums need no reduction. A run of 16 or 32 elements is summed as integers: for each four of them
// one vector of weights meets the same four activations of each left-hand row. The sums then get one factor, the
// product of both scales. What is done for several left-hand rows, or groups of outputs, is independent: there must be
// enough of it to hide the latency of the products.
//
//   Dot::kMostRows            left-hand rows at a time, 4 or 12; kFew, kSome: vectors of outputs with up to 3, or 6, of
//                             them
//   Dot::kBias                whether sums of signed weights start from Int8Tile's bias, as these stay 128 higher
//   Dot::weights<kSigned>     what is multiplied, from 4 weights per lane as panels have them
//   Dot::add<kSigned>         adds 4 products to each i32 lane; activations: 4 bytes, in every lane

using DX = hn::CappedTag<int32_t, 16>;  // lanes are outputs
using DXF = hn::RebindToFloat<DX>;
using VX = hn::Vec<DX>;
using VXF = hn::Vec<DXF>;
inline constexpr int64_t kOutputLanes = HWY_MIN(hn::MaxLanes(DX()), size_t{16});

template <int64_t kElements, bool kIsSigned, bool kHasMinimum, bool kIsInPlace = false>
struct PanelForm {
  static constexpr int64_t kGrain = kElements;
  static constexpr bool kSigned = kIsSigned, kMinimum = kHasMinimum, kInPlace = kIsInPlace;
};

// kRows left-hand rows of a tile of `stride`, from row `m` on, against kOutputs vectors of outputs: vector v is lanes
// [lane[v], ...) of panels[v]. `runs` of 32 elements, the first of which is run `first` of the left-hand rows; sums of
// earlier ones are in `out`.
template <class Dot, class Form, int64_t kRows, int64_t kOutputs>
HWY_INLINE void int8_x16_tile(const BytePanel* panels, const int64_t* lane, const Int8Tile& left, int64_t m,
                              int64_t stride, int64_t first, int64_t runs, float* const* out, const int64_t* column) {
  const DX d;
  const DXF df;
  constexpr int64_t kGrains = kActivationBlock / Form::kGrain;  // of a run
  constexpr int64_t kFours = Form::kGrain / kGroupRun;
  VXF total[kRows][kOutputs];
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) {
    WEFT_UNROLL
    for (int64_t v = 0; v < kOutputs; ++v) {
      total[r][v] = first == 0 ? hn::Zero(df) : hn::LoadU(df, out[m + r] + column[v]);
    }
  }
  for (int64_t b = 0; b < runs; ++b) {
    const uint8_t* values[kOutputs];
    const uint16_t* halves[kOutputs];
    WEFT_UNROLL
    for (int64_t v = 0; v < kOutputs; ++v) {
      if constexpr (Form::kInPlace) {
        const RunInPlace run = run_in_place(panels[v].values, b, runs);
        values[v] = run.values + lane[v] * kGroupRun;
        halves[v] = run.scales + lane[v];
      } else {
        values[v] = panels[v].values + (b * 8 * kGroupRows + lane[v]) * kGroupRun;
      }
    }
    const int64_t left_run = (first + b) * stride + m;
    const int8_t* activations = left.values + left_run * kActivationBlock;
    WEFT_UNROLL
    for (int64_t g = 0; g < kGrains; ++g) {
      const int64_t left_grain = kGrains == 1 ? left_run : ((first + b) * kGrains + g) * stride + m;
      const int32_t* bias = (kGrains == 1 ? left.bias : left.bias_16) + left_grain;
      VX sum[kRows][kOutputs];
      WEFT_UNROLL
      for (int64_t r = 0; r < kRows; ++r) {
        WEFT_UNROLL
        for (int64_t v = 0; v < kOutputs; ++v) {
          sum[r][v] = Form::kSigned && Dot::kBias ? hn::Set(d, bias[r]) : hn::Zero(d);
        }
      }
      WEFT_UNROLL
      for (int64_t i = 0; i < kFours; ++i) {
        typename Dot::Weights weights[kOutputs];
        WEFT_UNROLL
        for (int64_t v = 0; v < kOutputs; ++v) {
          const uint8_t* at = values[v] + (g * kFours + i) * kGroupRows * kGroupRun;
          weights[v] = Dot::template weights<Form::kSigned>(hn::LoadU(d, reinterpret_cast<const int32_t*>(at)));
        }
        WEFT_UNROLL
        for (int64_t r = 0; r < kRows; ++r) {
          int32_t four;
          std::memcpy(&four, activations + r * kActivationBlock + g * Form::kGrain + i * kGroupRun, sizeof four);
          const VX all = hn::Set(d, four);
          WEFT_UNROLL
          for (int64_t v = 0; v < kOutputs; ++v) {
            sum[r][v] = Dot::template add<Form::kSigned>(sum[r][v], weights[v], all);
          }
        }
      }
      const float* sums = kGrains == 1 ? left.sums_32 : left.sums_16;
      WEFT_UNROLL
      for (int64_t v = 0; v < kOutputs; ++v) {
        const int64_t at = (b * kGrains + g) * kGroupRows + lane[v];
        VXF scale;
        if constexpr (Form::kInPlace) scale = half_to_float(hn::LoadU(hn::Rebind<uint16_t, DX>(), halves[v]));
        else scale = hn::LoadU(df, panels[v].scales + at);
        WEFT_UNROLL
        for (int64_t r = 0; r < kRows; ++r) {
          const VXF factor = hn::Mul(scale, hn::Set(df, left.scales[left_run + r]));
          total[r][v] = hn::MulAdd(hn::ConvertTo(df, sum[r][v]), factor, total[r][v]);
        }
        if constexpr (Form::kMinimum) {
          const VXF minimum = hn::LoadU(df, panels[v].minimums + at);
          WEFT_UNROLL
          for (int64_t r = 0; r < kRows; ++r) {
            total[r][v] = hn::NegMulAdd(minimum, hn::Set(df, sums[left_grain + r]), total[r][v]);
          }
        }
      }
    }
  }
  WEFT_UNROLL
  for (int64_t r = 0; r < kRows; ++r) {
    WEFT_UNROLL
    for (int64_t v = 0; v < kOutputs; ++v) hn::StoreU(total[r][v], df, out[m + r] + column[v]);
  }
}

// Against panels of `columns` outputs.
template <class Dot, class Form, int64_t kRows, int64_t kOutputs>
HWY_NOINLINE void int8_x16_rows(const BytePanel* panels, int64_t columns, const Int8Tile& left, int64_t m,
                                int64_t stride, int64_t first, int64_t runs, float* const* out, int64_t column) {
  int64_t j = 0;
  for (; j + kOutputs * kOutputLanes <= columns; j += kOutputs * kOutputLanes) {
    BytePanel of[kOutputs];
    int64_t lane[kOutputs], to[kOutputs];
    for (int64_t v = 0; v < kOutputs; ++v) {
      of[v] = panels[(j + v * kOutputLanes) / kGroupRows];
      lane[v] = (j + v * kOutputLanes) % kGroupRows;
      to[v] = column + j + v * kOutputLanes;
    }
    int8_x16_tile<Dot, Form, kRows, kOutputs>(of, lane, left, m, stride, first, runs, out, to);
  }
  for (; j < columns; j += kOutputLanes) {
    const int64_t lane = j % kGroupRows, to = column + j;
    int8_x16_tile<Dot, Form, kRows, 1>(panels + j / kGroupRows, &lane, left, m, stride, first, runs, out, &to);
  }
}

// Rows and vectors of outputs that fill the registers.
template <class Dot, class Form>
void int8_x16_form(const BytePanel* panels, int64_t columns, const ProductArgs& args, int64_t first, int64_t runs,
                   int64_t column) {
  for (int64_t tile = 0; tile < args.rows; tile += kRowTile) {
    const int64_t stride = HWY_MIN(kRowTile, args.rows - tile);
    const Int8Tile left(args.left[tile / kRowTile], stride, args.k);
    float* const* out = args.out + tile;
    int64_t m = 0;
    while (m < stride) {
      const int64_t rows = HWY_MIN(Dot::kMostRows, stride - m);
      const auto with = [&](auto some, auto outputs) {
        int8_x16_rows<Dot, Form, decltype(some)::value, decltype(outputs)::value>(panels, columns, left, m, stride,
                                                                                  first, runs, out, column);
        m += decltype(some)::value;
      };
      using Few = std::integral_constant<int64_t, Dot::kFew>;
      using Some = std::integral_constant<int64_t, Dot::kSome>;
      using One = std::integral_constant<int64_t, 1>;
      if constexpr (Dot::kMostRows >= 12) {
        if (rows >= 12) {
          with(std::integral_constant<int64_t, 12>(), One());
          continue;
        }
        if (rows >= 8) {
          with(std::integral_constant<int64_t, 8>(), One());
          continue;
        }
        if (rows >= 6) {
          with(std::integral_constant<int64_t, 6>(), Some());
          continue;
        }
      }
      if (rows >= 4) with(std::integral_constant<int64_t, 4>(), Some());
      else if (rows == 3) with(std::integral_constant<int64_t, 3>(), Few());
      else if (rows == 2) with(std::integral_constant<int64_t, 2>(), Few());
      else with(One(), Few());
    }
  }
}

template <class Dot>
void int8_x16_products(const ProductArgs& args) {
  const BytePanelForm form = byte_panel_form(args.format);
  // A few rows wait for the weights: what has been decoded is used while it is near.
  const int64_t most = args.rows < kRowTile ? kBytePanelDepth / 2 : kBytePanelDepth;
  const int64_t depth = form.is_in_place ? args.k : most;
  for (int64_t column = 0; column < args.columns; column += kBytePanels * kGroupRows) {
    const int64_t columns = HWY_MIN(kBytePanels * kGroupRows, args.columns - column);
    int64_t first = 0;
    do {  // once for k = 0: the sums are 0
      const int64_t elements = HWY_MIN(depth, args.k - first);
      BytePanel panels[kBytePanels];
      for (int64_t p = 0; p < columns / kGroupRows; ++p) {
        panels[p] = byte_panel(args.format, args.right[column / kGroupRows + p], args.k, first, elements,
                               args.scratch + static_cast<size_t>(p) * kBytePanelBytes);
      }
      const auto multiply = [&](auto of) {
        int8_x16_form<Dot, decltype(of)>(panels, columns, args, first / kActivationBlock, elements / kActivationBlock,
                                         column);
      };
      if (form.is_in_place) {
        multiply(PanelForm<32, true, false, true>());
      } else if (form.has_minimum) {
        if (form.grain == 16) multiply(PanelForm<16, false, true>());
        else multiply(PanelForm<32, false, true>());
      } else if (form.grain == 16) {
        multiply(PanelForm<16, true, false>());
      } else {
        multiply(PanelForm<32, true, false>());
      }
      first += elements;
    } while (first < args.k);
  }
}
