#include "ops/plugin/plugin.h"

#include <dlfcn.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "ops/cpu/kernel.h"
#include "ops/plugin/fields.h"

namespace weft {
namespace {

// The features that this machine's processor lacks, as the system calls them.
std::string missing_features(const char* features) {
  const std::vector<std::string> wanted = words_of(features);
  if (wanted.empty()) return "";
  std::vector<std::string> has;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; has.empty() && std::getline(info, line);) {
    if (line.starts_with("flags") || line.starts_with("Features")) has = words_of(line.c_str());
  }
  std::string missing;
  for (const std::string& feature : wanted) {
    if (std::find(has.begin(), has.end(), feature) == has.end()) missing += (missing.empty() ? "" : " ") + feature;
  }
  return missing;
}

// What files have said of ops: the kernels that the others are compared with.
class OpReferences {
 public:
  void add(const std::string& op, const weft_kernel* kernel) {
    const std::lock_guard lock(mutex_);
    by_op_[op] = kernel;
  }
  const weft_kernel* find(std::string_view op) const {
    const std::lock_guard lock(mutex_);
    const auto found = by_op_.find(op);
    return found == by_op_.end() ? nullptr : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, const weft_kernel*, std::less<>> by_op_;
};
OpReferences& op_references() {
  static OpReferences references;
  return references;
}

// A kernel's field, checked.
class Fields {
 public:
  Fields(const weft_kernel& kernel, std::string where)
      : kernel_(kernel), where_(std::move(where) + ", kernel '" + (kernel.name ? kernel.name : "") + "'") {}

  [[noreturn]] void fail(const std::string& what) const { throw Error(where_ + ": " + what); }

  // With the file and the kernel in errors.
  template <class Make>
  auto in_place(const Make& make) const {
    try {
      return make();
    } catch (const Error& error) {
      fail(error.what());
    }
  }

  void check() const {
    if (kernel_.name == nullptr || *kernel_.name == '\0') fail("it has no name");
    if (kernel_.computes == nullptr) fail("'computes' is missing");
    if ((kernel_.rows == nullptr) == (kernel_.products == nullptr)) fail("it is to have one function");
    if (is_contract() != (kernel_.products != nullptr)) {
      fail(is_contract() ? "its function is to take weft::Products" : "its function is to take weft::Rows");
    }
    const std::string missing = missing_features(kernel_.features);
    if (!missing.empty()) fail("it needs a CPU with " + missing + ", which this one lacks");
  }
  bool is_contract() const { return std::string_view(kernel_.computes) == "contract"; }

  std::vector<int64_t> widths() const {
    return in_place([&] { return widths_of(kernel_.widths); });
  }

  ProductKernel product(PluginPlace place) const {
    ProductKernel row;
    row.name = kernel_.name;
    row.formats = in_place([&] { return formats_of(kernel_.formats); });
    if (row.formats.empty()) fail("'formats' is missing");
    const std::string_view layout = kernel_.layout == nullptr ? "" : kernel_.layout;
    if (layout == "x16") row.layout = kRows16;
    else if (layout != "stored") fail("'layout' is stored or x16, not '" + std::string(layout) + "'");
    const std::string_view element = kernel_.activations == nullptr ? "" : kernel_.activations;
    if (element == "f32") row.activations.element = ActivationElement::floats;
    else if (element == "int8") row.activations.element = ActivationElement::int8;
    else if (element == "bf16") row.activations.element = ActivationElement::bf16;
    else fail("'activations' is f32, int8 or bf16, not '" + std::string(element) + "'");
    row.activations.tile = kernel_.tile;
    row.first_rows = kernel_.first_rows;
    row.last_rows = kernel_.last_rows == 0 ? kAnyRows : kernel_.last_rows;
    row.preference = plugin_preference(place);
    row.scratch_bytes = static_cast<size_t>(kernel_.scratch_bytes);
    row.features = kernel_.features == nullptr ? "" : kernel_.features;
    row.run = [kernel = &kernel_](const ProductArgs& args) {
      const weft_products call{.k = args.k,
                               .right = reinterpret_cast<const void* const*>(args.right),
                               .columns = args.columns,
                               .left = reinterpret_cast<const void* const*>(args.left),
                               .rows = args.rows,
                               .out = args.out,
                               .scratch = args.scratch,
                               .format = info(args.format).name.data()};
      kernel->products(&call);
      return kernel->name;
    };
    return row;
  }

