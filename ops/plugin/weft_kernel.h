// Kernels of one's own. A file that includes this, and nothing else of Weft, becomes a shared object by any C++20
// compiler with any flags; it links nothing of Weft. `weft kernel try FILE` builds and tests it, and times it beside
// the built-in kernels; `--kernel-file FILE` of other commands uses it in a model's plan.
//
//   #include <weft_kernel.h>
//
//   static void norm(const weft::Rows& rows) {
//     for (int64_t r = rows.first(); r < rows.last(); ++r) {
//       const auto x = rows.input(0, r), w = rows.input(1, r);
//       float sum = 0;
//       for (const float v : x) sum += v * v;
//       const float by = 1 / std::sqrt(sum / x.size() + rows.constant(0));
//       for (size_t i = 0; i < x.size(); ++i) rows.output(r)[i] = x[i] * by * w[i];
//     }
//   }
//   WEFT_KERNEL(norm, .computes = "rms_norm(x, w, $eps)")
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// --- The C interface, version 1. What is new comes at the ends of these structures, with another version.

extern "C" {

enum { WEFT_KERNEL_VERSION = 1 };

// What `run` is called with for rows [first, last) of the result, by several threads at once for separate rows.
struct weft_rows {
  int64_t first, last;
  int64_t width;         // elements of a row of a formula's inputs
  int64_t output_width;  // the same, or 1 where the formula reduces the row
  // Of each input of the formula, in the order in which it names them: its first row, and how many rows it has. Row r
  // of the result meets row r % input_rows.
  const float* const* inputs;
  const int64_t* input_rows;
  const float* constants;  // in the order in which the formula names them
  float* output;
};

// Products of left-hand rows with right-hand ones: out[m][j] = sum over i < k of left[m][i] * right[j][i].
struct weft_products {
  int64_t k;                 // a multiple of the format's block
  const void* const* right;  // each right-hand row as its format stores it; with layout x16, each group of 16
  int64_t columns;           // right-hand rows; with layout x16 a multiple of 16
  const void* const* left;   // each tile of left-hand rows, in the form that `activations` names
  int64_t rows;              // left-hand rows
  float* const* out;         // by left-hand row
  void* scratch;             // the thread's own, of scratch_bytes, 64-byte aligned
  const char* format;        // of the right-hand rows: "Q4_0"
};

struct weft_kernel {
  const weft_kernel* next;  // of the file; null: the last one
  const char* name;
  const char* computes;            // a formula of rows, "op NAME(x, w, $c)", or "contract"
  const char* features;            // of the CPU that it needs, as /proc/cpuinfo calls them: "avx2 fma"; null: none
  void (*rows)(const weft_rows*);  // of a formula or an op
  void (*products)(const weft_products*);
  // Of an op:
  int32_t is_reference;  // what its kernels are compared with; each op has one
  const char* widths;    // of rows, that it is for: "64 128"; null: any
  // Of products:
  const char* formats;            // of right-hand rows: "Q4_0 Q8_0"
  const char* layout;             // "stored" or "x16"
  const char* activations;        // "f32": tiles are [k][rows of the tile]; "int8", "bf16": ops/contract/activations.h
  int64_t tile;                   // left-hand rows of a tile, at most 32
  int64_t first_rows, last_rows;  // numbers of left-hand rows that it is for; last_rows 0: any from first_rows on
  uint64_t scratch_bytes;         // for each thread
};

}  // extern "C"

// --- The same in C++.

namespace weft {

class Rows {
 public:
  explicit Rows(const weft_rows& rows) : rows_(rows) {}
  int64_t first() const { return rows_.first; }
  int64_t last() const { return rows_.last; }
  // Row r of the formula's input `i`, and of the result.
  std::span<const float> input(size_t i, int64_t r) const {
    const int64_t count = rows_.input_rows[i];
    const int64_t row = count == 1 ? 0 : r < count ? r : r % count;
    return {rows_.inputs[i] + row * rows_.width, static_cast<size_t>(rows_.width)};
  }
  std::span<float> output(int64_t r) const {
    return {rows_.output + r * rows_.output_width, static_cast<size_t>(rows_.output_width)};
  }
  float constant(size_t i) const { return rows_.constants[i]; }

 private:
  const weft_rows& rows_;
};

using Products = weft_products;

// What WEFT_KERNEL says of a kernel: the fields of weft_kernel.
struct KernelAbout {
  const char* computes = nullptr;
  const char* features = nullptr;
  bool is_reference = false;
  const char* widths = nullptr;
  const char* formats = nullptr;
  const char* layout = "stored";
  const char* activations = "f32";
  int64_t tile = 1;
  int64_t first_rows = 1, last_rows = 0;
  uint64_t scratch_bytes = 0;
};

namespace kernel_file {

// Hidden: each shared object has its own.
__attribute__((visibility("hidden"))) inline const weft_kernel* last = nullptr;

struct Kernel : weft_kernel {
  Kernel(const char* its_name, const KernelAbout& about, void (*its_rows)(const weft_rows*),
         void (*its_products)(const weft_products*))
      : weft_kernel{.next = last,
                    .name = its_name,
                    .computes = about.computes,
                    .features = about.features,
                    .rows = its_rows,
                    .products = its_products,
                    .is_reference = about.is_reference ? 1 : 0,
                    .widths = about.widths,
                    .formats = about.formats,
                    .layout = about.layout,
                    .activations = about.activations,
                    .tile = about.tile,
                    .first_rows = about.first_rows,
                    .last_rows = about.last_rows,
                    .scratch_bytes = about.scratch_bytes} {
    last = this;
  }
  Kernel(const Kernel&) = delete;
};

template <void (*kRun)(const Rows&)>
Kernel kernel(const char* name, const KernelAbout& about) {
  return Kernel(name, about, [](const weft_rows* rows) { kRun(Rows(*rows)); }, nullptr);
}
template <void (*kRun)(const Products&)>
Kernel kernel(const char* name, const KernelAbout& about) {
  return Kernel(name, about, nullptr, [](const weft_products* products) { kRun(*products); });
}

}  // namespace kernel_file
}  // namespace weft

// Declares the function as a kernel of its name.
#define WEFT_KERNEL(function, ...)                                  \
  static const ::weft::kernel_file::Kernel weft_kernel_##function = \
      ::weft::kernel_file::kernel<function>(#function, ::weft::KernelAbout{__VA_ARGS__});

// What Weft asks a file for: its kernels, or null where it is of another version.
extern "C" __attribute__((visibility("default"), used)) inline const weft_kernel* weft_kernels(int32_t version) {
  return version == WEFT_KERNEL_VERSION ? weft::kernel_file::last : nullptr;
}
