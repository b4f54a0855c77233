// Pairs of compile tests: every file of cases/ builds as it stands, and does not with -DWRONG; then the compiler prints
// at most 12 lines and one error, which holds the texts after "// expect:", separated by " | ".
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct CommandResult {
  int status;
  std::vector<std::string> lines;
};

CommandResult run(const std::string& command) {
  CommandResult result{-1, {}};
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  std::string text;
  std::array<char, 4096> buffer;
  size_t count;
  while ((count = fread(buffer.data(), 1, buffer.size(), pipe)) != 0) text.append(buffer.data(), count);
  result.status = pclose(pipe);
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    result.lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Namespaces and the space between closing brackets differ between compilers.
std::string normalized(std::string line) {
  for (const std::string noise : {"weft::", " >"}) {
    for (size_t at; (at = line.find(noise)) != std::string::npos;) {
      line.replace(at, noise.size(), noise == " >" ? ">" : "");
    }
  }
  return line;
}

std::vector<std::string> expected_texts(const std::filesystem::path& path) {
  const std::string marker = "// expect: ";
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(marker)) continue;
    std::vector<std::string> texts;
    line = line.substr(marker.size()) + " | ";
    for (size_t at; (at = line.find(" | ")) != std::string::npos; line = line.substr(at + 3)) {
      texts.push_back(line.substr(0, at));
    }
    return texts;
  }
  return {};
}

const std::filesystem::path kCases = std::filesystem::path(WEFT_SOURCE_DIR) / "tests/compile/cases";

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kCases)) {
    if (entry.path().extension() == ".cc") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Compile : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Compile, RightTwinBuildsAndWrongOneSaysWhy) {
  const auto& [name, compiler] = GetParam();
  if (run(compiler + " --version").status != 0) GTEST_SKIP() << compiler << " is not installed";
  const std::filesystem::path path = kCases / (name + ".cc");
  const std::string command =
      compiler + " -std=c++20 -Wall -Wextra -Werror -Wno-unused-parameter -fsyntax-only -I" WEFT_SOURCE_DIR " ";

  const CommandResult right = run(command + path.string());
  EXPECT_EQ(right.status, 0) << joined(right.lines);

  const CommandResult wrong = run(command + "-DWRONG " + path.string());
  EXPECT_NE(wrong.status, 0) << "the wrong twin compiles";
  EXPECT_LE(wrong.lines.size(), 12u) << joined(wrong.lines);
  std::string first_error;
  int errors = 0;
  for (const std::string& line : wrong.lines) {
    if (line.find(" error: ") == std::string::npos) continue;
    if (++errors == 1) first_error = normalized(line);
  }
  EXPECT_EQ(errors, 1) << joined(wrong.lines);
  const std::vector<std::string> texts = expected_texts(path);
  EXPECT_FALSE(texts.empty()) << "no '// expect:' line";
  for (const std::string& text : texts) {
    EXPECT_NE(first_error.find(text), std::string::npos) << "no '" << text << "' in: " << first_error;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Compile,
                         testing::Combine(testing::ValuesIn(case_names()), testing::Values("g++-12", "clang++-19")),
                         [](const auto& test) {
                           const std::string& compiler = std::get<1>(test.param);
                           return std::get<0>(test.param) + (compiler == "g++-12" ? "_gcc" : "_clang");
                         });

}  // namespace
