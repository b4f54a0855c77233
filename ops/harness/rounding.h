// What kernels of Precision::fast round, for the reference that does the same (ops/contract/reference.h).
#pragma once

#include <cstdint>

namespace weft::reference {

// Left-hand rows to int8, in blocks; or both sides to bf16.
enum class Rounding : uint8_t { none, int8, bf16 };
// By the number of left-hand rows that meet the same right-hand rows, ascending.
struct RoundedRows {
  int64_t last_rows;
  Rounding rounding;
  bool operator==(const RoundedRows&) const = default;
};

}  // namespace weft::reference
