// `weft kernel try`: a kernel of one's own, tested and timed.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "runtime/plan/cpus.h"
#include "tools/common.h"
#include "tools/kernel_check.h"
#include "tools/kernel_file.h"
#include "tools/kernel_time.h"

namespace weft::tools {
namespace {

struct TryFlags {
  std::string file, kernel, one_case;
  std::vector<std::string> shapes;
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

bool is_reference(const PluginKernel& kernel) {
  if (kernel.formula == nullptr || kernel.formula->op.empty()) return false;
  return find_op_reference(kernel.formula->op)->name == kernel.name;
}

bool try_kernel(const PluginKernel& kernel, const TryFlags& flags, int threads) {
  const std::string what = kernel.formula != nullptr ? kernel.formula->text : "contractions";
  constexpr size_t kMostWrong = 5;
  const CheckResult result = check_kernel(kernel, threads, kMostWrong, [&](const std::string& name) {
    return flags.one_case.empty() || name == flags.one_case;
  });
  print(kernel.name + ": " + what + ": ");
  if (result.cases == 0) {
    print(flags.one_case.empty() ? "no case is one that it serves\n"
                                 : "it does not serve a case " + quoted(flags.one_case) + "\n");
    return false;
  }
  if (result.wrong.empty()) {
    print("correct in " + std::to_string(result.cases) + " cases with 1 to " + std::to_string(threads) + " threads\n");
    return true;
  }
  print("WRONG\n");
  for (const WrongCase& wrong : result.wrong) {
    print("  " + std::to_string(wrong.threads) + (wrong.threads == 1 ? " thread" : " threads") + ": " + wrong.what +
          "\n    again: weft kernel try " + quoted(flags.file) + " --kernel " + quoted(kernel.name) + " --case " +
          quoted(wrong.name) + " -t " + std::to_string(wrong.threads) + " --no-time\n");
  }
  if (result.wrong.size() == kMostWrong) print("  and perhaps more: the rest of the cases did not run\n");
  return false;
}

void run_try(const TryFlags& flags) {
  const int threads = thread_count(flags.threads);
  std::vector<PluginKernel> kernels = open_kernel_file(flags.file, PluginPlace::last);
  if (!flags.kernel.empty()) {
    std::erase_if(kernels, [&](const PluginKernel& kernel) { return kernel.name != flags.kernel; });
    if (kernels.empty()) throw Error("kernel file '" + flags.file + "': there is no kernel '" + flags.kernel + "'");
  }
  bool all_correct = true;
  for (const PluginKernel& kernel : kernels) {
    if (is_reference(kernel)) {
      print(kernel.name + ": the reference of " + kernel.formula->text + "\n");
      continue;
    }
    const bool correct = try_kernel(kernel, flags, threads);
    all_correct = all_correct && correct;
    if (!correct || flags.no_time) continue;
    print(time_kernel(kernel, {flags.shapes, flags.format, threads, flags.rounds}));
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
      "Each kernel runs over the cases of what it computes, on 1 to -t threads, and is compared with a reference in\n"
      "double precision. One that is right is timed in turns with the built-in kernel: 'ratio' is how many times as "
      "fast\n"
      "it is, by the median of the rounds, with an interval of 95 %. Exits with 1 where a kernel is wrong.");
  attempt->add_option("FILE", flags->file, "C++ (.cc, .cpp, .cxx), or a shared object made of it")->required();
  attempt->add_option("--kernel", flags->kernel, "Only this kernel of the file")->type_name("NAME");
  attempt->add_option("--case", flags->one_case, "Only this case, as a wrong one is printed")->type_name("NAME");
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
  attempt->callback([flags] { run_try(*flags); });
}

}  // namespace weft::tools
