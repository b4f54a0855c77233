#include "tools/kernel_file.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "core/error.h"
#include "tools/built_file.h"

namespace weft::tools {

std::vector<PluginKernel> open_kernel_file(const std::string& path, PluginPlace place) {
  const std::filesystem::path file = std::filesystem::absolute(path);
  if (!std::filesystem::is_regular_file(file)) throw Error("kernel file '" + path + "': there is no such file");
  const std::string extension = file.extension().string();
  if (extension == ".cl") {
    std::vector<PluginKernel> kernels;
    const AddedOpenClKernels added = load_opencl_file(path, place);
    for (const OpenClRowsKernel* row : added.rows) {
      kernels.push_back({.name = row->name, .widths = row->widths, .formula = row->formula, .opencl_rows = row});
    }
    for (const OpenClProductKernel* row : added.products) {
      kernels.push_back({.name = row->name, .widths = {}, .formula = nullptr, .opencl_product = row});
    }
    return kernels;
  }
  if (extension != ".cc" && extension != ".cpp" && extension != ".cxx") return load_kernel_file(file.string(), place);
  const BuildFolder folder;
  std::ofstream(folder.path() / "weft_kernel.h") << kernel_header();
  const std::string built = build_shared_object(folder, file, "kernel file '" + path + "'", {});
  return load_kernel_file(built, place);
}

void add_kernel_file_flag(CLI::App& app, std::vector<std::string>& files) {
  app.add_option(
         "--kernel-file", files,
         "Kernels of one's own: C++ that includes weft_kernel.h, or a shared object, for the CPU; OpenCL C (.cl) "
         "for --device opencl. Used wherever they can serve (may be repeated; `weft kernel try` tests and times "
         "them)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("FILE");
}

void use_kernel_files(const std::vector<std::string>& files) {
  static std::set<std::string> used;  // a command may make several engines
  for (const std::string& file : files) {
    if (used.insert(file).second) (void)open_kernel_file(file, PluginPlace::first);
  }
}

}  // namespace weft::tools
