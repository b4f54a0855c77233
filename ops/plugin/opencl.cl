// Kernels of files (ops/plugin/opencl_file.h): the text of a file, which the programs of its kernels begin with, and what
// calls a function of it. That is no kernel itself, because values begin anywhere in a buffer; it is declared before the
// text, so that the compiler compares its parameters with what it will be called with. Numbers of lines are the file's.
// @section file
#define WEFT_KERNEL(...)
#pragma OPENCL FP_CONTRACT ON
${functions}
#line 1 ${path}
${text}
${ends}
#pragma OPENCL FP_CONTRACT OFF
#line 1 "a call of Weft's"
// @section function
#line ${line} ${path}
static void ${name}(${parameters});
// @section kernel
WEFT_KERNEL_OF(${work_items}) ${kernel}(${arguments}) {
${prologue}
  __local float shared[${shared}];
  const uint row = get_group_id(0);
${piece}
  ${function}(${values});
}
// @section products
  // A user's sums: each lane has its part of them.
  float sum${n}[${rows}];
  {
    const int depth = (int)p.depth${n};
    long lhs[${rows}];
${lhs_rows}
${rhs_code}
    __global const float* left[${rows}];
    float sums[${rows}];
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) {
      left[t] = (__global const float*)${lhs} + lhs[t];
      sums[t] = 0.0f;
    }
    __global const uchar* right = (__global const uchar*)${rhs} + (${rhs_offset}) / ${block_elements} * ${block_bytes};
    if (${valid}) ${function}(left, right, depth, weft_lane, WEFT_LANES, sums);
#pragma unroll
    for (int t = 0; t < ${rows}; ++t) sum${n}[t] = weft_lanes_sum_f32(sums[t], shared_f32);
  }
