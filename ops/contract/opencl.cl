// Contractions: each team of lanes sums a few rows of lhs against one row of rhs, or against a few neighbouring ones,
// which are read in place, in their storage format, and decoded in registers. What follows "lhs_row" are texts of rows
// of the table of kernels (gpu/lower/kernel_table.h); gpu/lower/lower_contract.cc says what they are given.
// @section kernel
WEFT_TEAM_KERNEL ${kernel}(${arguments}) {
${prologue}
  __local float shared_f32[WEFT_LANES];
  WEFT_UNIT(unit, p.units);
  const uint own_column = unit % (uint)p.column_tiles * ${columns} + (uint)weft_lane % ${columns};
  const uint column = min(own_column, (uint)p.columns - 1);
  const int first_row = (int)(unit / (uint)p.column_tiles) * ${rows};
${column_coordinates}
${contractions}
#pragma unroll
  for (int t = 0; t < ${rows}; ++t) {
    const int row = first_row + t;
    if (weft_lane < ${columns} && own_column == column && row < (int)p.rows) {
${epilogue}
    }
  }
}
// @section lhs_row
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) {
      const int row = min(first_row + t, (int)p.rows - 1);
${row_code}
      lhs[t] = ${offset};
    }
// @section dot
  // Runs of 32 elements, decoded at once.
  float sum${n}[${rows}];
  {
    const int depth = (int)p.depth${n};
    long lhs[${rows}];
${lhs_rows}
${rhs_code}
    float16 acc[${rows}];
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) acc[t] = (float16)(0.0f);
    for (int k = 32 * weft_lane; k + 32 <= depth; k += 32 * WEFT_LANES) {
      float16 w_lo = (float16)(0.0f), w_hi = (float16)(0.0f);
      if (${valid}) weft_load32_${format}(${rhs}, ${rhs_offset} + k, &w_lo, &w_hi);
#pragma unroll
      for (int t = 0; t < ${rows}; ++t) {
        __global const float* x = (__global const float*)${lhs} + lhs[t] + k;
        acc[t] = weft_fma(w_lo, vload16(0, x), acc[t]);
        acc[t] = weft_fma(w_hi, vload16(1, x), acc[t]);
      }
    }
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) {
      float sum = weft_sum16(acc[t]);
      for (int k = (depth & ~31) + weft_lane; k < depth; k += WEFT_LANES) {
        const float w = ${valid} ? weft_load_${format}(${rhs}, ${rhs_offset} + k) : 0.0f;
        sum = weft_fma(w, weft_load_f32(${lhs}, lhs[t] + k), sum);
      }
      sum${n}[t] = weft_lanes_sum_f32(sum, shared_f32);
    }
  }
// @section strided
  // Any strides, any gathers: element by element, in runs of 32.
  float sum${n}[${rows}];
  {
    long lhs[${rows}];
${lhs_rows}
    float acc[${rows}];
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) acc[t] = 0.0f;
    for (int first = weft_lane; first < (int)p.depth${n}; first += 32 * WEFT_LANES) {
      float run[${rows}];
#pragma unroll
      for (int t = 0; t < ${rows}; ++t) run[t] = 0.0f;
      for (int step = 0; step < 32; ++step) {
        const uint k = (uint)(first + step * WEFT_LANES);
        if (k >= (uint)p.depth${n}) break;
${depth_code}
#pragma unroll
        for (int t = 0; t < ${rows}; ++t) {
          run[t] = weft_fma(${value}, weft_load_f32(${lhs}, lhs[t] + ${lhs_step}), run[t]);
        }
      }
#pragma unroll
      for (int t = 0; t < ${rows}; ++t) acc[t] += run[t];
    }
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) sum${n}[t] = weft_lanes_sum_f32(acc[t], shared_f32);
  }
// @section interleaved
  // Rows of rhs are interleaved in groups of 16: neighbouring lanes read neighbouring runs, each of a row of its own.
  float sum${n}[${rows}];
  {
    const int depth = (int)p.depth${n};
    long lhs[${rows}];
${lhs_rows}
${rhs_code}
    float acc[${rows}];
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) acc[t] = 0.0f;
    {
      const bool is_there = ${valid};
      const long rhs_row = is_there ? ${rhs_offset} / depth : 0;
      const int in_group = (int)(rhs_row % ${matrix_rows}) % 16;
      const weft_bytes group = weft_group_${format}(${rhs}, rhs_row, depth, ${matrix_rows});
      for (int block = weft_lane / ${columns}; block < depth / 32; block += ${parts}) {
        const float scale = is_there ? weft_scale_${format}(group, in_group, block) : 0.0f;
        float4 run[${rows}];
#pragma unroll
        for (int t = 0; t < ${rows}; ++t) run[t] = (float4)(0.0f);
#pragma unroll
        for (int i = 8 * block; i < 8 * block + 8; ++i) {
          const float4 w = weft_run_${format}(group, in_group, i, depth) * scale;
#pragma unroll
          for (int t = 0; t < ${rows}; ++t) {
            run[t] = weft_fma(w, vload4(i, (__global const float*)${lhs} + lhs[t]), run[t]);
          }
        }
#pragma unroll
        for (int t = 0; t < ${rows}; ++t) acc[t] += (run[t].x + run[t].y) + (run[t].z + run[t].w);
      }
    }
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) sum${n}[t] = weft_columns_sum_f32(acc[t], ${columns}, shared_f32);
  }
