// The documents for users, and the blocks of code in them.
#pragma once

#include <algorithm>
#include <filesystem>
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

}  // namespace weft::test
