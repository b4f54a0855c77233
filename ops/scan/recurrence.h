// The vector kernels of scans: rows of one head of a recurrence, and rows of some channels of a convolution.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

inline constexpr int64_t kScanChunk = 64;  // rows of one call at most
inline constexpr int64_t kScanLanes = 16;  // rows of tiles are padded to a multiple of so many floats

inline int64_t scan_padded(int64_t extent) { return (extent + kScanLanes - 1) / kScanLanes * kScanLanes; }

// `rows` consecutive rows of a run, of one head. Rows of tiles of the state's rows (k) follow each other at
// scan_padded(k) floats, those of its columns (v) at scan_padded(v); what pads them is 0. Null: absent.
struct RecurrenceTile {
  int64_t rows = 0, k = 0, v = 0;
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  const float* decay = nullptr;  // logarithms; per row, or tiles of k
  bool decay_per_channel = false;
  const float* erase = nullptr;
  const float* read = nullptr;
  const float* bonus = nullptr;  // tiles of k
  float* state = nullptr;        // [k][v], without padding; before the rows, and then after them
  float* out = nullptr;          // row r begins at out + r * out_step
  int64_t out_step = 0;
  float* scratch = nullptr;  // recurrence_scratch(k, v) floats, 64-byte aligned
};

size_t recurrence_scratch(int64_t k, int64_t v);

// Token by token: two passes over the state for each, which is what one token costs.
void run_recurrence_steps(const RecurrenceTile& tile);
// By matrix products over all rows. Every weight by which a row counts for a later one is a product of decays, each at
// most 1, and never a quotient: strong decays underflow to 0, which they are, and nothing overflows.
//   u_t = b_t^T S_{t-1}, by forward substitution, since S_{t-1} holds u_j of earlier rows
//   y_t = q_t^T G_t S_0 + sum over j <= t of (q_t . G_jt k_j) v_j - (q_t . G_jt a_j) u_j
//   S   = G S_0 + sum over j of (G_j k_j) v_j^T - (G_j a_j) u_j^T
// with G the products of the decays between two rows. A row that is not finite spoils none before it.
void run_recurrence_chunk(const RecurrenceTile& tile);

// Rows of a convolution, of `channels` channels that follow each other.
struct ConvolutionTile {
  int64_t rows = 0, taps = 0, channels = 0;
  const float* weights = nullptr;  // [taps], each weights_step floats after the one before
  int64_t weights_step = 0;
  const float* const* inputs = nullptr;  // by tap and row: inputs[r + j] is what tap j of row r reads
  float* out = nullptr;
  int64_t out_step = 0;
};
void run_convolution(const ConvolutionTile& tile);

}  // namespace weft
