// `weft kernel try`: a kernel of one's own, tested and timed.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "runtime/plan/cpus.h"
#include "runtime/plan/device.h"
#include "runtime/trace/case_file.h"
#include "tools/common.h"
#include "tools/kernel_check.h"
#include "tools/kernel_file.h"
#include "tools/kernel_time.h"

namespace weft::tools {
namespace {

struct TryFlags {
  std::string file, kernel, one_case, device = "opencl";
  bool device_given = false;
  std::vector<std::string> shapes, other_files;
  std::string format;
  int threads = 0, rounds = 20;
  bool no_time = false;
};

// As a shell reads it.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// Names of cases are no files.
bool is_file(const std::string& one_case) { return std::filesystem::is_regular_file(one_case); }

bool is_reference(const PluginKernel& kernel) {
  if (kernel.opencl_file() != nullptr || kernel.formula == nullptr || kernel.formula->op.empty()) return false;
  return find_op_reference(kernel.formula->op)->name == kernel.name;
}

// Of an op whose kernels are of OpenCL C, another file has the reference.
void check_reference(const PluginKernel& kernel) {
  if (kernel.opencl_rows == nullptr || kernel.formula->op.empty()) return;
  const Formula& mine = *kernel.formula;
  const weft_kernel* reference = find_op_reference(mine.op);
  if (reference == nullptr) {
    throw Error(kernel.opencl_rows->file->where(kernel.name) + ": op '" + mine.op +
                "' has no reference to compare it with; --kernel-file names a C++ file that has one");
  }
  const Formula its = parse_formula(reference->computes);
  if (its.inputs.size() != mine.inputs.size() || its.constants.size() != mine.constants.size()) {
    throw Error(kernel.opencl_rows->file->where(kernel.name) + ": '" + mine.text +
                "' has not as many inputs and constants as its reference, '" + its.text + "'");
  }
}

// How a case is run again.
std::string again(const PluginKernel& kernel, const TryFlags& flags, const WrongCase& wrong) {
  std::string command = "weft kernel try " + quoted(flags.file) + " --kernel " + quoted(kernel.name) + " --case " +
                        quoted(is_file(flags.one_case) ? flags.one_case : wrong.name);
  for (const std::string& file : flags.other_files) command += " --kernel-file " + quoted(file);
  if (kernel.opencl_file() == nullptr) command += " -t " + std::to_string(wrong.threads);
  else if (flags.device != "opencl") command += " --device " + quoted(flags.device);
  return command + " --no-time";
}

// All of a kernel, one of them, or that of a file.
std::vector<StepCase> wanted_cases(const PluginKernel& kernel, const std::optional<StepCase>& of_file,
                                   const std::string& one_case) {
  if (of_file) return {*of_file};
  std::vector<StepCase> cases = cases_of(kernel);
  if (!one_case.empty()) std::erase_if(cases, [&](const StepCase& of) { return of.name() != one_case; });
  return cases;
}

// `device`: of kernels for OpenCL devices.
bool try_kernel(const PluginKernel& kernel, std::span<const StepCase> cases, const TryFlags& flags, int threads,
                GpuDevice* device) {
  const std::string what = kernel.formula != nullptr ? kernel.formula->text : "contractions";
  constexpr size_t kMostWrong = 5;
  const CheckResult result = device != nullptr ? check_kernel(kernel, cases, *device, kMostWrong)
                                               : check_kernel(kernel, cases, threads, kMostWrong);
  print(kernel.name + ": " + what + ": ");
  if (result.cases == 0) {
    print(flags.one_case.empty() ? "no case is one that it serves\n"
                                 : "it does not serve a case " + quoted(flags.one_case) + "\n");
    return false;
  }
  if (result.wrong.empty()) {
    print("correct in " + std::to_string(result.cases) + " cases " +
          (device != nullptr ? "on " + device->info().name : "with 1 to " + std::to_string(threads) + " threads") +
          "\n");
    return true;
  }
  print("WRONG\n");
  for (const WrongCase& wrong : result.wrong) {
    const std::string by = std::to_string(wrong.threads) + (wrong.threads == 1 ? " thread: " : " threads: ");
    print("  " + (device != nullptr ? "" : by) + wrong.what + "\n    again: " + again(kernel, flags, wrong) + "\n");
  }
  if (result.wrong.size() == kMostWrong) print("  and perhaps more: the rest of the cases did not run\n");
  return false;
}

void run_try(const TryFlags& flags) {
  const int threads = thread_count(flags.threads);
  for (const std::string& file : flags.other_files) (void)open_kernel_file(file, PluginPlace::last);
  std::vector<PluginKernel> kernels = open_kernel_file(flags.file, PluginPlace::last);
  if (!flags.kernel.empty()) {
    std::erase_if(kernels, [&](const PluginKernel& kernel) { return kernel.name != flags.kernel; });
    if (kernels.empty()) throw Error("kernel file '" + flags.file + "': there is no kernel '" + flags.kernel + "'");
  }
  if (flags.device_given && std::ranges::none_of(kernels, &PluginKernel::opencl_file)) {
    throw Error("--device: kernel file '" + flags.file + "' has no kernel for " + flags.device +
                ": its kernels run on the CPU");
  }
  std::optional<StepCase> of_file;  // read behind the kernels: its step may be an op of theirs
  if (is_file(flags.one_case)) of_file = read_case(flags.one_case);
  bool all_correct = true;
  std::shared_ptr<GpuDevice> device;
  for (const PluginKernel& kernel : kernels) {
    if (is_reference(kernel)) {
      print(kernel.name + ": the reference of " + kernel.formula->text + "\n");
      continue;
    }
    check_reference(kernel);
    if (kernel.opencl_file() != nullptr && device == nullptr) device = Device::by_name(flags.device).gpu();
    GpuDevice* const its_device = kernel.opencl_file() != nullptr ? device.get() : nullptr;
    const bool correct = try_kernel(kernel, wanted_cases(kernel, of_file, flags.one_case), flags, threads, its_device);
    all_correct = all_correct && correct;
    if (!correct || flags.no_time) continue;
    const TimeOptions options{flags.shapes, flags.format, of_file, threads, flags.rounds};
    print(its_device != nullptr ? time_kernel(kernel, *its_device, options) : time_kernel(kernel, options));
  }
  if (!all_correct) throw NegativeResult();
}

}  // namespace

void add_kernel(CLI::App& app) {
  CLI::App* command = app.add_subcommand("kernel", "Kernels of one's own");
  command->require_subcommand(1);
  auto flags = std::make_shared<TryFlags>();
  CLI::App* attempt = command->add_subcommand("try", "Build a file of kernels, test them, and time them");
  attempt->footer(
      "FILE includes weft_kernel.h, which is all of Weft that it needs; $CXX (default: c++) builds it with $CXXFLAGS.\n"
      "Or it is OpenCL C (.cl), which the device builds.\n"
      "Each kernel runs over the cases of what it computes, on 1 to -t threads, and is compared with a reference in\n"
      "double precision. One that is right is timed in turns with the built-in kernel: 'ratio' is how many times as "
      "fast\n"
      "it is, by the median of the rounds, with an interval of 95 %. Exits with 1 where a kernel is wrong.");
  attempt->add_option("FILE", flags->file, "C++ (.cc, .cpp, .cxx), a shared object made of it, or OpenCL C (.cl)")
      ->required();
  attempt
      ->add_option("--kernel-file", flags->other_files,
                   "A further file: of an op with a .cl file, the C++ with its reference (may be repeated)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("FILE");
  CLI::Option* device =
      attempt
          ->add_option("--device", flags->device, "Of a .cl file: opencl, or opencl:NAME for the device with that name")
          ->capture_default_str()
          ->check([](const std::string& name) {
            return name == "opencl" || name.starts_with("opencl:")
                       ? std::string()
                       : "no device '" + name + "': there are opencl and opencl:NAME";
          })
          ->type_name("DEVICE");
  attempt->add_option("--kernel", flags->kernel, "Only this kernel of the file")->type_name("NAME");
  attempt
      ->add_option(
          "--case", flags->one_case,
          "Only this case, as a wrong one is printed; or a step of a model in the file that explain --dump-step has "
          "written, which is then what is timed too")
      ->type_name("NAME|FILE");
  attempt
      ->add_option("--shape", flags->shapes,
                   "What is timed (may be repeated): ROWSxWIDTH of a formula (default 1x4096 and 512x4096), "
                   "ROWSxOUTPUTSxK of products (default 1x4096x4096 and the first and last numbers of rows)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("SHAPE");
  attempt->add_option("--format", flags->format, "Of the weights that are timed (default: the kernel's first)")
      ->type_name("FORMAT");
  attempt->add_option("-t,--threads", flags->threads, "The most threads (default: the CPUs that may be used)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  attempt->add_option("-r,--rounds", flags->rounds, "Rounds of the times")
      ->check(CLI::Range(3, 10000))
      ->capture_default_str()
      ->type_name("N");
  attempt->add_flag("--no-time", flags->no_time, "Test only");
  attempt->callback([flags, device] {
    flags->device_given = device->count() > 0;
    run_try(*flags);
  });
}

}  // namespace weft::tools
