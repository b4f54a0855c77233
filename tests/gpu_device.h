// The OpenCL device of this machine, if there is one: tests of the backend skip visibly where there is none.
#pragma once

#include <optional>

#include "core/error.h"
#include "runtime/plan/device.h"

namespace weft::test {

inline const std::optional<Device>& opencl_device() {
  static const std::optional<Device> device = []() -> std::optional<Device> {
    try {
      return Device::opencl();
    } catch (const Error&) {
      return std::nullopt;
    }
  }();
  return device;
}

}  // namespace weft::test
