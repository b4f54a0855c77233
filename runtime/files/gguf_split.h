// Models in several GGUF files, as llama.cpp's gguf-split writes them: PREFIX-00001-of-00003.gguf and so on. Each
// has these keys and its share of the tensors; the other metadata are in the first part.
// https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

inline constexpr std::string_view kSplitNo = "split.no";                  // u16, counted from 0
inline constexpr std::string_view kSplitCount = "split.count";            // u16, of the parts; 0 or 1: a whole file
inline constexpr std::string_view kSplitTensors = "split.tensors.count";  // i32, of all parts together
inline constexpr uint32_t kMaxSplits = 65535;

// The name of a part.
struct SplitName {
  std::filesystem::path prefix;  // including the folder
  uint32_t no = 0;               // counted from 0
  uint32_t count = 0;
};

// "-00001-of-00003.gguf" for part 0 of 3.
std::string split_suffix(uint32_t no, uint32_t count);
std::filesystem::path split_path(const SplitName& name);

// Nothing for a name that does not end like that of a part.
std::optional<SplitName> parse_split_name(const std::filesystem::path& path);

// The one GGUF model in a folder: its file, or one of its parts. Empty if there is none; if there are several,
// throws Error, which lists them.
std::filesystem::path gguf_in(const std::filesystem::path& folder);

}  // namespace weft
