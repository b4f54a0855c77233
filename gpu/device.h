// A device other than the CPU that runs a graph's steps: what runtime/ needs of it, without types of any GPU API.
//
// A build with -DWEFT_OPENCL=OFF has the same functions; GpuDevice::create and list then throw weft::Error ("this
// build has no OpenCL backend; configure with -DWEFT_OPENCL=ON"), so that callers need no #ifdef.
//
// Work is enqueued in the order of the calls and runs in that order (one in-order queue per device): a step sees
// what earlier uploads and steps have written. Only download() and finish() wait. Buffers and steps keep alive
// what they need of the device.
//
// Threads may share a device: their calls take turns in the queue, and each thread's calls run in order. A buffer
// or a step is used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/record/graph.h"
#include "ops/kernel_row.h"
#include "ops/step.h"
#include "ops/weight_layouts.h"

namespace weft {

struct GpuDeviceInfo {
  std::string platform;  // "Portable Computing Language"
  std::string name;      // "NVIDIA H100"
  std::string driver;    // version of the driver
  std::string selector;  // "0:1": platform and device index, as GpuOptions::device takes it
  bool is_gpu = false;
  int compute_units = 0;
  uint64_t memory_bytes = 0;
  uint64_t max_buffer_bytes = 0;  // largest single buffer
  uint64_t local_bytes = 0;       // memory shared by a work-group
};

struct GpuOptions {
  // Empty: the first GPU of any platform, else the first device of any kind. "1": device 1 of all in the order of
  // GpuDevice::list. "0:1": device 1 of platform 0. Anything else: the first device whose name or whose platform's
  // name contains the text, ignoring case.
  std::string device;
  // Work-items that share the sum of one output (a power of two, at most 256); 0: 1 on a CPU device, 64 on others.
  int lanes = 0;
  // Built programs are kept in this folder. Empty: $XDG_CACHE_HOME/weft, else ~/.cache/weft.
  // WEFT_PROGRAM_CACHE=off in the environment disables it, and so does `disk_cache`. WEFT_DUMP_OPENCL=<folder>
  // writes each source there.
  std::string cache_folder;
  bool disk_cache = true;
  // False: programs build in about half the time but run slower. For tests of many small programs.
  bool optimize = true;
};

// Device memory; its bytes are undefined until written. Move-only; released by the destructor (the device waits
// for the steps that still use it).
class GpuBuffer {
 public:
  struct Impl;
  GpuBuffer();
  explicit GpuBuffer(std::unique_ptr<Impl> impl);
  GpuBuffer(GpuBuffer&& other) noexcept;
  GpuBuffer& operator=(GpuBuffer&& other) noexcept;
  ~GpuBuffer();

  size_t bytes() const;  // as requested; 0 for an empty handle
  Impl* impl() const { return impl_.get(); }

