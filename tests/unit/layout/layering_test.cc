// A folder uses those above it in the order core <- ops <- {runtime, gpu} <- models <- {tools, bench}, no others.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "tests/test_data.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> kMayUse = {
    {"core", {"core"}},
    {"ops", {"core", "ops"}},
    {"runtime", {"core", "ops", "runtime", "gpu"}},
    {"gpu", {"core", "ops", "gpu", "runtime"}},
    {"models", {"core", "ops", "runtime", "gpu", "models"}},
    {"tools", {"core", "ops", "runtime", "gpu", "models", "tools"}},
    {"bench", {"core", "ops", "runtime", "gpu", "models", "bench"}},
    {"examples", {"core", "ops", "runtime", "gpu", "models", "examples"}},
};

TEST(Layering, FoldersIncludeOnlyWhatIsAboveThem) {
  int includes = 0;
  for (const auto& [folder, allowed] : kMayUse) {
    if (!fs::exists(test::source_dir() / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("#include \"")) continue;
        const std::string path = line.substr(10, line.find('"', 10) - 10);
        const size_t slash = path.find('/');
        if (slash == std::string::npos || !kMayUse.contains(path.substr(0, slash))) continue;
        ++includes;
        EXPECT_TRUE(allowed.contains(path.substr(0, slash))) << entry.path() << " includes " << path;
      }
    }
  }
  EXPECT_GT(includes, 100);
}

// No record, enum or kernel knows a model by name: architectures live in models/ alone.
TEST(Layering, NothingBelowModelsIsNamedAfterOne) {
  const std::vector<std::string> names = {"llama", "mistral", "mixtral", "qwen"};
  for (const std::string folder : {"core", "ops", "gpu"}) {
    for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() / folder)) {
      if (!entry.is_regular_file()) continue;
      std::string text = test::read_file(entry.path());
      std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
      for (const std::string& name : names) {
        EXPECT_EQ(text.find(name), std::string::npos) << entry.path() << " mentions " << name;
      }
    }
  }
}

// Nor does what reads, converts and runs files: models/NAME.h declares it. Names that formats define are exempt: of
// tokenizers, and of architectures in the rules of llama.cpp's quantization mixes.
TEST(Layering, FamiliesAreNamedInModelsAlone) {
  const std::vector<std::string> names = {"mistral", "mixtral", "qwen", "gemma"};
  const std::set<std::string> exempt = {"convert_tokenizer.cc", "quantize_mix.cc", "common.cc"};
  for (const std::string folder : {"runtime", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      if (entry.path().parent_path().filename() == "tokenizer" || exempt.contains(entry.path().filename())) continue;
      std::string text = test::read_file(entry.path());
      std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
      for (const std::string& name : names) {
        EXPECT_EQ(text.find(name), std::string::npos) << entry.path() << " mentions " << name;
      }
    }
  }
}

TEST(Layering, ModelFilesAreShort) {
  for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() / "models")) {
    if (entry.path().extension() != ".h") continue;
    const std::string text = test::read_file(entry.path());
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 100) << entry.path();
  }
}

}  // namespace
}  // namespace weft
