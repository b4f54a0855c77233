// Arbitrary bytes as the two parts of a split GGUF model: whichever is named, the same whole or an Error.
//
// An input is both parts, the second after the first of the separators.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "runtime/files/gguf.h"
#include "runtime/files/gguf_split.h"
#include "tests/fuzz/input_file.h"

namespace {

using namespace weft;
namespace fs = std::filesystem;

constexpr std::string_view kSeparator = "---\n";

void require(bool condition) {
  if (!condition) std::abort();
}

// Where links to the inputs are named like parts; it goes when the program ends.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("weft-gguf-split-fuzz-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path part(uint32_t no) const { return split_path({path_ / "m", no, 2}); }

 private:
  fs::path path_;
};

std::optional<GgufFile> open(const fs::path& path) {
  try {
    return GgufFile::open(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find(kSeparator), size), begin = std::min(end + kSeparator.size(), size);
  const fuzz::InputFile inputs[] = {{data, end}, {data + begin, size - begin}};
  for (uint32_t no : {0u, 1u}) {
    fs::remove(folder.part(no));
    fs::create_symlink(inputs[no].path(), folder.part(no));
  }
  const std::optional<GgufFile> first = open(folder.part(0)), second = open(folder.part(1));
  for (const auto* file : {&first, &second}) {
    if (!*file) continue;
    size_t tensors = 0;
    for (const GgufPart& part : (*file)->parts()) tensors += part.tensors;
    require(tensors == (*file)->tensors().size());
    for (const GgufTensor& tensor : (*file)->tensors()) {
      require((*file)->find_tensor(tensor.name) == &tensor);
      require(tensor.offset <= tensor.file->size() && tensor.bytes <= tensor.file->size() - tensor.offset);
      require(tensor.data == tensor.file->data() + tensor.offset);
    }
  }
  // A whole file may stand beside one that asks for it.
  if (first && second && (first->parts().size() == 2 || second->parts().size() == 2)) {
    require(first->parts().size() == 2 && second->parts().size() == 2);
    require(first->tensors().size() == second->tensors().size() &&
            first->metadata().size() == second->metadata().size());
  }
  return 0;
}
