// What a file is that was taken for a model: by its first bytes, for error messages.
#pragma once

#include <string>
#include <string_view>

namespace weft {

// For a file that is not what its reader reads. `text`: the file, or at least its first kilobyte. What it is and what
// to do about it, to follow its name: "is a Git LFS pointer, ...: get the file with `git lfs pull`". Empty for what is
// not recognized. A GGUF or safetensors file is described, too: a reader that wants it does not ask.
std::string describe_foreign(std::string_view text);

// For readers of plain text, who take any: throws Error, as describe_foreign() says it, for a Git LFS pointer.
void refuse_lfs_pointer(std::string_view text, const std::string& path);

}  // namespace weft
