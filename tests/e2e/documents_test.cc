// The commands in docs/*.md. Blocks of "sh" run as they are, those of a document in turn, in a folder that has models/
// and examples/ as the repository does. Other blocks, and commands within a paragraph, may name files and machines that
// a test lacks: of them only the flags are checked.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "tests/command.h"
#include "tests/documents.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;

TEST(Documents, BlocksOfShellCommandsRun) {
  int blocks = 0;
  for (const fs::path& document : guides()) {
    const TemporaryFolder folder;
    for (const char* shared : {"models", "examples"}) fs::create_symlink(source_dir() / shared, folder / shared);
    for (const CodeBlock& block : code_blocks(document)) {
      if (block.language != "sh") continue;
      ++blocks;
      std::ofstream(folder / "block.sh") << "set -euo pipefail\n" << block.code;
      const std::string command = "cd '" + (folder / "").string() + "' && PATH='" +
                                  weft_binary().parent_path().string() + "':$PATH bash block.sh > out 2> err";
      EXPECT_EQ(std::system(command.c_str()), 0) << document << ":\n" << block.code << read_file(folder / "err");
    }
  }
  EXPECT_GE(blocks, 3);
}

// The lines of blocks of all kinds, and what stands between backquotes.
std::vector<std::string> commands_in(const fs::path& document) {
  std::vector<std::string> commands;
  const auto add_matches = [&](const std::string& text, const std::regex& command) {
    for (std::sregex_iterator match(text.begin(), text.end(), command), none; match != none; ++match) {
      commands.push_back((*match)[1]);
    }
  };
  // Commands may continue in the next line, follow a prompt or a pipe, and have a comment.
  for (const CodeBlock& block : code_blocks(document)) {
    add_matches(std::regex_replace(block.code, std::regex("\\\\\n"), " "),
                std::regex("(?:^|\n|[$|;&] )(weft [^\n|;&#]*)"));
  }
  add_matches(read_file(document), std::regex("`(weft [^`]*)`"));
  return commands;
}

TEST(Documents, CommandsHaveTheFlagsThatTheyName) {
  std::map<std::string, std::string> help;
  int flags = 0;
  for (const fs::path& document : user_documents()) {
    for (const std::string& line : commands_in(document)) {
      std::istringstream words(std::regex_replace(line, std::regex("'[^']*'|\"[^\"]*\""), "TEXT"));
      std::string weft, command;
      words >> weft >> command;
      // Flags, or "[OPTIONS]", of the command itself.
      if (command.starts_with("-") || command.starts_with("[")) {
        command.clear();
        words.seekg(static_cast<std::streamoff>(weft.size()));
      }
      std::vector<std::string> arguments;
      if (!command.empty()) arguments.push_back(command);
      // A command of a command: "bench compare".
      const std::streampos behind = words.tellg();
      std::string second;
      words >> second;
      static const std::set<std::string> kSeconds = {"bench compare", "bench op", "kernel try"};
      if (kSeconds.contains(command + " " + second)) {
        arguments.push_back(second);
        command += " " + second;
      } else {
        words.clear();
        words.seekg(behind);
      }
      if (!help.contains(command)) {
        arguments.emplace_back("--help");
        const CommandResult result = run_weft(arguments);
        ASSERT_EQ(result.code, 0) << document << ": " << line << "\n" << result.err;
        help[command] = result.out;
      }
      for (std::string word; words >> word;) {
        std::smatch flag;
        if (!std::regex_match(word, flag, std::regex("(-[A-Za-z]{1,3}|--[a-z][a-z0-9-]*)(?:=.*)?"))) continue;
        ++flags;
        // As in "  -m,--model MODEL" and "(also -ctk)".
        const std::regex defined("[\\s,(]" + flag[1].str() + "[\\s,):\\[]");
        EXPECT_TRUE(std::regex_search(help[command], defined)) << document << ": " << line << "\nhas no " << word;
      }
    }
  }
  EXPECT_GE(flags, 60);
}

}  // namespace
}  // namespace weft::test
