#include "tools/kernel_file.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/error.h"

extern char** environ;

namespace weft::tools {
namespace {

// A folder that goes with this.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "weft-kernel-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw Error("cannot make a folder '" + path + "': " + std::strerror(errno));
    path_ = path;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::vector<std::string> words_of_variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  std::istringstream in(value == nullptr || *value == '\0' ? otherwise : value);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

void run_compiler(const std::string& file, std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, arguments[0], nullptr, nullptr, arguments.data(), environ);
  if (error != 0) {
    throw Error("kernel file '" + file + "' cannot be built: '" + command[0] + "': " + std::strerror(error) +
                "; CXX names another compiler");
  }
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error("kernel file '" + file + "' cannot be built: '" + command[0] + "' failed");
  }
}

}  // namespace

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
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "weft_kernel.h") << kernel_header();
  const std::string built = (folder.path() / file.stem()).string() + ".so";
  std::vector<std::string> command = words_of_variable("CXX", "c++");
  for (const char* flag : {"-std=c++20", "-O3", "-march=native", "-fPIC", "-shared"}) command.emplace_back(flag);
  command.push_back("-I" + folder.path().string());
  for (std::string& flag : words_of_variable("CXXFLAGS", "")) command.push_back(std::move(flag));
  for (const std::string& word : {file.string(), std::string("-o"), built}) command.push_back(word);
  run_compiler(path, std::move(command));
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
