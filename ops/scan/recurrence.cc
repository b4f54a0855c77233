#include "ops/scan/recurrence.h"

#include <algorithm>
#include <cstring>

#include "core/align.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/scan/recurrence.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kBlock = 16;  // rows between which decays per channel are multiplied out one by one
static_assert(kScanChunk % kBlock == 0 && kScanLanes % kBlock == 0);

using DF = hn::CappedTag<float, kScanLanes>;
using VF = hn::Vec<DF>;
inline int64_t lanes() { return static_cast<int64_t>(hn::Lanes(DF())); }

// --- Products of matrices in f32. ---

// A factor whose element of row i and column l is at data[i * row + l * column].
struct Factor {
  const float* data;
  int64_t row, column;
};

template <int kRows, int kVectors>
HWY_INLINE void multiply_tile(Factor a, int64_t depth, const float* b, int64_t b_row, float* c, int64_t c_row) {
  const DF d;
  const int64_t n = lanes();
  VF sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < kVectors; ++j) sums[r][j] = hn::LoadU(d, c + r * c_row + j * n);
  }
  for (int64_t l = 0; l < depth; ++l) {
    VF right[kVectors];
    for (int j = 0; j < kVectors; ++j) right[j] = hn::LoadU(d, b + l * b_row + j * n);
    for (int r = 0; r < kRows; ++r) {
      const VF left = hn::Set(d, a.data[r * a.row + l * a.column]);
      for (int j = 0; j < kVectors; ++j) sums[r][j] = hn::MulAdd(left, right[j], sums[r][j]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < kVectors; ++j) hn::StoreU(sums[r][j], d, c + r * c_row + j * n);
  }
}

// c += a b, of `rows` x `columns` (a multiple of kScanLanes) over `depth`.
template <int kVectors>
HWY_INLINE void multiply_strip(int64_t rows, int64_t depth, Factor a, const float* b, int64_t b_row, float* c,
                               int64_t c_row) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    multiply_tile<4, kVectors>({a.data + r * a.row, a.row, a.column}, depth, b, b_row, c + r * c_row, c_row);
  }
  for (; r < rows; ++r) {
    multiply_tile<1, kVectors>({a.data + r * a.row, a.row, a.column}, depth, b, b_row, c + r * c_row, c_row);
  }
}
void multiply(int64_t rows, int64_t columns, int64_t depth, Factor a, const float* b, int64_t b_row, float* c,
              int64_t c_row) {
  const int64_t n = lanes();
  int64_t j = 0;
  for (; j + 4 * n <= columns; j += 4 * n) multiply_strip<4>(rows, depth, a, b + j, b_row, c + j, c_row);
  for (; j < columns; j += n) multiply_strip<1>(rows, depth, a, b + j, b_row, c + j, c_row);
}

// c += the part of a at and below the diagonal (`diagonal` 1) or below it (0), times b. What lies above is not read,
// and so are rows of b that only it would meet. With c == b and diagonal 0, forward substitution: (1 - a)^-1 b.
void multiply_lower(int64_t rows, int64_t columns, int diagonal, const float* a, const float* b, int64_t b_row,
                    float* c, int64_t c_row) {
  for (int64_t first = 0; first < rows; first += 4) {
    const int64_t count = HWY_MIN(int64_t{4}, rows - first);
    multiply(count, columns, first, {a + first * kScanChunk, kScanChunk, 1}, b, b_row, c + first * c_row, c_row);
    for (int64_t r = first; r < first + count; ++r) {
      multiply(1, columns, r - first + diagonal, {a + r * kScanChunk + first, kScanChunk, 1}, b + first * b_row, b_row,
               c + r * c_row, c_row);
    }
  }
}

// --- Rows of padded floats. ---

template <class F>
HWY_INLINE void for_lanes(int64_t count, const F& at) {
  for (int64_t i = 0; i < count; i += lanes()) at(i);
}
HWY_INLINE void product_row(const float* a, const float* b, int64_t count, float* out) {
  const DF d;
  for_lanes(count,
            [&](int64_t i) HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i); });
}
HWY_INLINE void scaled_row(const float* a, float scale, int64_t count, float* out) {
  const DF d;
  const VF s = hn::Set(d, scale);
  for_lanes(count, [&](int64_t i) HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, a + i), s), d, out + i); });
}
HWY_INLINE float dot(const float* a, const float* b, int64_t count) {
  const DF d;
  VF sum = hn::Zero(d);
  for_lanes(count, [&](int64_t i) HWY_ATTR { sum = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum); });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}
