// What a run of a step is told, on the CPU and in the reference: precision, page tables, arguments. (The OpenCL device
// has the same in its memory: gpu/device.h.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/record/graph.h"

namespace weft {

// exact: products of the decoded weight and the f32 activation, f32 (or better) accumulation.
// fast:  a kernel may round activations to int8 blocks, or activations and decoded weights to bf16.
enum class Precision : uint8_t { exact, fast };
std::string_view name(Precision precision);

// Where the cached tokens of each sequence lie. See CacheRecord for the address of key coordinate j.
struct PageTable {
  const int32_t* pages = nullptr;   // [sequences][max_pages]: physical page numbers
  const int32_t* length = nullptr;  // [sequences]: cached tokens, those that this run appends included
  int32_t sequences = 0;
  int32_t max_pages = 0;
  int32_t page_size = 0;           // slots per page
  const int32_t* first = nullptr;  // [sequences]: keys before it are gone, their pages are not read; null: 0 for all

  bool operator==(const PageTable&) const = default;  // the same arrays
  int32_t first_of(int64_t sequence) const { return first == nullptr ? 0 : first[sequence]; }
};

// Names of the kernels that have run, each written by the function that did the work. One thread's.
struct KernelNotes {
  static constexpr int kMost = 32;
  const char* names[kMost] = {};  // those after the first null are unused
  void add(const char* name) {
    for (const char*& known : names) {
      if (known == nullptr) known = name;
      if (known == name) return;
    }
  }
};

// Bound anew for each run; building it allocates nothing.
struct StepArgs {
  const int64_t* extents = nullptr;  // by AxisId, of this run; key axes of caches have none (-1)
  void* const* data = nullptr;       // by ValueId: first byte of the value (cache fields: of slot 0 of the pool)
  const PageTable* pages = nullptr;  // by index into GraphRecord::caches
  std::byte* scratch = nullptr;      // as many bytes as its kernel asks for, 64-byte aligned, shared by the team
  std::byte* group = nullptr;        // the same for GroupRows, shared by the steps of a group
  KernelNotes* notes = nullptr;      // by thread; null where they are not wanted

  void ran(int thread, const char* kernel) const {
    if (notes != nullptr) notes[thread].add(kernel);
  }
};

}  // namespace weft