 private:
  std::unique_ptr<Impl> impl_;
};

// A value on the device: it begins `offset` bytes into `buffer` (a multiple of 4; of 64 is better), so that a
// planner can place many values in one arena. Values of extent 0 may have a null buffer.
struct GpuSpan {
  const GpuBuffer* buffer = nullptr;
  size_t offset = 0;
};

// As PageTable of ops/step.h, in device memory.
struct GpuPageTable {
  GpuSpan pages;   // i32[sequences][max_pages]: physical page numbers
  GpuSpan length;  // i32[sequences]: cached tokens, including those that this run appends
  int32_t sequences = 0;
  int32_t max_pages = 0;
  int32_t page_size = 0;  // slots per page
  GpuSpan first;          // i32[sequences]: earlier keys are gone; never null
};

// Bound anew for each run. As StepArgs of ops/step.h; arrays are in host memory and are not kept.
struct GpuArgs {
  const int64_t* extents = nullptr;     // by AxisId, of this run; key axes of caches have none (-1)
  const GpuSpan* data = nullptr;        // by ValueId; cache fields and positions: slot 0 of the pool
  const GpuPageTable* pages = nullptr;  // by index into GraphRecord::caches
  GpuSpan scratch;                      // at least scratch_bytes() of the step; steps may share it
  KernelNotes* notes = nullptr;  // gets the names of the kernels that are launched; null where they are not wanted
};

// A step prepared to run for any extents within the limits that it was prepared for.
class GpuStep {
 public:
  virtual ~GpuStep() = default;
  // What it will run for how many rows, as `explain` shows it.
  virtual const std::vector<KernelRange>& kernels() const = 0;
  virtual size_t scratch_bytes() const = 0;   // at the limits; 0 if it needs none
  virtual int launches() const = 0;           // kernels that a run enqueues
  virtual void run(const GpuArgs& args) = 0;  // enqueues; throws weft::Error where the driver refuses
};

// The cost so far of building programs for this device.
struct GpuProgramStats {
  int built = 0;        // compiled from source
  int from_disk = 0;    // binary read from the cache folder
  int from_memory = 0;  // requested again
  double build_seconds = 0;
};

// A weight on a device.
struct GpuWeight {
  std::shared_ptr<const Storage> storage;  // which is thus not freed while this can be found by its address
  GpuBuffer buffer;
};

// A step to be prepared.
struct GpuStepRequest {
  const GraphRecord* graph = nullptr;
  const Step* step = nullptr;
  // By AxisId, the plan's limits; static axes have their extent, key axes of caches the longest sequence.
  const int64_t* max_extents = nullptr;
  // Of the weights that GpuArgs::data has in another layout than stored; null: none.
  const WeightLayouts* layouts = nullptr;
  // The kernel, of contractions or of a file, to be used wherever it can serve, by name; empty: the preferred ones.
  std::string_view kernel = {};
};

class GpuDevice {
 public:
  // Throws weft::Error where this build, the loader, or the machine has no such device; the message says which of
  // them.
  static std::unique_ptr<GpuDevice> create(const GpuOptions& options = {});
  // All devices of all platforms. Throws as `create` does, except that the list is empty if there is no device.
  static std::vector<GpuDeviceInfo> list();
  // The kernels of contractions that there are, of which a device may prefer others; none in a build without OpenCL.
  static std::vector<const ProductRow*> kernels();

  virtual ~GpuDevice() = default;
  virtual const GpuDeviceInfo& info() const = 0;

  virtual GpuBuffer allocate(size_t bytes) = 0;
  // The source may be reused on return. [offset, offset + bytes) must be inside the buffer.
  virtual void upload(const GpuBuffer& to, size_t offset, const void* from, size_t bytes) = 0;
  virtual void fill_zero(const GpuBuffer& to, size_t offset, size_t bytes) = 0;
  // Device to device; the ranges must not overlap.
  virtual void copy(const GpuBuffer& from, size_t from_offset, const GpuBuffer& to, size_t to_offset, size_t bytes) = 0;
  // Waits for all work enqueued before it.
  virtual void download(const GpuBuffer& from, size_t offset, void* to, size_t bytes) = 0;
  virtual void finish() = 0;

  // How the weights of a graph are to be held for the kernels that this device prefers, or for `kernel`, as in a
  // request. `extents`: by AxisId.
  virtual WeightLayouts choose_layouts(const GraphRecord& graph, const int64_t* extents,
                                       std::string_view kernel = {}) const = 0;
  // A weight in that layout (null: as stored). It is uploaded once, shared by all who ask for it, and freed with the
  // last of them.
  virtual std::shared_ptr<const GpuWeight> weight(const std::shared_ptr<const Storage>& storage,
                                                  const ChosenLayout* chosen) = 0;

  // Prepares steps, in their order. `precision` is only noted: products and sums are f32 here in both. Steps of
  // the same structure share one program; missing programs are built together, which costs less than one by one.
  // Throws weft::Error naming the step that cannot run here, a kernel that does not exist, or with the build log where
  // a build fails.
  virtual std::vector<std::unique_ptr<GpuStep>> prepare_batch(std::span<const GpuStepRequest> requests,
                                                              Precision precision) = 0;
  std::unique_ptr<GpuStep> prepare(const GraphRecord& graph, const Step& step, const int64_t* max_extents,
                                   Precision precision) {
    const GpuStepRequest request{&graph, &step, max_extents};
    return std::move(prepare_batch({&request, 1}, precision).front());
  }
  virtual GpuProgramStats program_stats() const = 0;
};

}  // namespace weft