HWY_INLINE float dot(const float* a, const float* b, const float* c, int64_t count) {
  const DF d;
  VF sum = hn::Zero(d);
  for_lanes(count, [&](int64_t i) HWY_ATTR {
    sum = hn::MulAdd(hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), hn::LoadU(d, c + i), sum);
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// --- Chunks. ---

// Memory of a chunk, in the order in which scratch holds it. Tiles of k have kp floats a row, of v vp.
struct ChunkScratch {
  ChunkScratch(float* at, int64_t k, int64_t v) : kp(scan_padded(k)), vp(scan_padded(v)) {
    const auto take = [&](int64_t floats) {
      float* const begin = at;
      at += floats;
      return begin;
    };
    const int64_t tile = kScanChunk * kp, square = kScanChunk * kScanChunk;
    factors = take(tile);
    scaled = take(tile);
    transposed = take(tile);
    query_key = take(square);
    query_erase = take(square);
    read_key = take(square);
    read_erase = take(square);
    between = take(square);
    erased = take(kScanChunk * vp);
    out = take(kScanChunk * vp);
    state = take(k * vp);
    total = take(kp);
    row = take(kp);
  }
  int64_t kp, vp;
  float *factors, *scaled, *transposed;                    // of k: exp(decay); rows times decays; columns of those
  float *query_key, *query_erase, *read_key, *read_erase;  // weights by which row j counts in row i
  float* between;                                          // products of the decays of rows j + 1 ... i, one per head
  float *erased, *out, *state;                             // of v
  float *total, *row;                                      // of k
};

class Chunk {
 public:
  explicit Chunk(const RecurrenceTile& tile) : t_(tile), s_(tile.scratch, tile.k, tile.v), kp_(s_.kp), vp_(s_.vp) {}

  void run() {
    prepare_decays();
    load_state();
    std::fill_n(s_.out, t_.rows * vp_, 0.0f);
    if (t_.erase != nullptr) {
      std::fill_n(s_.erased, t_.rows * vp_, 0.0f);
      scale_from_start(t_.read, true);
      multiply(t_.rows, vp_, t_.k, {s_.scaled, kp_, 1}, s_.state, vp_, s_.erased, vp_);
      weigh(t_.read, true, t_.key, 1, s_.read_key);
      multiply_lower(t_.rows, vp_, 0, s_.read_key, t_.value, vp_, s_.erased, vp_);
      weigh(t_.read, true, t_.erase, -1, s_.read_erase);
      multiply_lower(t_.rows, vp_, 0, s_.read_erase, s_.erased, vp_, s_.erased, vp_);
    }
    const bool before = t_.bonus != nullptr;
    scale_from_start(t_.query, before);
    multiply(t_.rows, vp_, t_.k, {s_.scaled, kp_, 1}, s_.state, vp_, s_.out, vp_);
    weigh(t_.query, before, t_.key, 1, s_.query_key);
    for (int64_t i = 0; before && i < t_.rows; ++i) {
      s_.query_key[i * kScanChunk + i] = dot(t_.query + i * kp_, t_.bonus + i * kp_, t_.key + i * kp_, kp_);
    }
    multiply_lower(t_.rows, vp_, 1, s_.query_key, t_.value, vp_, s_.out, vp_);
    if (t_.erase != nullptr) {
      weigh(t_.query, before, t_.erase, -1, s_.query_erase);
      multiply_lower(t_.rows, vp_, before ? 0 : 1, s_.query_erase, s_.erased, vp_, s_.out, vp_);
    }
    for (int64_t i = 0; i < t_.rows; ++i) copy(s_.out + i * vp_, t_.v, t_.out + i * t_.out_step);
    advance_state();
  }

 private:
  static void copy(const float* from, int64_t count, float* to) {
    if (count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
  }
  float* factor(int64_t row) const { return s_.factors + (t_.decay_per_channel ? row * kp_ : row); }

  void prepare_decays() {
    if (t_.decay == nullptr) return;
    const DF d;
    // Tiles per row, and single numbers, are padded alike.
    const int64_t count = t_.decay_per_channel ? t_.rows * kp_ : scan_padded(t_.rows);
    for_lanes(count,
              [&](int64_t i) HWY_ATTR { hn::StoreU(VectorExp(d, hn::LoadU(d, t_.decay + i)), d, s_.factors + i); });
    if (t_.decay_per_channel) return;
    for (int64_t i = 0; i < t_.rows; ++i) {
      float* const row = s_.between + i * kScanChunk;
      if (i > 0) scaled_row(row - kScanChunk, *factor(i), scan_padded(i), row);
      row[i] = 1;
    }
  }

  // scaled[i] = rows[i] times the decays of rows 0 ... i, or 0 ... i - 1.
  void scale_from_start(const float* rows, bool before) {
    if (t_.decay == nullptr) {
      copy(rows, t_.rows * kp_, s_.scaled);
      return;
    }
    if (!t_.decay_per_channel) {
      float product = 1;
      for (int64_t i = 0; i < t_.rows; ++i) {
        const float with_own = product * *factor(i);
        scaled_row(rows + i * kp_, before ? product : with_own, kp_, s_.scaled + i * kp_);
        product = with_own;
      }
      return;
    }
    scale_forward(rows, before, 0, t_.rows);
  }

  // The same from row `first` on, of rows [first, last), with decays per channel. Leaves the product of all in `total`.
  void scale_forward(const float* rows, bool before, int64_t first, int64_t last) {
    std::fill_n(s_.total, kp_, 1.0f);
    for (int64_t i = first; i < last; ++i) {
      if (before) product_row(rows + i * kp_, s_.total, kp_, s_.scaled + i * kp_);
      product_row(s_.total, factor(i), kp_, s_.total);
      if (!before) product_row(rows + i * kp_, s_.total, kp_, s_.scaled + i * kp_);
    }
  }

  // scaled[i] = rows[i] times the decays of rows i + 1 ... last - 1. Leaves the product of those from first + 1 on in
  // `total`.
  void scale_to_end(const float* rows, int64_t first, int64_t last) {
    std::fill_n(s_.total, kp_, 1.0f);
    for (int64_t i = last - 1; i >= first; --i) {
      product_row(rows + i * kp_, s_.total, kp_, s_.scaled + i * kp_);
      if (i > first) product_row(s_.total, factor(i), kp_, s_.total);
    }
  }

  void transpose(const float* rows, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      for (int64_t c = 0; c < kp_; ++c) s_.transposed[c * kScanChunk + i] = rows[i * kp_ + c];
    }
  }

  // weights[i][j] = sign * sum over channels of left[i] right[j] times the decays of rows j + 1 ... i (or ... i - 1,
  // for j < i), for j <= i. Other weights are not to be read.
  void weigh(const float* left, bool before, const float* right, float sign, float* weights) {
    if (t_.decay != nullptr && t_.decay_per_channel) return weigh_channels(left, before, right, sign, weights);
    transpose(right, 0, t_.rows);
    for (int64_t first = 0; first < t_.rows; first += kBlock) {
      const int64_t count = HWY_MIN(kBlock, t_.rows - first);
      for (int64_t i = first; i < first + count; ++i) std::fill_n(weights + i * kScanChunk, first + kBlock, 0.0f);
      multiply(count, first + kBlock, t_.k, {left + first * kp_, kp_, 1}, s_.transposed, kScanChunk,
               weights + first * kScanChunk, kScanChunk);
    }
    for (int64_t i = 0; i < t_.rows; ++i) {
      float* const row = weights + i * kScanChunk;
      const int64_t of = i - (before ? 1 : 0);
      if (t_.decay != nullptr && of >= 0) product_row(row, s_.between + of * kScanChunk, scan_padded(of + 1), row);
      if (sign != 1) scaled_row(row, sign, scan_padded(i + 1), row);
    }
  }

  // Blocks of rows: within a block, decays are multiplied out; between blocks, one side is scaled from the beginning of
  // its block and the other to there.
  void weigh_channels(const float* left, bool before, const float* right, float sign, float* weights) {
    const DF d;
    for (int64_t first = 0; first < t_.rows; first += kBlock) {
      const int64_t last = HWY_MIN(first + kBlock, t_.rows);
      if (first > 0) {
        // The rows before the last block come closer by its decays; its own are scaled to its end.
        scale_to_end(right, first - kBlock, first);
        transpose(s_.scaled, first - kBlock, first);
        product_row(s_.total, factor(first - kBlock), kp_, s_.total);
        for (int64_t c = 0; first > kBlock && c < t_.k; ++c) {
          scaled_row(s_.transposed + c * kScanChunk, s_.total[c], first - kBlock, s_.transposed + c * kScanChunk);
        }
        scale_forward(left, before, first, last);
        for (int64_t i = first; i < last; ++i) std::fill_n(weights + i * kScanChunk, first, 0.0f);
        multiply(last - first, first, t_.k, {s_.scaled + first * kp_, kp_, 1}, s_.transposed, kScanChunk,
                 weights + first * kScanChunk, kScanChunk);
      }
      for (int64_t i = first; i < last; ++i) {
        float* const row = weights + i * kScanChunk;
        if (!before) {
          row[i] = dot(left + i * kp_, right + i * kp_, kp_);
          product_row(left + i * kp_, factor(i), kp_, s_.row);
        } else {
          row[i] = 0;
          copy(left + i * kp_, kp_, s_.row);
        }
        for (int64_t j = i - 1; j >= first; --j) {
          row[j] = dot(s_.row, right + j * kp_, kp_);
          if (j > first) product_row(s_.row, factor(j), kp_, s_.row);
        }
        if (sign != 1) {
          const VF s = hn::Set(d, sign);
          for_lanes(scan_padded(i + 1),
                    [&](int64_t j) HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, row + j), s), d, row + j); });
        }
      }
    }
  }

  void load_state() {
    for (int64_t c = 0; c < t_.k; ++c) {
      copy(t_.state + c * t_.v, t_.v, s_.state + c * vp_);
      std::fill(s_.state + c * vp_ + t_.v, s_.state + (c + 1) * vp_, 0.0f);
    }
  }

  // scaled[i] = rows[i] times the decays of all later rows, and the state by those of all.
  void scale_for_state(const float* rows, bool decays_state) {
    if (t_.decay == nullptr) {
      copy(rows, t_.rows * kp_, s_.scaled);
      return;
    }
    if (t_.decay_per_channel) {
      scale_to_end(rows, 0, t_.rows);
      if (!decays_state) return;
      product_row(s_.total, factor(0), kp_, s_.total);
      for (int64_t c = 0; c < t_.k; ++c) scaled_row(s_.state + c * vp_, s_.total[c], vp_, s_.state + c * vp_);
      return;
    }
    const float* const last = s_.between + (t_.rows - 1) * kScanChunk;
    for (int64_t i = 0; i < t_.rows; ++i) scaled_row(rows + i * kp_, last[i], kp_, s_.scaled + i * kp_);
    if (decays_state) scaled_row(s_.state, last[0] * *factor(0), t_.k * vp_, s_.state);
  }

  void advance_state() {
    scale_for_state(t_.key, true);
    multiply(t_.k, vp_, t_.rows, {s_.scaled, 1, kp_}, t_.value, vp_, s_.state, vp_);
    if (t_.erase != nullptr) {
      scale_for_state(t_.erase, false);
      scaled_row(s_.scaled, -1, t_.rows * kp_, s_.scaled);
      multiply(t_.k, vp_, t_.rows, {s_.scaled, 1, kp_}, s_.erased, vp_, s_.state, vp_);
    }
    for (int64_t c = 0; c < t_.k; ++c) copy(s_.state + c * vp_, t_.v, t_.state + c * t_.v);
  }

  const RecurrenceTile& t_;
  ChunkScratch s_;
  int64_t kp_, vp_;
};

