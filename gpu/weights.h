// The weights of an OpenCL device.
#pragma once

#include <memory>
#include <tuple>

#include "core/record/graph.h"
#include "core/weak_map.h"
#include "gpu/device.h"

namespace weft {

// Uploaded when a plan first asks for them, shared by all plans on the device, and freed with the last plan that uses
// them. Threads may ask at once.
class GpuWeights {
 public:
  // `chosen`: the layout that it is to be in; null: as stored.
  std::shared_ptr<const GpuWeight> get(GpuDevice& device, const std::shared_ptr<const Storage>& storage,
                                       const ChosenLayout* chosen);

 private:
  WeakMap<std::tuple<const Storage*, Layout, MatrixShape>, GpuWeight> weights_;
};

}  // namespace weft
