// The C++ blocks of README.md and docs/*.md compile; what documents link to is there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/documents.h"
#include "tests/test_data.h"

namespace weft {
namespace {

TEST(Documents, CodeBlocksCompile) {
  if (std::system("g++-12 --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "g++-12 is not installed";
  int blocks = 0;
  for (const std::filesystem::path& document : test::user_documents()) {
    for (const test::CodeBlock& block : test::code_blocks(document)) {
      if (block.language != "cpp") continue;
      const auto path = std::filesystem::temp_directory_path() / ("weft_document_" + std::to_string(++blocks) + ".cc");
      std::ofstream(path) << block.code;
      const std::string command = "g++-12 -std=c++20 -Wall -Wextra -Werror -Wno-unused-variable -fsyntax-only -I" +
                                  test::source_dir().string() + " " + path.string();
      EXPECT_EQ(std::system(command.c_str()), 0) << document << ":\n" << block.code;
      std::filesystem::remove(path);
    }
  }
  EXPECT_GE(blocks, 2);
}

TEST(Documents, AreShort) {
  for (const std::filesystem::path& document : test::user_documents()) {
    const std::string text = test::read_file(document);
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), document.filename() == "README.md" ? 180 : 300) << document;
  }
}

// A document without its code.
std::string prose_of(const std::filesystem::path& path) {
  std::istringstream lines(test::read_file(path));
  std::string text;
  bool code = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) code = !code;
    else if (!code) text += std::regex_replace(line, std::regex("`[^`]*`"), "code") + "\n";
  }
  EXPECT_FALSE(code) << path << " has a block of code without an end";
  return text;
}

// What `#NAME` may name in a document: its headings in lower case, with dashes for spaces and no other punctuation.
std::set<std::string> anchors_of(const std::filesystem::path& path) {
  std::istringstream lines(prose_of(path));
  std::set<std::string> anchors;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("#")) continue;
    std::string anchor;
    for (const char c : line.substr(std::min(line.find(' ') + 1, line.size()))) {
      const auto byte = static_cast<unsigned char>(c);
      if (std::isalnum(byte) || c == '-' || c == '_') anchor += static_cast<char>(std::tolower(byte));
      if (c == ' ') anchor += '-';
    }
    anchors.insert(anchor);
  }
  return anchors;
}

TEST(Documents, LinksLeadSomewhere) {
  namespace fs = std::filesystem;
  int documents = 0, links = 0;
  for (fs::recursive_directory_iterator entry(test::source_dir()), end; entry != end; ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory() && (name.starts_with(".") || name == "build")) entry.disable_recursion_pending();
    if (!entry->is_regular_file() || entry->path().extension() != ".md") continue;
    ++documents;
    const std::string text = prose_of(entry->path());
    const std::regex link("\\]\\(([^)#\\s]*)(#[^)\\s]*)?\\)");
    for (std::sregex_iterator match(text.begin(), text.end(), link), none; match != none; ++match) {
      const std::string target = (*match)[1], anchor = (*match)[2];
      if (target.find("://") != std::string::npos) continue;
      ++links;
      const fs::path path = target.empty() ? entry->path() : entry->path().parent_path() / target;
      EXPECT_TRUE(fs::exists(path)) << entry->path() << " links to " << target;
      if (!anchor.empty() && fs::exists(path)) {
        const bool found = anchors_of(path).contains(anchor.substr(1));
        EXPECT_TRUE(found) << entry->path() << " links to " << target << anchor;
      }
    }
  }
  EXPECT_GE(documents, 6);
  EXPECT_GE(links, 15);
}

}  // namespace
}  // namespace weft
