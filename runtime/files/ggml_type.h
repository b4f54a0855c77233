// The tensor types that GGUF files number as ggml does.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/format/format.h"

namespace weft {

struct GgmlType {
  uint32_t id;
  std::string_view name;
  uint64_t block_elements;
  uint64_t block_bytes;
  std::optional<Format> format;  // nothing: known, so that a file can be listed and checked, but not readable
};

// Null for an id that ggml does not have (or has retired).
const GgmlType* find_ggml_type(uint32_t id);

// The id of what a format is stored as: of i32 that of I32, of bool8 that of I8. Throws Error for a format that GGUF
// files do not have.
uint32_t ggml_type_id(Format format);

}  // namespace weft
