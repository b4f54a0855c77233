// Guides with generated parts: docs/command.md and docs/command_measure.md have the help of all commands, docs/plan.md
// has what the passes print for examples/06_passes.cc. WEFT_WRITE_GUIDES=1 makes these tests write them.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/plan/plan.h"
#include "tests/command.h"
#include "tests/documents.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;

// --- docs/command.md, docs/command_measure.md ---

struct Row {
  std::string name;  // "-m,--model MODEL"
  std::string text;
  bool operator==(const Row&) const = default;
};

// What `weft COMMAND --help` says.
struct Help {
  std::string command;  // "weft bench op"
  std::string description, usage, footer;
  std::vector<Row> rows;  // positionals, then options
  std::vector<std::string> subcommands;
};

constexpr size_t kTextColumn = 30;

// "  -t,--threads N              The most CPU threads": long names are on a line of their own.
std::vector<Row> rows_of(const std::vector<std::string>& lines) {
  std::vector<Row> rows;
  const auto continues = [&](size_t i) {
    return i < lines.size() && lines[i].starts_with(std::string(kTextColumn, ' '));
  };
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    Row row;
    if (line.size() > kTextColumn &&
        (line[kTextColumn - 1] != ' ' || (continues(i + 1) && line.find("  ", 2) == line.npos))) {
      row.name = line.substr(2);
    } else {
      row.name = line.substr(2, kTextColumn - 2);
      if (line.size() > kTextColumn) row.text = line.substr(kTextColumn);
    }
    row.name.erase(row.name.find_last_not_of(' ') + 1);
    for (; continues(i + 1); ++i) row.text += (row.text.empty() ? "" : " ") + lines[i + 1].substr(kTextColumn);
    // "--limits Excludes: --shape --model": in an order that depends on where they are in memory.
    for (const std::string relation : {"Excludes", "Needs"}) {
      const size_t at = row.name.find(" " + relation + ": ");
      if (at == row.name.npos) continue;
      std::istringstream words(row.name.substr(at + relation.size() + 3));
      std::vector<std::string> others{std::istream_iterator<std::string>(words), {}};
      std::sort(others.begin(), others.end());
      std::string list;
      for (const std::string& other : others) list += (list.empty() ? "" : ", ") + other;
      row.text += " (" + std::string(relation == "Needs" ? "needs " : "not with ") + list + ")";
      row.name.erase(at);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Help help_of(const std::vector<std::string>& words) {
  std::vector<std::string> arguments = words;
  arguments.emplace_back("--help");
  const CommandResult result = run_weft(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  Help help;
  help.command = "weft";
  for (const std::string& word : words) help.command += " " + word;
  std::istringstream lines(result.out);
  std::string line;
  while (std::getline(lines, line) && !line.starts_with("Usage: ")) help.description += line;
  help.usage = line.substr(std::min(line.size(), std::string("Usage: ").size()));
  std::map<std::string, std::vector<std::string>> sections;
  std::string section;
  while (std::getline(lines, line)) {
    if (line == "Positionals:" || line == "Options:" || line == "Subcommands:") section = line;
    else if (line.starts_with("  ")) sections[section].push_back(line);
    else if (!line.empty()) help.footer += line + "\n";
  }
  help.rows = rows_of(sections["Positionals:"]);
  for (Row& row : rows_of(sections["Options:"])) help.rows.push_back(std::move(row));
  for (const Row& row : rows_of(sections["Subcommands:"])) help.subcommands.push_back(row.name);
  return help;
}

// The text as Markdown shows it unchanged. What is between backquotes is so already.
std::string escaped(const std::string& text) {
  std::string result;
  bool code = false;
  for (const char c : text) {
    if (c == '`') code = !code;
    else if (c == '|' || (!code && std::string_view("\\*<>$[]").find(c) != std::string_view::npos)) result += '\\';
    result += c;
  }
  return result;
}

std::string table_of(const std::vector<Row>& rows) {
  std::string text = "| | |\n|---|---|\n";
  for (const Row& row : rows) {
    text += "| `" + std::regex_replace(row.name, std::regex("\\|"), "\\|") + "` | " + escaped(row.text) + " |\n";
  }
  return text;
}

// All commands, and commands of commands, each after the one it belongs to.
std::vector<Help> all_help() {
  std::vector<Help> all;
  const std::function<void(const std::vector<std::string>&)> add = [&](const std::vector<std::string>& words) {
    all.push_back(help_of(words));
    for (const std::string& subcommand : std::vector<std::string>(all.back().subcommands)) {
      std::vector<std::string> longer = words;
      longer.push_back(subcommand);
      add(longer);
    }
  };
  add({});
  return all;
}

// The commands are in two guides, as one would be too long: those that measure and compare are in the second.
bool is_in_second_guide(const std::string& command) {
  static const std::regex measures("weft (explain|trace|perplexity|compare|bench|kernel)( .*)?");
  return std::regex_match(command, measures);
}
constexpr std::string_view kGuides[] = {"command.md", "command_measure.md"};

std::string link_to(const std::string& command, const std::string& text) {
  return "[" + text + "](" + std::string(kGuides[is_in_second_guide(command)]) + "#" +
         std::regex_replace(command, std::regex(" "), "-") + ")";
}

// The rows that several commands have: of those with one name, what most have.
std::vector<Row> shared_rows(const std::vector<Help>& all) {
  const auto count = [&](const Row& row) {
    return std::ranges::count_if(all, [&](const Help& help) { return std::ranges::count(help.rows, row) > 0; });
  };
  const auto flag = [](const Row& row) { return row.name.substr(0, row.name.find_first_of(" =")); };
  std::vector<Row> shared;
  for (const Help& help : all) {
    for (const Row& row : help.rows) {
      if (count(row) < 2 || !row.name.starts_with("-")) continue;
      const auto same = std::ranges::find_if(shared, [&](const Row& other) { return flag(other) == flag(row); });
      if (same == shared.end()) shared.push_back(row);
      else if (count(row) > count(*same)) *same = row;
    }
  }
  return shared;
}

std::string in_markdown(const Help& help, const std::vector<Row>& shared) {
  std::vector<Row> own;
  std::string also;
  for (const Row& row : help.rows) {
    if (std::ranges::count(shared, row) == 0) own.push_back(row);
    else if (!row.name.starts_with("-h,") && row.name != "--help-all") {
      also += (also.empty() ? "`" : ", `") + row.name.substr(0, row.name.find_first_of(" =")) + "`";
    }
  }
  std::string description = escaped(help.description);
  if (description.ends_with('.')) description.pop_back();
  std::string text = "\n## " + help.command + "\n\n" + description + ": `" + help.usage + "`\n";
  for (const std::string& name : help.subcommands) {
    text += (name == help.subcommands.front() ? "\nCommands: " : ",\n") + link_to(help.command + " " + name, name);
  }
  if (!help.subcommands.empty()) text += ".\n";
  if (!own.empty()) text += "\n" + table_of(own);
  if (!also.empty())
    text += "\nAnd [options of several commands](command.md#options-of-several-commands): " + also + "\n";
  if (!help.footer.empty()) text += "\n" + escaped(help.footer);
  return text;
}

TEST(GeneratedGuides, CommandsSayWhatTheGuidesHave) {
  if (opencl_kernel_names().empty()) GTEST_SKIP() << "built without OpenCL, whose kernels the help names";
  const std::vector<Help> all = all_help();
  EXPECT_GE(all.size(), 17u);
  for (const Help& help : all) {
    EXPECT_FALSE(help.description.empty() || help.usage.empty()) << help.command;
    for (const Row& row : help.rows) EXPECT_FALSE(row.text.empty()) << help.command << " " << row.name;
  }
  const std::vector<Row> shared = shared_rows(all);
  for (const bool second : {false, true}) {
    const fs::path guide = source_dir() / "docs" / kGuides[second];
    const std::string text = read_file(guide);
    const std::string marker = "<!-- Generated from here on: tests/e2e/generated_guides_test.cc -->\n";
    const size_t at = text.find(marker);
    ASSERT_NE(at, text.npos) << guide;
    std::string expected = text.substr(0, at + marker.size());
    for (const Help& help : all) {
      if (is_in_second_guide(help.command) == second) expected += in_markdown(help, shared);
    }
    if (!second) expected += "\n## Options of several commands\n\n" + table_of(shared);
    expect_generated(guide, expected);
  }
}

// --- docs/plan.md ---

// A line that passes print, without what depends on the machine: kernels, their scratch, the layouts of weights that
// they read, and where values then lie.
std::string masked(std::string line) {
  static const std::regex kernel("^(  step [0-9]+ '[^']*': ).*");
  static const std::regex bytes("(weights: |arena of |scratch of |' at )[0-9]+");
  return std::regex_replace(std::regex_replace(line, kernel, "$1#"), bytes, "$1#");
}

// The guide's lines where they say the same.
std::string merged(const std::string& guide, const std::string& printed) {
  std::istringstream old_lines(guide), new_lines(printed);
  std::string text;
  for (std::string line, old; std::getline(new_lines, line);) {
    if (!std::getline(old_lines, old)) old.clear();
    text += (masked(old) == masked(line) ? old : line) + "\n";
  }
  return text;
}

// The guide has the program in a block of "cpp", and a block of "text" for each pass.
TEST(GeneratedGuides, PassesPrintWhatTheGuideHas) {
  const fs::path guide = source_dir() / "docs/plan.md",
                 program = fs::path(WEFT_BINARY_DIR) / "examples/example_06_passes";
  const TemporaryFolder folder;
  const std::string command = "'" + program.string() + "' > /dev/null 2> '" + (folder / "passes").string() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << read_file(folder / "passes");
  std::vector<std::string> passes;
  std::istringstream printed(read_file(folder / "passes"));
  for (std::string line; std::getline(printed, line);) {
    if (line.starts_with("pass ")) passes.emplace_back();
    ASSERT_FALSE(passes.empty()) << line;
    passes.back() += line + "\n";
  }

  std::string expected, block;
  std::string language;
  size_t pass = 0;
  std::istringstream lines(read_file(guide));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("```")) {
      (language.empty() ? expected : block) += line + "\n";
      continue;
    }
    if (language.empty()) {
      language = line;
    } else {
      if (language == "```cpp") block = read_file(source_dir() / "examples/06_passes.cc");
      if (language == "```text") block = pass < passes.size() ? merged(block, passes[pass]) : "";
      if (language == "```text") ++pass;
      expected += block;
      language.clear(), block.clear();
    }
    expected += line + "\n";
  }
  EXPECT_EQ(pass, passes.size()) << guide << " has a block for each pass";
  expect_generated(guide, expected);
}

}  // namespace
}  // namespace weft::test
