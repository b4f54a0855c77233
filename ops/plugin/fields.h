// What declarations of kernels have in common, in C++ and in OpenCL C.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/format/format.h"

namespace weft {

// Before the built-in rows of a table, or after them, where kernels run only if they are asked for.
enum class PluginPlace : unsigned char { first, last };
// Before and after what the built-in rows prefer.
constexpr int plugin_preference(PluginPlace place) { return place == PluginPlace::first ? 1000 : -1000; }

// Inputs of a formula that kernels take at most.
inline constexpr size_t kMostInputs = 16;

// Null: none.
std::vector<std::string> words_of(const char* text);
// The field 'widths' of an op's kernel: "64 128". Throws Error for what is no width.
std::vector<int64_t> widths_of(const char* text);
// The field 'formats' of a kernel of contractions: "Q4_0 Q8_0". The same.
std::vector<Format> formats_of(const char* text);

}  // namespace weft
