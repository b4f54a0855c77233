#include "tools/kernel_file.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "core/error.h"
#include "tools/built_file.h"
#include "tools/temporary_path.h"

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
  const TemporaryPath folder = TemporaryPath::folder("weft-kernel-");
  std::ofstream(folder.path() / "weft_kernel.h") << kernel_header();
  const std::string built = build_shared_object(folder.path(), file, "kernel file '" + path + "'", {});
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

namespace {

// Whether there is one that plans on the device take: an op's C++ has the reference of its OpenCL kernels, too.
bool serves(const std::vector<PluginKernel>& kernels, bool on_cpu) {
  return std::ranges::any_of(kernels, [&](const PluginKernel& kernel) {
    const bool is_opencl = kernel.opencl_file() != nullptr;
    return is_opencl != on_cpu || (!on_cpu && !is_opencl && kernel.formula != nullptr && !kernel.formula->op.empty());
  });
}

}  // namespace

void use_kernel_files(const std::vector<std::string>& files, const std::string& device) {
  // A command may make several engines.
  static std::map<std::string, std::vector<PluginKernel>> used;
  static std::set<std::pair<std::string, std::string>> warned;
  const bool on_cpu = device == "cpu";
  for (const std::string& file : files) {
    auto at = used.find(file);
    if (at == used.end()) at = used.emplace(file, open_kernel_file(file, PluginPlace::first)).first;
    if (serves(at->second, on_cpu) || !warned.emplace(file, device).second) continue;
    std::fprintf(stderr, "weft: warning: kernel file '%s' is not used: its kernels are %s, and --device is %s\n",
                 file.c_str(), on_cpu ? "for OpenCL devices" : "for the CPU", device.c_str());
  }
}

}  // namespace weft::tools
