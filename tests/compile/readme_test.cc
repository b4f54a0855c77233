// The C++ blocks of README.md compile.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/test_data.h"

namespace weft {
namespace {

TEST(Readme, CodeBlocksCompile) {
  if (std::system("g++-12 --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "g++-12 is not installed";
  const std::string text = test::read_file(test::source_dir() / "README.md");
  const std::string begin = "```cpp\n", end = "\n```";
  int blocks = 0;
  for (size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at)) {
    at += begin.size();
    const std::string code = text.substr(at, text.find(end, at) - at) + "\n";
    const auto path = std::filesystem::temp_directory_path() / ("weft_readme_" + std::to_string(++blocks) + ".cc");
    std::ofstream(path) << code;
    const std::string command = "g++-12 -std=c++20 -Wall -Wextra -Werror -Wno-unused-variable -fsyntax-only -I" +
                                test::source_dir().string() + " " + path.string();
    EXPECT_EQ(std::system(command.c_str()), 0) << code;
    std::filesystem::remove(path);
  }
  EXPECT_GE(blocks, 2);
}

}  // namespace
}  // namespace weft