 private:
  const weft_kernel& kernel_;
  std::string where_;
};

}  // namespace

std::vector<PluginKernel> add_plugin_kernels(const weft_kernel* kernels, const std::string& where, PluginPlace place) {
  std::vector<PluginKernel> added;
  std::vector<ProductKernel> products;
  std::vector<StepKernel> steps;
  std::map<std::string, const weft_kernel*> references;  // by op
  for (const weft_kernel* kernel = kernels; kernel != nullptr; kernel = kernel->next) {
    const Fields fields(*kernel, where);
    fields.check();
    const auto has_name = [&](const PluginKernel& other) { return other.name == kernel->name; };
    if (kernel_table().has(kernel->name) || std::ranges::any_of(added, has_name)) {
      fields.fail("there is a kernel of that name");
    }
    PluginKernel& it = added.emplace_back();
    it.name = kernel->name;
    if (fields.is_contract()) {
      products.push_back(fields.product(place));
      try {
        check_row(products.back());
      } catch (const Error& error) {
        fields.fail(error.what());
      }
      continue;
    }
    it.widths = fields.widths();
    try {
      it.formula = std::make_shared<const Formula>(parse_formula(kernel->computes));
    } catch (const Error& error) {
      fields.fail(error.what());
    }
    if (it.formula->op.empty() && (kernel->is_reference != 0 || !it.widths.empty())) {
      fields.fail("'is_reference' and 'widths' are of ops");
    }
    if (kernel->is_reference != 0) {
      if (find_op_reference(it.formula->op) != nullptr || references.contains(it.formula->op)) {
        fields.fail("op '" + it.formula->op + "' has a reference");
      }
      references[it.formula->op] = kernel;
    }
    steps.push_back({.name = kernel->name,
                     .kind = it.formula->kind(),
                     .preference = plugin_preference(place) - kernel->is_reference,
                     .make = [kernel, formula = it.formula](const KernelContext& context) {
                       return make_rows_kernel(context, *kernel, *formula);
                     }});
  }
  for (const PluginKernel& it : added) {
    if (it.formula == nullptr || it.formula->op.empty()) continue;
    const std::string& op = it.formula->op;
    if (find_op_reference(op) == nullptr && !references.contains(op)) {
      throw Error(where + ", kernel '" + it.name + "': op '" + op + "' has no kernel with .is_reference = true");
    }
  }
  for (const auto& [op, kernel] : references) op_references().add(op, kernel);
  for (ProductKernel& row : products) kernel_table().add(std::move(row));
  for (StepKernel& row : steps) kernel_table().add(std::move(row));
  for (PluginKernel& it : added) {
    it.product = kernel_table().find_product(it.name);
    it.step = kernel_table().find_step(it.name);
  }
  return added;
}

const weft_kernel* find_op_reference(std::string_view op) { return op_references().find(op); }

std::vector<PluginKernel> load_kernel_file(const std::string& path, PluginPlace place) {
  void* file = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (file == nullptr) throw Error("kernel file '" + path + "': " + ::dlerror());
  const auto kernels = reinterpret_cast<const weft_kernel* (*)(int32_t)>(::dlsym(file, "weft_kernels"));
  if (kernels == nullptr) throw Error("kernel file '" + path + "': it does not include weft_kernel.h");
  const weft_kernel* first = kernels(WEFT_KERNEL_VERSION);
  if (first == nullptr) {
    throw Error("kernel file '" + path + "': it has no WEFT_KERNEL, or is not of version " +
                std::to_string(WEFT_KERNEL_VERSION) + " of weft_kernel.h");
  }
  return add_plugin_kernels(first, "kernel file '" + path + "'", place);
}

}  // namespace weft