void RunChunk(const RecurrenceTile& tile) { Chunk(tile).run(); }

// --- Token by token. ---

// Columns [j, j + lanes of d) of one row.
template <class D>
HWY_INLINE void step_columns(D d, const RecurrenceTile& t, int64_t row, const float* factors, float bonus, int64_t j) {
  const int64_t kp = scan_padded(t.k);
  const float* const q = t.query + row * kp;
  const float* const k = t.key + row * kp;
  float* const state = t.state + j;
  const auto value = hn::LoadU(d, t.value + row * scan_padded(t.v) + j);
  auto erased = hn::Zero(d), out = hn::Zero(d);
  if (t.erase != nullptr) {
    const float* const b = t.read + row * kp;
    for (int64_t c = 0; c < t.k; ++c) erased = hn::MulAdd(hn::Set(d, b[c]), hn::LoadU(d, state + c * t.v), erased);
  }
  const float* const a = t.erase != nullptr ? t.erase + row * kp : nullptr;
  const bool before = t.bonus != nullptr;
  for (int64_t c = 0; c < t.k; ++c) {
    auto s = hn::LoadU(d, state + c * t.v);
    if (before) out = hn::MulAdd(hn::Set(d, q[c]), s, out);
    if (factors != nullptr) s = hn::Mul(s, hn::Set(d, factors[t.decay_per_channel ? c : 0]));
    s = hn::MulAdd(hn::Set(d, k[c]), value, s);
    if (a != nullptr) s = hn::NegMulAdd(hn::Set(d, a[c]), erased, s);
    if (!before) out = hn::MulAdd(hn::Set(d, q[c]), s, out);
    hn::StoreU(s, d, state + c * t.v);
  }
  if (before) out = hn::MulAdd(hn::Set(d, bonus), value, out);
  hn::StoreU(out, d, t.out + row * t.out_step + j);
}

