// Adds the kernels of tests/plugins/kernels.cc to the table.
#pragma once

#include <dlfcn.h>

#include "core/error.h"
#include "ops/cpu/kernel_table.h"

namespace weft {

// Once per process: rows are never removed.
inline void add_plugin() {
  static const bool added = [] {
    void* library = dlopen(WEFT_KERNELS_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Error(dlerror());
    const auto add = reinterpret_cast<void (*)(KernelTable*)>(dlsym(library, "weft_add_kernels"));
    if (add == nullptr) throw Error(dlerror());
    add(&kernel_table());
    return true;
  }();
  static_cast<void>(added);
}

}  // namespace weft
