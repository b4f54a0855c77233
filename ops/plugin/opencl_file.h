// Files of kernels in OpenCL C, in the tables of those that OpenCL devices run. A file declares a function as C++ does:
//
//   void scaled(global const float* x, global float* out, float by, int width, local float* shared) {
//     for (int i = get_local_id(0); i < width; i += get_local_size(0)) out[i] = x[i] * by;
//   }
//   WEFT_KERNEL(scaled, .computes = "x * $by", .work_items = 64)
//
// The work-items of one work-group call it together for each row. Its parameters are the row of each input, that of the
// result, constants, the width, and memory that the work-items share. docs/write_a_kernel.md says more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/kernel_row.h"
#include "ops/plugin/fields.h"
#include "ops/plugin/formula.h"

namespace weft {

struct OpenClFile {
  // One that is a kernel.
  struct Function {
    std::string name, parameters;  // these by their types: "int, __local float*"
    int line = 0;                  // of the declaration
  };
  std::string path;  // as it was given
  std::string text;
  std::vector<std::string> macros;  // that it defines
  std::vector<Function> functions;

  // "kernel file 'norm.cl', kernel 'norm'"
  std::string where(const std::string& kernel) const { return "kernel file '" + path + "', kernel '" + kernel + "'"; }
};

// A kernel of a formula or an op.
struct OpenClRowsKernel {
  std::string name;  // of the function; unique in the table
  int preference = 0;
  std::shared_ptr<const Formula> formula;
  std::vector<int64_t> widths;  // of an op's rows, that it is for; none: any
  int64_t work_items = 64;      // of a work-group
  int64_t columns = 0;          // elements of a row that a work-group computes at most; 0: the row
  int64_t shared = 0;           // floats that the work-items of a group share
  std::shared_ptr<const OpenClFile> file;
};

// A kernel of contractions: of one format, as stored.
struct OpenClProductKernel : ProductRow {
  std::shared_ptr<const OpenClFile> file;
};

struct OpenClKernels {
  std::vector<OpenClRowsKernel> rows;
  std::vector<OpenClProductKernel> products;
};
// What a file declares. Throws Error that names the file and the line.
OpenClKernels parse_opencl_file(std::string path, std::string text);

struct AddedOpenClKernels {
  std::vector<const OpenClRowsKernel*> rows;
  std::vector<const OpenClProductKernel*> products;
};
// The same, added to the tables. None is added where one is wrong, or its name is taken.
AddedOpenClKernels add_opencl_file(std::string path, std::string text, PluginPlace place);
// Throws Error for a file that cannot be read, too.
AddedOpenClKernels load_opencl_file(const std::string& path, PluginPlace place);

// Those of all files.
KernelRows<OpenClRowsKernel>& opencl_rows_table();
KernelRows<OpenClProductKernel>& opencl_products_table();  // gpu/lower/kernel_table.h has them too

}  // namespace weft
