// Model files with random weights.
#pragma once

#include <filesystem>

#include "models/shapes.h"
#include "runtime/convert/quantize_mix.h"

namespace weft::tools {

// Writes a GGUF file of this shape whose matrices have the formats that `weft quantize` would give them. The weights
// are random and of a size that keeps all values finite; a few MiB of them are drawn, and repeated. The file has no
// tokenizer. Throws Error where it cannot be written, or where the disk has no room for it.
void write_random_model(const ModelShape& shape, const QuantizeTarget& type, const std::filesystem::path& path);

}  // namespace weft::tools
