// Files of kernels that are no part of Weft (weft_kernel.h), in the table of CPU kernels.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops/cpu/kernel_table.h"
#include "ops/plugin/fields.h"
#include "ops/plugin/formula.h"
#include "ops/plugin/opencl_file.h"
#include "ops/plugin/weft_kernel.h"

namespace weft {

// A kernel of a file, and its row in a table, of one kind.
struct PluginKernel {
  std::string name;
  std::vector<int64_t> widths;             // of an op's rows, that it is for; none: any
  std::shared_ptr<const Formula> formula;  // of a kernel of rows
  const StepKernel* step = nullptr;
  const ProductKernel* product = nullptr;
  const OpenClRowsKernel* opencl_rows = nullptr;
  const OpenClProductKernel* opencl_product = nullptr;

  // The row of a kernel of contractions.
  const ProductRow* product_row() const {
    return opencl_product != nullptr ? static_cast<const ProductRow*>(opencl_product) : product;
  }
  // Of an OpenCL kernel.
  const OpenClFile* opencl_file() const {
    return opencl_rows != nullptr      ? opencl_rows->file.get()
           : opencl_product != nullptr ? opencl_product->file.get()
                                       : nullptr;
  }
};

// Opens the shared object, which stays open, and adds its kernels. Throws Error that names the file, and the kernel and
// field where one is wrong; no row is added then.
std::vector<PluginKernel> load_kernel_file(const std::string& path, PluginPlace place);
// The same of kernels that are in the program; `where` names them in errors.
std::vector<PluginKernel> add_plugin_kernels(const weft_kernel* kernels, const std::string& where, PluginPlace place);

// The reference of an op, null where no file has it.
const weft_kernel* find_op_reference(std::string_view op);

// The kernel of a step, null where find_rows (ops/plugin/rows_of_step.h) finds none.
std::unique_ptr<CpuKernel> make_rows_kernel(const KernelContext& context, const weft_kernel& kernel,
                                            const Formula& formula);

}  // namespace weft
