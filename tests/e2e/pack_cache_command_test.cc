// --pack-cache: every command that runs a model writes packed weights and maps them, several processes at once too, and
// what is wrong with a file is a warning.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "tests/command.h"
#include "tests/errors.h"
#include "tests/test_data.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using test::run_weft;
using test::TemporaryFolder;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

bool warns(const CommandResult& result) { return result.err.find("warning") != result.err.npos; }

CommandResult generate(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"run", "-p", "It was a", "-n", "12", "--temp", "0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  CommandResult result = run_weft(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  return result;
}

TEST(PackCacheCommand, EveryCommandThatRunsAModelHasIt) {
  const TemporaryFolder folder;
  const std::string cache = (folder / "cache").string(), text = (folder / "text").string();
  std::ofstream(text) << "It was a truth universally acknowledged, that a single man must be in want of a wife.\n";
  const std::vector<std::vector<std::string>> commands = {
      {"run", "-p", "It was a", "-n", "2"},
      {"chat", "-n", "2"},
      {"logits", "-p", "It was a", "-o", (folder / "logits").string()},
      {"explain"},
      {"perplexity", "-f", text, "-c", "8"},
      {"bench", "-p", "4", "-n", "0", "-r", "1"},
      {"trace", "-p", "It was a", "-o", (folder / "trace").string()}};
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command[0]);
    EXPECT_CONTAINS(run_weft({command[0], "--help"}).out, "--pack-cache DIR");
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--pack-cache", cache});
    fs::remove_all(cache);
    for (int time = 0; time < 2; ++time) {
      const CommandResult result = run_weft(arguments, "Pray, who is she?\n");
      EXPECT_EQ(result.code, 0) << result.err;
      EXPECT_FALSE(warns(result)) << result.err;
      ASSERT_TRUE(fs::exists(cache));
      EXPECT_EQ(files_in(cache).size(), 1u);
    }
  }
  const CommandResult wrong = run_weft({"run", "-p", "x", "--pack-cache", ""});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_CONTAINS(wrong.err, "--pack-cache: the name of a folder is wanted, not an empty one");
  const CommandResult temporary = run_weft({"bench", "--shape", "tiny", "--pack-cache", cache});
  EXPECT_EQ(temporary.code, 2);
  EXPECT_CONTAINS(temporary.err,
                  "--pack-cache: is for models that stay: keep that of --shape with --keep, or name one");
}

TEST(PackCacheCommand, WarnsOfDamageAndOfFoldersThatCannotBeWritten) {
  const TemporaryFolder folder;
  const std::string cache = (folder / "cache").string();
  const CommandResult plain = generate({}), first = generate({"--pack-cache", cache});
  EXPECT_EQ(first.out, plain.out);
  EXPECT_FALSE(warns(first)) << first.err;
  const fs::path file = files_in(cache).at(0);
  const auto size = fs::file_size(file);
  {
    std::fstream damage(file, std::ios::binary | std::ios::in | std::ios::out);
    damage.seekp(static_cast<std::streamoff>(size / 2));
    damage.write("damage", 6);
  }
  const CommandResult damaged = generate({"--pack-cache", cache});
  EXPECT_EQ(damaged.out, plain.out);
  EXPECT_CONTAINS(damaged.err, "weft: warning: " + file.string() + ": is damaged: weight '");
  EXPECT_CONTAINS(damaged.err, "' has another checksum; weights are packed anew\n");
  const CommandResult again = generate({"--pack-cache", cache});
  EXPECT_EQ(again.out, plain.out);
  EXPECT_FALSE(warns(again)) << again.err;
  const CommandResult unwritable = generate({"--pack-cache", "/proc/none"});
  EXPECT_EQ(unwritable.out, plain.out);
  EXPECT_CONTAINS(unwritable.err, "weft: warning: /proc/none: cannot make this folder: ");
  EXPECT_CONTAINS(unwritable.err, "; packed weights are not kept\n");
}

TEST(PackCacheCommand, ProcessesMayWriteAtOnce) {
  const TemporaryFolder folder;
  const std::string cache = (folder / "cache").string(), out = (folder / "out").string();
  const CommandResult plain = generate({});
  std::string all;
  constexpr int kProcesses = 6;
  for (int i = 0; i < kProcesses; ++i) {
    all += test::weft_binary().string() + " run -p 'It was a' -n 12 --temp 0 --pack-cache " + cache + " > " + out +
           std::to_string(i) + " 2>> " + out + "-errors & ";
  }
  ASSERT_EQ(std::system((all + "wait").c_str()), 0);
  for (int i = 0; i < kProcesses; ++i) EXPECT_EQ(test::read_file(out + std::to_string(i)), plain.out) << i;
  EXPECT_EQ(test::read_file(out + "-errors").find("warning"), std::string::npos) << test::read_file(out + "-errors");
  ASSERT_EQ(files_in(cache).size(), 1u);
  EXPECT_CONTAINS(run_weft({"explain", "--pack-cache", cache}).out, " mapped from the pack cache\n");
}

// The commands of docs/generate.md, in a folder of the test; explain prints what stands behind its #.
TEST(PackCacheCommand, ExampleOfTheGuide) {
  const std::string guide = test::read_file(test::source_dir() / "docs/generate.md");
  const size_t begin = guide.find("weft run -p 'It was a' -n 24 --pack-cache packed\n");
  ASSERT_NE(begin, guide.npos);
  std::istringstream block(guide.substr(begin, guide.find("```", begin) - begin));
  const TemporaryFolder folder;
  std::string line;
  std::getline(block, line);
  EXPECT_EQ(run_weft({"run", "-p", "It was a", "-n", "24", "--pack-cache", (folder / "packed").string()}).code, 0);
  std::getline(block, line);
  const std::string command = "weft explain --pack-cache packed   # ";
  ASSERT_EQ(line.rfind(command, 0), 0u) << line;
  EXPECT_CONTAINS(run_weft({"explain", "--pack-cache", (folder / "packed").string()}).out,
                  "\n" + line.substr(command.size()) + "\n");
}

}  // namespace
}  // namespace weft
