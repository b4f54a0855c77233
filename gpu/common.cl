// The beginning of every program. WEFT_LANES (work-items that share the sum of one output) and WEFT_GROUP (size of
// a work-group where items do not cooperate) are defined above this text.
//
// Scalars have the semantics that core/record/scalar.h specifies, so the compiler must not contract or reassociate
// anything here: fused multiply-add is written where it is intended.
#pragma OPENCL FP_CONTRACT OFF

typedef __global const uchar* weft_bytes;

// Kernels whose WEFT_LANES work-items cooperate: `weft_unit` is the index of what one team of lanes computes.
#if WEFT_LANES > 1
#define WEFT_TEAM_SIZE WEFT_LANES
#define weft_unit ((uint)get_group_id(0))
#define weft_lane ((int)get_local_id(0))
#define WEFT_BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#define WEFT_BEYOND(unit, count) false  // there is a team for each unit, and no branch around a barrier
#else
#define WEFT_TEAM_SIZE WEFT_GROUP
#define weft_unit ((uint)get_global_id(0))
#define weft_lane 0
#define WEFT_BARRIER
#define WEFT_BEYOND(unit, count) ((unit) >= (uint)(count))
#endif

// How kernels begin. In one of items, each work-item stands for itself: WEFT_ITEM names its number, below `count`. In
// one of teams, WEFT_LANES work-items share a unit: WEFT_UNIT names the number of that. Neither goes on past `count`.
#define WEFT_KERNEL_OF(size) __kernel __attribute__((reqd_work_group_size(size, 1, 1))) void
#define WEFT_ITEM_KERNEL WEFT_KERNEL_OF(WEFT_GROUP)
#define WEFT_TEAM_KERNEL WEFT_KERNEL_OF(WEFT_TEAM_SIZE)
#define WEFT_ITEM(item, count)               \
  const uint item = (uint)get_global_id(0); \
  if (item >= (uint)(count)) return
#define WEFT_UNIT(unit, count)   \
  const uint unit = weft_unit;  \
  if (WEFT_BEYOND(unit, count)) return

// ---- scalars

static inline int weft_div_i32(int a, int b) {
  if (b == 0) return 0;
  if (b == -1) return (int)(0u - (uint)a);
  return a / b;
}
static inline int weft_mod_i32(int a, int b) { return b == 0 || b == -1 ? 0 : a % b; }
static inline int weft_to_i32(float x) {
  if (!(x > -2147483648.0f)) return x != x ? 0 : (int)0x80000000;
  return x >= 2147483648.0f ? 0x7fffffff : (int)x;
}
static inline float weft_sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }
static inline float weft_softplus(float x) { return (x < 0.0f ? 0.0f : x) + log1p(exp(-fabs(x))); }

#ifdef FP_FAST_FMAF
#define weft_fma(a, b, c) fma(a, b, c)
#else
#define weft_fma(a, b, c) ((a) * (b) + (c))
#endif

// ---- sums

static inline float weft_sum16(float16 v) {
  const float8 a = v.lo + v.hi;
  const float4 b = a.lo + a.hi;
  const float2 c = b.lo + b.hi;
  return c.x + c.y;
}

// ---- over the lanes of a team; every lane gets the result

#if WEFT_LANES > 1
// Over the lanes whose numbers are the same modulo `columns`, a power of two.
static inline float weft_columns_sum_f32(float x, int columns, __local float* shared) {
  shared[weft_lane] = x;
  WEFT_BARRIER;
  for (int half_size = WEFT_LANES / 2; half_size >= columns; half_size /= 2) {
    if (weft_lane < half_size) shared[weft_lane] += shared[weft_lane + half_size];
    WEFT_BARRIER;
  }
  const float sum = shared[weft_lane % columns];
  WEFT_BARRIER;
  return sum;
}
#define weft_lanes_sum_f32(x, shared) weft_columns_sum_f32(x, 1, shared)
static inline int weft_lanes_sum_i32(int x, __local int* shared) {
  shared[weft_lane] = x;
  WEFT_BARRIER;
  uint sum = 0;
  for (int i = 0; i < WEFT_LANES; ++i) sum += (uint)shared[i];
  WEFT_BARRIER;
  return (int)sum;
}
#define WEFT_LANES_MAX(type, name)                                                       \
  static inline type name(type x, __local type* shared) {                               \
    shared[weft_lane] = x;                                                              \
    WEFT_BARRIER;                                                                       \
    type best = shared[0];                                                              \
    for (int i = 1; i < WEFT_LANES; ++i) best = shared[i] > best ? shared[i] : best;    \
    WEFT_BARRIER;                                                                       \
    return best;                                                                        \
  }
WEFT_LANES_MAX(float, weft_lanes_max_f32)
WEFT_LANES_MAX(int, weft_lanes_max_i32)
// The lane with the largest value that has an index (>= 0), ties to the lowest index; -1 where no lane has one.
#define WEFT_LANES_ARGMAX(type, name)                                                              \
  static inline int name(type x, int index, __local type* shared, __local int* shared_i) {        \
    shared[weft_lane] = x;                                                                        \
    shared_i[weft_lane] = index;                                                                  \
    WEFT_BARRIER;                                                                                 \
    type best = 0;                                                                                \
    int found = -1;                                                                               \
    for (int i = 0; i < WEFT_LANES; ++i) {                                                        \
      const int at = shared_i[i];                                                                 \
      if (at >= 0 && (found < 0 || shared[i] > best || (shared[i] == best && at < found))) {      \
        best = shared[i];                                                                         \
        found = at;                                                                               \
      }                                                                                           \
    }                                                                                             \
    WEFT_BARRIER;                                                                                 \
    return found;                                                                                 \
  }
WEFT_LANES_ARGMAX(float, weft_lanes_argmax_f32)
WEFT_LANES_ARGMAX(int, weft_lanes_argmax_i32)
#else
#define weft_columns_sum_f32(x, columns, shared) (x)
#define weft_lanes_sum_f32(x, shared) (x)
#define weft_lanes_sum_i32(x, shared) (x)
#define weft_lanes_max_f32(x, shared) (x)
#define weft_lanes_max_i32(x, shared) (x)
#define weft_lanes_argmax_f32(x, index, shared, shared_i) (index)
#define weft_lanes_argmax_i32(x, index, shared, shared_i) (index)
#endif
