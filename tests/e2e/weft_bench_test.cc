// Flags of the benchmark program.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/command.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;

// What a command prints, run in `folder` by a shell that finds the programs of this build; ends with its exit code.
std::pair<int, std::string> run_shell(const std::string& script, const TemporaryFolder& folder) {
  std::ofstream(folder / "script") << "set -e\nPATH=" << weft_binary().parent_path().string() << ":$PATH\n" << script;
  const std::string command = "cd " + (folder / "").string() + " && sh script > output 2>&1";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder / "output")};
}

TEST(WeftBench, RefusesWhatItDoesNotKnow) {
  if (!fs::exists(weft_binary().parent_path() / "weft_bench")) GTEST_SKIP() << "weft_bench is not built";
  const TemporaryFolder folder;
  const auto [code, output] = run_shell("weft_bench --cache hot", folder);
  EXPECT_EQ(code, 2);
  EXPECT_EQ(output, "weft_bench: error: --cache: 'hot' is neither cold nor warm\nTry 'weft_bench --help'.\n");
  EXPECT_EQ(run_shell("weft_bench --cache", folder).first, 2);
  EXPECT_EQ(run_shell("weft_bench --other", folder).first, 2);
  EXPECT_CONTAINS(run_shell("weft_bench --help", folder).second, "--cache cold|warm");
}

}  // namespace
}  // namespace weft::test
