// Recognizes, by its first bytes, what a file is that was given in place of a model, for error messages.
#pragma once

#include <string>
#include <string_view>

namespace weft {

// For a file that its reader cannot read. `text`: the file, or at least its first kilobyte. Returns what it is and
// what to do about it, to follow its name: "is a Git LFS pointer, ...: get the file with `git lfs pull`". Empty if
// it is not recognized. GGUF and safetensors files are described too, for readers that want something else.
std::string describe_foreign(std::string_view text);

// For readers of plain text, which accept any text: throws Error with describe_foreign()'s text for a Git LFS
// pointer.
void refuse_lfs_pointer(std::string_view text, const std::string& path);

}  // namespace weft
