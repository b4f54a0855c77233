// Where things live: rooms use only those that stand before them, model families are named in models/ alone, model
// files are short, and large folders say what is in them.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/test_data.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

using Names = std::set<std::string>;

// A folder with those in it that are no rooms themselves, or one file that others may use without the rest of its
// folder.
struct Room {
  std::string name;
  Names uses;
};

Names operator+(Names a, const Names& b) {
  a.insert(b.begin(), b.end());
  return a;
}

// Each room uses itself, and of those before it what is named. "ops/ops.h" is all declarations that it includes;
// "ops/harness" has the cases and the reference of each op.
const std::vector<Room>& rooms() {
  static const Names records = {"core", "core/format", "core/record"};
  static const Names expressions = {"core", "core/element.h", "core/expr"};
  static const Names kernels = records + Names{"ops", "ops/cpu"};
  static const Names plain_files = {"runtime/files/mapped_file", "runtime/files/output_file"};  // of no model
  static const Names files = plain_files + Names{"runtime/files"};
  static const std::vector<Room> all = {
      {"core", {}},
      {"core/format", {"core"}},
      {"core/record", {"core", "core/format"}},
      {"core/element.h", {"core/format", "core/record"}},
      {"core/tensor_view", {"core", "core/element.h"}},
      {"core/expr", records + Names{"core/element.h"}},
      {"ops/rope/frequencies.h", {}},
      {"ops/ops.h", expressions + Names{"ops/rope/frequencies.h"}},
      {"ops", records},  // step.h
      {"ops/rope/cpu.h", records},
      {"ops/select/cpu.h", {}},
      {"ops/cpu", records + Names{"ops", "ops/rope/cpu.h", "ops/rope/frequencies.h", "ops/select/cpu.h"}},
      {"ops/rope", kernels + Names{"ops/rope/cpu.h"}},
      {"ops/select", kernels + Names{"ops/select/cpu.h"}},
      {"ops/gather", kernels},
      {"ops/map", kernels},
      {"ops/reduce", kernels},
      {"ops/contract", kernels},
      {"ops/attention", kernels + Names{"ops/contract"}},
      {"ops/scan", kernels + Names{"ops/contract"}},
      {"ops/append", kernels + Names{"ops/contract"}},
      {"ops/plugin", kernels + expressions + Names{"ops/ops.h"}},  // formulas are expressions
      {"ops/harness", kernels + Names{"ops/plugin", "ops/rope/frequencies.h"}},
      {"gpu/device.h", {"core/record", "ops"}},
      {"gpu/lower", records + Names{"gpu/device.h", "ops", "ops/plugin"}},
      {"gpu", records + Names{"gpu/device.h", "gpu/lower", "ops", "ops/plugin", "ops/rope/frequencies.h"}},
      {"gpu/case_runner", {"core", "core/record", "gpu/device.h", "ops", "ops/harness"}},
      {"runtime/files/mapped_file", {"core"}},
      {"runtime/files/output_file", {"core"}},
      {"runtime/plan", records + plain_files + Names{"core/expr", "gpu/device.h", "ops", "ops/cpu", "ops/ops.h"}},
      {"runtime/files", records + plain_files + Names{"core/expr", "ops/ops.h", "ops/rope/frequencies.h"}},
      {"runtime/text/tokenizer", files + Names{"core"}},
      {"runtime/text/jinja", {"core", "runtime/files"}},
      {"runtime/text", {"core", "runtime/files", "runtime/text/jinja"}},
      {"runtime/generate",
       {"core", "core/record", "core/tensor_view", "ops", "runtime/files", "runtime/plan", "runtime/text/tokenizer"}},
      {"runtime/convert", files + Names{"core", "core/format", "runtime/text", "runtime/text/tokenizer"}},
      {"runtime/trace", records + files + Names{"ops/harness", "runtime/generate", "runtime/plan"}},
      {"models/axes.h", expressions},
      {"models/parts", expressions + Names{"models/axes.h", "ops/ops.h", "runtime/files"}},
      {"models", expressions + Names{"models/axes.h", "models/parts", "runtime/files"}},
      {"tools",
       files + Names{"core", "core/format", "gpu/case_runner", "gpu/device.h", "models", "ops", "ops/attention",
                     "ops/cpu", "ops/harness", "ops/plugin", "runtime/convert", "runtime/generate", "runtime/plan",
                     "runtime/text", "runtime/text/tokenizer", "runtime/trace"}},
      {"bench",
       {"core", "models", "models/axes.h", "ops", "ops/cpu", "ops/harness", "ops/ops.h", "runtime/files",
        "runtime/generate", "runtime/plan"}},
      {"examples", expressions + Names{"models", "models/axes.h", "models/parts", "ops/ops.h", "runtime/files",
                                       "runtime/generate", "runtime/plan"}},
  };
  return all;
}

