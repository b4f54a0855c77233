// The commands of docs/: blocks of shell run, and the flags of other blocks are there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "tests/command.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;

struct Block {
  std::string language, text;
};

std::vector<Block> blocks_of(const fs::path& document) {
  std::istringstream in(read_file(document));
  std::vector<Block> blocks;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({line.substr(3), ""});
    } else if (inside) {
      blocks.back().text += line + "\n";
    }
  }
  return blocks;
}

std::vector<fs::path> documents() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(source_dir() / "docs")) {
    if (entry.path().extension() == ".md") all.push_back(entry.path());
  }
  return all;
}

// What a command prints, run in `folder` by a shell that finds the programs of this build; ends with its exit code.
std::pair<int, std::string> run_shell(const std::string& script, const TemporaryFolder& folder) {
  std::ofstream(folder / "script") << "set -e\nPATH=" << weft_binary().parent_path().string() << ":$PATH\n" << script;
  const std::string command = "cd " + (folder / "").string() + " && sh script > output 2>&1";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder / "output")};
}

TEST(Docs, BlocksOfShellRun) {
  int blocks = 0;
  for (const fs::path& document : documents()) {
    const TemporaryFolder folder;  // blocks of a document use files of those before
    for (const Block& block : blocks_of(document)) {
      if (block.language != "sh") continue;
      ++blocks;
      const auto [code, output] = run_shell(block.text, folder);
      EXPECT_EQ(code, 0) << document << ":\n" << block.text << output;
      // Failures that a script goes on after, as it does where a test is slower.
      EXPECT_EQ(output.find("error:"), output.npos) << document << ":\n" << block.text << output;
    }
  }
  EXPECT_GE(blocks, 4);
}

TEST(Docs, OtherCommandsHaveFlagsThatThereAre) {
  const TemporaryFolder folder;
  std::map<std::string, std::string> helps;
  int flags = 0;
  for (const fs::path& document : documents()) {
    for (const Block& block : blocks_of(document)) {
      if (!block.language.empty()) continue;
      std::istringstream lines(block.text);
      for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string command, word;
        std::vector<std::string> given;
        while (words >> word) {
          if (word[0] == '-') given.push_back(word.substr(0, word.find('=')));
          else if (given.empty()) command += word + " ";
        }
        const bool is_weft = command.starts_with("weft ");
        if (!is_weft && !command.starts_with("weft_bench ")) continue;
        if (!fs::exists(weft_binary().parent_path() / command.substr(0, command.find(' ')))) continue;
        if (!helps.contains(command)) {
          const auto [code, help] = run_shell(command + "--help", folder);
          EXPECT_EQ(code, 0) << line;
          helps[command] = help;
        }
        for (const std::string& flag : given) {
          ++flags;
          // "-m" is listed as "-m,--model", "--cache" as "--cache cold|warm".
          const std::string& help = helps[command];
          const bool listed = help.find(" " + flag + " ") != help.npos || help.find(" " + flag + ",") != help.npos ||
                              help.find("," + flag + " ") != help.npos || help.find(" " + flag + "=") != help.npos;
          EXPECT_TRUE(listed) << document << ": " << flag << " in: " << line << "\n" << help;
        }
      }
    }
  }
  EXPECT_GE(flags, 10);
}

TEST(Docs, WeftBenchRefusesWhatItDoesNotKnow) {
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
