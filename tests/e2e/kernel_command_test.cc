// Kernels of one's own: `weft kernel try`, and --kernel-file. The guide's kernels are built as it has them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "tests/command.h"
#include "tests/gpu_device.h"
#include "tests/test_data.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using test::run_weft;
using test::TemporaryFolder;

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

class KernelCommand : public testing::Test {
 protected:
  void SetUp() override {
    const char* compiler = std::getenv("CXX");
    const std::string name = compiler == nullptr ? "c++" : compiler;
    if (std::system(("command -v " + name + " > /dev/null").c_str()) != 0) GTEST_SKIP() << "there is no " << name;
  }
  std::string path_of(const std::string& name) const { return (folder_ / name).string(); }
  std::string written(const std::string& name, const std::string& text) const {
    std::ofstream(path_of(name)) << text;
    return path_of(name);
  }
  // The files in docs/write_a_kernel.md: blocks that begin with "```LANGUAGE file=NAME".
  static std::map<std::string, std::string> files_of_the_guide() {
    std::ifstream guide(fs::path(WEFT_SOURCE_DIR) / "docs" / "write_a_kernel.md");
    std::map<std::string, std::string> files;
    std::string* file = nullptr;
    const std::string begin = "```", name = " file=";
    for (std::string line; std::getline(guide, line);) {
      const size_t at = line.starts_with(begin) ? line.find(name) : line.npos;
      if (at != line.npos) file = &files[line.substr(at + name.size())];
      else if (line == "```") file = nullptr;
      else if (file != nullptr) *file += line + "\n";
    }
    return files;
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(KernelCommand, TheGuidesKernelsAreRight) {
  const auto files = files_of_the_guide();
  ASSERT_EQ(files.size(), 6u);
  for (const auto& [name, text] : files) written(name, text);
  for (const auto& [name, text] : files) {
    std::vector<std::string> command = {"kernel", "try", path_of(name), "--no-time"};
    if (name.ends_with(".cl")) {
      if (!test::opencl_device()) continue;
      // An op's reference is in the C++ file of the same name.
      const std::string reference = name.substr(0, name.size() - 2) + "cc";
      if (has(text, "\"op ")) command.insert(command.end(), {"--kernel-file", path_of(reference)});
    }
    const CommandResult result = run_weft(command);
    EXPECT_EQ(result.code, 0) << result.out << result.err;
    EXPECT_TRUE(has(result.out, ": correct in ")) << result.out;
  }
}

TEST_F(KernelCommand, TimesBesideTheBuiltInKernel) {
  const std::string file = written("norm.cc", files_of_the_guide()["norm.cc"]);
  const CommandResult result = run_weft({"kernel", "try", file, "-t", "1", "-r", "3", "--shape", "2x64"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(result.out, "\n2x64 ")) << result.out;
  EXPECT_TRUE(has(result.out, "reduce/rows\n")) << result.out;
}

TEST_F(KernelCommand, FindsAMistakeAndSaysHowToRunItAgain) {
  std::string text = files_of_the_guide()["norm.cc"];
  const std::string right = "for (; i < x.size(); ++i) sum += x[i] * x[i];";
  ASSERT_TRUE(has(text, right));
  text.erase(text.find(right), right.size());
  const std::string file = written("norm.cc", text);
  const CommandResult result = run_weft({"kernel", "try", file});
  EXPECT_EQ(result.code, 1);
  EXPECT_TRUE(has(result.out, "norm: rms_norm(x, w, $eps): WRONG\n")) << result.out;
  EXPECT_FALSE(has(result.out, "ratio")) << result.out;
  const std::string of_one = "rms_norm(x, w, $eps) 1x1x1";
  EXPECT_TRUE(has(result.out,
                  "    again: weft kernel try '" + file + "' --kernel 'norm' --case '" + of_one + "' -t 1 --no-time\n"))
      << result.out;
  const CommandResult again =
      run_weft({"kernel", "try", file, "--kernel", "norm", "--case", of_one, "-t", "1", "--no-time"});
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(has(again.out, "case '" + of_one + "'")) << again.out;
  // A case with whole vectors is right.
  const CommandResult whole = run_weft({"kernel", "try", file, "--case", "rms_norm(x, w, $eps) 1x1x16", "--no-time"});
  EXPECT_EQ(whole.code, 0) << whole.out;
}

// Of an op, kernels are compared with its file's reference.
TEST_F(KernelCommand, TakesAStepOfAModel) {
  const std::string step = path_of("step.gguf");
  for (const char* run : {"decode", "prefill"}) {
    const CommandResult dumped =
        run_weft({"explain", "--dump-step", "blk.2.ffn_norm", "--dump-run", run, "-c", "40", "-o", step});
    ASSERT_EQ(dumped.code, 0) << dumped.err;
    std::string text = files_of_the_guide()["norm.cc"];
    const CommandResult right = run_weft({"kernel", "try", written("norm.cc", text), "--case", step, "-r", "3"});
    EXPECT_EQ(right.code, 0) << right.out << right.err;
    EXPECT_TRUE(has(right.out, "correct in 1 cases")) << right.out;
    EXPECT_TRUE(has(right.out, "blk.2.ffn_norm")) << right.out;  // which is timed
    text.replace(text.find("* w[i]"), 6, "+ w[i]");
    const CommandResult wrong = run_weft({"kernel", "try", written("wrong.cc", text), "--case", step, "-r", "3"});
    EXPECT_EQ(wrong.code, 1) << wrong.out;
    EXPECT_TRUE(has(wrong.out, "--case '" + step + "'")) << wrong.out;
  }
  // One that the kernel is not for.
  ASSERT_EQ(run_weft({"explain", "--dump-step", "blk.2.attn", "-c", "40", "-o", step}).code, 0);
  const CommandResult other =
      run_weft({"kernel", "try", written("norm.cc", files_of_the_guide()["norm.cc"]), "--case", step});
  EXPECT_EQ(other.code, 1);
  EXPECT_TRUE(has(other.out, "it does not serve")) << other.out;
}

TEST_F(KernelCommand, FindsAMistakeInANewOp) {
  std::string text = files_of_the_guide()["soft_clip.cc"];
  const std::string right = "std::tanh(x[i] / limit)";
  ASSERT_TRUE(has(text, right));
  text.replace(text.find(right), right.size(), "std::tanh(x[i])");
  const CommandResult result = run_weft({"kernel", "try", written("soft_clip.cc", text)});
  EXPECT_EQ(result.code, 1);
  EXPECT_TRUE(has(result.out, "soft_clip: op soft_clip(x, w, $limit): WRONG\n")) << result.out;
  EXPECT_TRUE(has(result.out, "soft_clip_plain: the reference of op soft_clip(x, w, $limit)\n")) << result.out;
}

TEST_F(KernelCommand, ModelsRunWithIt) {
  const std::string file = written("norm.cc", files_of_the_guide()["norm.cc"]);
  const CommandResult plan = run_weft({"explain", "--kernel-file", file});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_TRUE(has(plan.out, "blk.0-5.attn_norm   norm ")) << plan.out;
  const std::vector<std::string> run = {"run", "-p", "It was a", "-n", "12", "--temp", "0", "--precision", "exact"};
  std::vector<std::string> with = run;
  with.insert(with.end(), {"--kernel-file", file});
  const CommandResult mine = run_weft(with);
  EXPECT_EQ(mine.code, 0) << mine.err;
  EXPECT_EQ(mine.out, run_weft(run).out);
}

TEST_F(KernelCommand, SaysWhatIsWrongWithAFile) {
  const auto error_of = [](const std::string& file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"kernel", "try", file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = run_weft(arguments);
    EXPECT_EQ(result.code, 1) << result.out;
    return result.err;
  };
  EXPECT_TRUE(has(error_of("nowhere.cc"), "kernel file 'nowhere.cc': there is no such file"));
  const std::string broken = written("broken.cc", "#include <weft_kernel.h>\nint x = ;\n");
  const std::string of_broken = error_of(broken);
  EXPECT_TRUE(has(of_broken, "broken.cc:2:")) << of_broken;  // the compiler's own words
  EXPECT_TRUE(has(of_broken, "kernel file '" + broken + "' cannot be built: ")) << of_broken;
  EXPECT_TRUE(has(error_of(written("other.cc", "int x = 1;\n")), "it does not include weft_kernel.h"));
  EXPECT_TRUE(has(error_of(written("empty.cc", "#include <weft_kernel.h>\n")), "it has no WEFT_KERNEL"));
  EXPECT_TRUE(has(error_of(written("text.so", "no object\n")), "kernel file '"));
  std::string alone = files_of_the_guide()["soft_clip.cc"];
  alone.replace(alone.find(", .is_reference = true"), std::string(", .is_reference = true").size(), "");
  EXPECT_TRUE(has(error_of(written("alone.cc", alone)), "op 'soft_clip' has no kernel with .is_reference = true"));
  const std::string norm = written("norm.cc", files_of_the_guide()["norm.cc"]);
  EXPECT_TRUE(has(error_of(norm, {"--kernel", "other"}), "there is no kernel 'other'"));
  for (const char* shape : {"64", "0x4", "4x", "x4", "4x4x4", "99999999999x99999999999", "4x4 "}) {
    EXPECT_TRUE(has(error_of(norm, {"--case", "rms_norm(x, w, $eps) 1x1x1", "--shape", shape}),
                    "--shape '" + std::string(shape) + "': ROWSxWIDTH is wanted"))
        << shape;
  }
}

class OpenClKernelCommand : public KernelCommand {
 protected:
  void SetUp() override {
    KernelCommand::SetUp();
    if (!IsSkipped() && !test::opencl_device()) GTEST_SKIP() << "no OpenCL device on this machine";
  }
};

TEST_F(OpenClKernelCommand, TimesBesideTheBuiltInKernel) {
  const std::string file = written("norm.cl", files_of_the_guide()["norm.cl"]);
  const CommandResult result = run_weft({"kernel", "try", file, "-r", "3", "--shape", "2x64"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(result.out, "norm: rms_norm(x, w, $eps): correct in ")) << result.out;
  EXPECT_TRUE(has(result.out, "\n2x64 ")) << result.out;
  EXPECT_TRUE(has(result.out, " reduce\n")) << result.out;
}

TEST_F(OpenClKernelCommand, FindsAMistakeAndSaysHowToRunItAgain) {
  std::string text = files_of_the_guide()["soft_clip.cl"];
  const std::string right = "tanh(x[i] / limit)";
  ASSERT_TRUE(has(text, right));
  text.replace(text.find(right), right.size(), "tanh(x[i])");
  const std::string file = written("wrong.cl", text);
  const std::string reference = written("soft_clip.cc", files_of_the_guide()["soft_clip.cc"]);
  const CommandResult result = run_weft({"kernel", "try", file, "--kernel-file", reference});
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_TRUE(has(result.out, "soft_clip: op soft_clip(x, w, $limit): WRONG\n")) << result.out;
  EXPECT_FALSE(has(result.out, "us")) << result.out;
  const std::string of_one = "op soft_clip(x, w, $limit) 1x1x1";
  EXPECT_TRUE(has(result.out, "    again: weft kernel try '" + file + "' --kernel 'soft_clip' --case '" + of_one +
                                  "' --kernel-file '" + reference + "' --no-time\n"))
      << result.out;
  const CommandResult again = run_weft(
      {"kernel", "try", file, "--kernel", "soft_clip", "--case", of_one, "--kernel-file", reference, "--no-time"});
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(has(again.out, "case '" + of_one + "'")) << again.out;
}

TEST_F(OpenClKernelCommand, ModelsRunWithIt) {
  const std::string file = written("norm.cl", files_of_the_guide()["norm.cl"]);
  const CommandResult plan = run_weft({"explain", "--kernel-file", file, "--device", "opencl"});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_TRUE(has(plan.out, "blk.0-5.attn_norm   norm ")) << plan.out;
  const std::vector<std::string> run = {"run",    "-p",     "It was a", "-n",          "12",   "--device",
                                        "opencl", "--temp", "0",        "--precision", "exact"};
  std::vector<std::string> with = run;
  with.insert(with.end(), {"--kernel-file", file});
  const CommandResult mine = run_weft(with);
  EXPECT_EQ(mine.code, 0) << mine.err;
  EXPECT_EQ(mine.out, run_weft(run).out);
}

// A new op's C++ is not warned of: it has the reference.
TEST_F(OpenClKernelCommand, WarnsOfFilesForAnotherDevice) {
  const auto files = files_of_the_guide();
  const std::string on_opencl = written("norm.cl", files.at("norm.cl")),
                    on_cpu = written("norm.cc", files.at("norm.cc")),
                    op = written("soft_clip.cc", files.at("soft_clip.cc"));
  const auto warnings = [](const std::string& file, const std::string& device) {
    const CommandResult result = run_weft({"explain", "--kernel-file", file, "--device", device});
    EXPECT_EQ(result.code, 0) << result.err;
    return result.err;
  };
  EXPECT_EQ(warnings(on_opencl, "cpu"), "weft: warning: kernel file '" + on_opencl +
                                            "' is not used: its kernels are for OpenCL devices, and --device is cpu\n");
  EXPECT_EQ(warnings(on_cpu, "opencl"), "weft: warning: kernel file '" + on_cpu +
                                            "' is not used: its kernels are for the CPU, and --device is opencl\n");
  EXPECT_EQ(warnings(on_cpu, "cpu"), "");
  EXPECT_EQ(warnings(on_opencl, "opencl"), "");
  EXPECT_EQ(warnings(op, "opencl"), "");
  const CommandResult attempt = run_weft({"kernel", "try", on_cpu, "--device", "opencl"});
  EXPECT_EQ(attempt.code, 1);
  EXPECT_TRUE(has(attempt.err, "--device: kernel file '" + on_cpu + "' has no kernel for opencl")) << attempt.err;
}

TEST_F(OpenClKernelCommand, SaysWhatIsWrongWithAFile) {
  const auto error_of = [](const std::vector<std::string>& arguments) {
    const CommandResult result = run_weft(arguments);
    EXPECT_EQ(result.code, 1) << result.out;
    return result.err;
  };
  const std::string norm = files_of_the_guide()["norm.cl"];
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = norm;
    EXPECT_TRUE(has(text, from));
    text.replace(text.find(from), from.size(), to);
    return error_of({"kernel", "try", written("changed.cl", text)});
  };
  EXPECT_TRUE(
      has(changed("WEFT_KERNEL(norm,", "WEFT_KERNEL(nrm,"), "changed.cl', line 14: there is no function 'nrm'"));
  EXPECT_TRUE(has(changed(".work_items", ".items"), "changed.cl', line 14: there is no field 'items'"));
  // The driver's own words.
  const std::string unknown = changed("float sum = 0;", "float sum = nothing;");
  EXPECT_TRUE(has(unknown, "changed.cl' does not build on ")) << unknown;
  EXPECT_TRUE(has(unknown, "changed.cl:3:")) << unknown;
  const std::string parameters = changed("float eps, int width", "int width");
  EXPECT_TRUE(has(parameters, "changed.cl:1:")) << parameters;
  EXPECT_TRUE(has(parameters,
                  "\nWeft calls norm(__global const float*, __global const float*, __global float*, float, int, "
                  "__local float*)\n"))
      << parameters;
  const std::string clip = written("soft_clip.cl", files_of_the_guide()["soft_clip.cl"]);
  EXPECT_TRUE(has(error_of({"kernel", "try", clip}),
                  "op 'soft_clip' has no reference to compare it with; --kernel-file names a C++ file that has one"));
  std::string other = files_of_the_guide()["soft_clip.cc"];
  for (size_t at; (at = other.find(", $limit")) != other.npos;) other.replace(at, 8, "");
  EXPECT_TRUE(
      has(error_of({"kernel", "try", clip, "--kernel-file", written("other.cc", other)}),
          "'op soft_clip(x, w, $limit)' has not as many inputs and constants as its reference, 'op soft_clip(x, "
          "w)'"));
}

}  // namespace
}  // namespace weft