std::vector<std::string> includes_of(const fs::path& file) {
  std::vector<std::string> paths;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#include \"")) paths.push_back(line.substr(10, line.find('"', 10) - 10));
  }
  return paths;
}

// The room of a path from the root; empty if it is in none.
std::string room_of(const std::string& path) {
  static const Names declarations = [] {
    Names names = {"ops/ops.h"};
    for (const std::string& included : includes_of(test::source_dir() / "ops/ops.h")) {
      if (included.starts_with("ops/")) names.insert(included);
    }
    return names;
  }();
  if (declarations.contains(path)) return "ops/ops.h";
  if (path.starts_with("ops/") &&
      (path.ends_with("/cases.h") || path.ends_with("_cases.h") || path.ends_with("/reference.h")))
    return "ops/harness";
  std::string longest;
  for (const auto& [name, uses] : rooms()) {
    const bool inside = path == name || path.starts_with(name + "/") || path.starts_with(name + ".");
    if (inside && name.size() > longest.size()) longest = name;
  }
  return longest;
}

// Calls visit(path, path from the root) for the C++ files below a folder.
template <class Visit>
void each_source(const std::string& folder, const Visit& visit) {
  for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() / folder)) {
    const std::string extension = entry.path().extension();
    if (extension == ".h" || extension == ".cc") {
      visit(entry.path(), fs::relative(entry.path(), test::source_dir()).generic_string());
    }
  }
}

const std::vector<std::string> kSources = {"core", "ops", "gpu", "runtime", "models", "tools", "bench", "examples"};

TEST(Layering, RoomsUseOnlyThoseBeforeThem) {
  Names before;
  for (const auto& [name, uses] : rooms()) {
    for (const std::string& used : uses) EXPECT_TRUE(before.contains(used)) << name << " uses " << used;
    before.insert(name);
  }
}

TEST(Layering, FilesIncludeOnlyWhatTheirRoomUses) {
  std::map<std::string, Names> allowed;
  for (const auto& [name, uses] : rooms()) allowed[name] = uses + Names{name};
  int includes = 0;
  for (const std::string& folder : kSources) {
    each_source(folder, [&](const fs::path& file, const std::string& path) {
      const std::string room = room_of(path);
      ASSERT_NE(room, "") << path << " is in no room";
      for (const std::string& included : includes_of(file)) {
        if (!fs::exists(test::source_dir() / included)) continue;  // a library's
        ++includes;
        EXPECT_TRUE(allowed[room].contains(room_of(included)))
            << path << " includes " << included << ": " << room << " may not use " << room_of(included);
      }
    });
  }
  EXPECT_GT(includes, 500);
}

