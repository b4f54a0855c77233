// The documents for users, and the blocks of code in them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/test_data.h"

namespace weft::test {

// docs/*.md.
inline std::vector<std::filesystem::path> guides() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "docs")) {
    if (entry.path().extension() == ".md") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Those and README.md.
inline std::vector<std::filesystem::path> user_documents() {
  std::vector<std::filesystem::path> paths = guides();
  paths.push_back(source_dir() / "README.md");
  return paths;
}

struct CodeBlock {
  std::string language;  // "sh", "cpp"; empty where the document states none
  std::string code;      // its lines, each with a newline
};

inline std::vector<CodeBlock> code_blocks(const std::filesystem::path& document) {
  std::istringstream lines(read_file(document));
  std::vector<CodeBlock> blocks;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({line.substr(3), ""});
    } else if (inside) {
      blocks.back().code += line + "\n";
    }
  }
  return blocks;
}

// Expects that a guide whose text is generated, at least in part, is `expected`; or, with WEFT_WRITE_GUIDES=1, makes it
// so.
inline void expect_generated(const std::filesystem::path& guide, const std::string& expected) {
  const char* writes = std::getenv("WEFT_WRITE_GUIDES");
  if (writes != nullptr && *writes != '\0' && std::string(writes) != "0") {
    std::ofstream(guide, std::ios::binary) << expected;
    return;
  }
  const std::string text = read_file(guide);
  if (text == expected) return;
  std::istringstream has(text), wants(expected);
  std::string old_line, new_line;
  int line = 0;
  do {
    ++line;
    if (!std::getline(has, old_line)) old_line = "(its end)";
    if (!std::getline(wants, new_line)) new_line = "(its end)";
  } while (old_line == new_line && has && wants);
  ADD_FAILURE() << guide << ", line " << line << ", is not as generated. It has\n  " << old_line << "\nand not\n  "
                << new_line << "\nTo write it anew: WEFT_WRITE_GUIDES=1 ctest --preset release -R GeneratedGuides";
}

}  // namespace weft::test