void RunSteps(const RecurrenceTile& t) {
  const DF d;
  const hn::CappedTag<float, 1> one;
  const int64_t kp = scan_padded(t.k);
  for (int64_t row = 0; row < t.rows; ++row) {
    float* factors = nullptr;
    if (t.decay != nullptr) {
      factors = t.scratch;
      const float* const decay = t.decay + (t.decay_per_channel ? row * kp : row / kScanLanes * kScanLanes);
      for_lanes(t.decay_per_channel ? kp : kScanLanes,
                [&](int64_t i) HWY_ATTR { hn::StoreU(VectorExp(d, hn::LoadU(d, decay + i)), d, factors + i); });
      if (!t.decay_per_channel) factors += row % kScanLanes;
    }
    float bonus = 0;
    if (t.bonus != nullptr) bonus = dot(t.query + row * kp, t.bonus + row * kp, t.key + row * kp, kp);
    int64_t j = 0;
    for (; j + lanes() <= t.v; j += lanes()) step_columns(d, t, row, factors, bonus, j);
    for (; j < t.v; ++j) step_columns(one, t, row, factors, bonus, j);
  }
}

// --- Convolutions. ---

template <class D>
HWY_INLINE void convolve_channels(D d, const ConvolutionTile& t, int64_t row, int64_t c) {
  auto sum = hn::Zero(d);
  for (int64_t j = 0; j < t.taps; ++j) {
    sum = hn::MulAdd(hn::LoadU(d, t.weights + j * t.weights_step + c), hn::LoadU(d, t.inputs[row + j] + c), sum);
  }
  hn::StoreU(sum, d, t.out + row * t.out_step + c);
}

