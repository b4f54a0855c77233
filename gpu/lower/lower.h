// From a step record to the kernels that run it.
//
//   a region without contractions      map or reduce
//   contractions                       prologues that are more than a plain f32 operand -> scratch, by map or reduce;
//                                      contract, the body fused into it where each contraction varies with all of
//                                      the body's axes, else contractions -> scratch, then map or reduce
//   attention                          the same prologues, then one kernel
//   scan, convolution                  sources that are more than an operand -> scratch, by map or reduce; one kernel;
//                                      a body that is more than its result, from scratch
//   rotation and what follows it       rope, from scratch
//   selection                          select, from scratch
//   custom, and what a kernel of a file computes      that kernel
//   append                             as above, each field written to its slots, by way of scratch where it is stored
//                                      in blocks; then the positions
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "gpu/lower/gpu_shape.h"
#include "gpu/lower/kernel_table.h"
#include "gpu/lower/render.h"
#include "ops/plugin/opencl_file.h"
#include "ops/weight_layouts.h"

namespace weft {

// How the work-items of a launch are counted.
enum class LaunchGrid : uint8_t {
  items,  // one work-item per unit, in groups of `group`
  teams,  // one team of lanes per unit; without lanes as `items`
  groups  // one work-group per unit, of `lanes` work-items or as many as the kernel says
};

// A kernel of a step's program, and what to call it with.
struct KernelPlan {
  std::string name;    // within the program's text, in which "@" is replaced by the program's id
  std::string source;  // the same
  std::vector<std::string>
      ran;  // what a profile shows of a launch: rows of the table of kernels, or "map", "reduce" ...
  LaunchGrid grid = LaunchGrid::items;
  int64_t group = 0;              // of groups: work-items of each; 0: the device's lanes
  std::vector<MemoryRef> memory;  // one pointer argument each; their offsets are the first params
  std::vector<KernelParam> params;
  bool params_in_memory = false;                // more than a kernel's argument list holds
  ParamFunction units;                          // 0: nothing to do
  ParamFunction units_y;                        // second dimension; empty: 1
  ParamFunction local_bytes;                    // of a last argument in local memory; empty: none
  std::function<bool(const GpuArgs&)> applies;  // empty: always
};

// Numbers that a kernel reads from a buffer of the step's own: a rotation's frequencies.
struct StepConstants {
  std::vector<float> values;
  // Where they follow from an axis' extent: rotary frequencies base^(-2i/extent), i < extent/2.
  AxisId rotary_axis = kNoAxis;
  float rotary_base = 0;
  size_t capacity = 0;  // elements at the limits
};

struct StepPlan {
  std::vector<KernelRange> kernels;             // what will run for how many rows: for `explain`
  std::vector<std::vector<KernelPlan>> stages;  // in this order; of each, the first that applies
  std::vector<StepConstants> constants;
  size_t scratch_bytes = 0;
  std::vector<std::shared_ptr<const OpenClFile>> files;  // whose functions it calls
  std::string source() const;                            // of all kernels
};

// What a plan has decided for all of its steps.
struct LowerOptions {
  const WeightLayouts* layouts = nullptr;         // of the weights that are not as stored; null: all are
  const OpenClKernel* forced = nullptr;           // to be used wherever it can serve; null: the preferred ones
  const OpenClRowsKernel* forced_rows = nullptr;  // the same
};

// Throws weft::Error naming the step for what has no kernel here.
StepPlan lower_step(const GraphRecord& graph, const Step& step, const int64_t* max_extents, const GpuShape& shape,
                    const LowerOptions& options = {});

// Text that every program begins with.
std::string program_head(const GpuShape& shape);

}  // namespace weft
