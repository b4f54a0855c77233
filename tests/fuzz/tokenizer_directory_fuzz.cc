// The small files of a directory, separated by lines "---": tokenizer_config.json, generation_config.json, config.json,
// vocab.json, merges.txt. A tokenizer whose texts and ids hold together, or an Error.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "core/error.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/fuzz/tokenizer_checks.h"

namespace {

// Goes when the program ends.
class Directory {
 public:
  Directory() : path_(std::filesystem::temp_directory_path() / ("weft-tokenizer-fuzz-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Directory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  static const Directory directory;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* name :
       {"tokenizer_config.json", "generation_config.json", "config.json", "vocab.json", "merges.txt"}) {
    constexpr std::string_view kSeparator = "---\n";
    const std::string_view content = rest.substr(0, rest.find(kSeparator));
    rest.remove_prefix(std::min(content.size() + kSeparator.size(), rest.size()));
    if (content.empty()) {
      std::filesystem::remove(directory.path() / name);
    } else {
      std::ofstream(directory.path() / name, std::ios::binary) << content;
    }
  }
  try {
    fuzz::check(*load_tokenizer(directory.path()));
  } catch (const Error&) {
  }
  return 0;
}