void RunConvolution(const ConvolutionTile& t) {
  const DF d;
  const hn::CappedTag<float, 1> one;
  for (int64_t row = 0; row < t.rows; ++row) {
    int64_t c = 0;
    for (; c + lanes() <= t.channels; c += lanes()) convolve_channels(d, t, row, c);
    for (; c < t.channels; ++c) convolve_channels(one, t, row, c);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(RunChunk);
HWY_EXPORT(RunSteps);
HWY_EXPORT(RunConvolution);

size_t recurrence_scratch(int64_t k, int64_t v) {
  const int64_t kp = scan_padded(k), vp = scan_padded(v);
  return static_cast<size_t>(3 * kScanChunk * kp + 5 * kScanChunk * kScanChunk + 2 * kScanChunk * vp + k * vp + 2 * kp);
}

void run_recurrence_steps(const RecurrenceTile& tile) { HWY_DYNAMIC_DISPATCH(RunSteps)(tile); }
void run_recurrence_chunk(const RecurrenceTile& tile) { HWY_DYNAMIC_DISPATCH(RunChunk)(tile); }
void run_convolution(const ConvolutionTile& tile) { HWY_DYNAMIC_DISPATCH(RunConvolution)(tile); }

}  // namespace weft
#endif  // HWY_ONCE