// Architectures live in models/ alone; what a loader, a converter or a kernel needs to know of one, models/NAME.h
// declares. Names that file formats define are the formats': values of tokenizer.ggml.model and .pre, of
// tokenizer_class, and of rope_scaling.rope_type ("llama3").
TEST(Layering, FamiliesAreNamedInModelsAlone) {
  const std::vector<std::string> families = {"llama", "mistral", "mixtral", "qwen", "gemma"};
  const std::vector<std::string> others = {"llama.cpp", "llama-quant.cpp", "llama-bench", "llamabench",
                                           "llama3"};  // programs, a way of scaling
  const Names exempt = {
      "runtime/convert/convert_tokenizer.cc",           // writes tokenizer.ggml.model and .pre
      "runtime/text/tokenizer/load_tokenizer.cc",       // reads tokenizer_class
      "runtime/text/tokenizer/pre_tokenizer.cc",        // the patterns of tokenizer.ggml.pre
      "runtime/text/tokenizer/pre_tokenizer.h",         //
      "runtime/text/tokenizer/pre_tokenizer_names.cc",  // its values
      "runtime/text/tokenizer/spm_tokenizer.h",         // tokenizer.ggml.model
      "runtime/text/tokenizer/tiktoken.cc",             // the one list of base64 tokens that there is
      "runtime/text/tokenizer/tokenizer.cc",            // tokenizer.ggml.model
      "runtime/text/tokenizer/tokenizer.h",             //
      "runtime/text/tokenizer/tokenizer_config.h",      // tokenizer_class
      "runtime/text/tokenizer/tokenizer_model.h",       // as tiktoken.cc
      "tools/common.cc",                                // --pre-tokenizer, with tokenizer.ggml.pre's values
  };
  Names used;
  for (const std::string folder : {"core", "ops", "gpu", "runtime", "tools", "bench"}) {
    each_source(folder, [&](const fs::path& file, const std::string& path) {
      std::string text = test::read_file(file);
      std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
      for (const std::string& other : others) {
        for (size_t at; (at = text.find(other)) != std::string::npos;) text.erase(at, other.size());
      }
      for (const std::string& family : families) {
        if (text.find(family) == std::string::npos) continue;
        if (exempt.contains(path)) used.insert(path);
        else ADD_FAILURE() << path << " mentions " << family;
      }
    });
  }
  EXPECT_EQ(used, exempt) << "an exemption that is not needed";
}

TEST(Layering, ModelFilesAreShort) {
  for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() / "models")) {
    if (entry.path().extension() != ".h") continue;
    const std::string text = test::read_file(entry.path());
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 100) << entry.path();
  }
}

// What a README names in backquotes: "graph.h" of its folder, "ops/step.h" from the root, "models/" a folder.
std::vector<std::string> names_in(const std::string& readme) {
  static const std::regex quoted("`([a-z0-9_][a-z0-9_/.-]*(?:\\.(?:h|cc|cl|py|cmake|md|json)|/))`");
  std::vector<std::string> names;
  for (auto at = std::sregex_iterator(readme.begin(), readme.end(), quoted); at != std::sregex_iterator(); ++at) {
    names.push_back((*at)[1]);
  }
  return names;
}

// Folders of data, which the README above them describes as a whole.
bool is_data(const std::string& path) {
  return path.starts_with("tests/data") || path.starts_with("tests/fuzz/corpus") || path.starts_with("tests/golden/");
}

TEST(Layering, LargeFoldersSayWhatIsInThem) {
  std::vector<std::string> folders;
  for (const std::string top : {"core", "ops", "gpu", "runtime", "models", "tools", "bench", "examples", "tests"}) {
    folders.push_back(top);
    for (const auto& entry : fs::recursive_directory_iterator(test::source_dir() / top)) {
      if (entry.is_directory()) folders.push_back(fs::relative(entry.path(), test::source_dir()).generic_string());
    }
  }
  int readmes = 0;
  for (const std::string& folder : folders) {
    const fs::path path = test::source_dir() / folder;
    const auto files = std::count_if(fs::directory_iterator(path), {}, [](const auto& entry) {
      return entry.is_regular_file() && entry.path().filename() != "README.md";
    });
    const fs::path readme = path / "README.md";
    if (!fs::exists(readme)) {
      // One README may serve a folder and those below.
      const fs::path above = test::source_dir() / fs::path(folder).begin()->string() / "README.md";
      const bool named = fs::exists(above) && test::read_file(above).find("`" + folder + "/`") != std::string::npos;
      EXPECT_TRUE(files <= 10 || is_data(folder) || named) << folder << " has " << files << " files and no README.md";
      continue;
    }
    ++readmes;
    const std::string text = test::read_file(readme);
    EXPECT_GE(std::count(text.begin(), text.end(), '\n'), 5) << readme;
    if (is_data(folder) || folder.starts_with("tools/")) continue;  // names of what scripts make, and of packages
    for (const std::string& name : names_in(text)) {
      EXPECT_TRUE(fs::exists(path / name) || fs::exists(test::source_dir() / name)) << readme << " names " << name;
    }
  }
  EXPECT_GT(readmes, 10);
}

}  // namespace
}  // namespace weft
