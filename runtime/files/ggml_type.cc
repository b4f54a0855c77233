#include "runtime/files/ggml_type.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"

namespace weft {
namespace {

// All that ggml numbers; Format says of each of ours which it is.
struct Numbered {
  uint32_t id;
  std::string_view name;
  uint64_t block_elements, block_bytes;
};
constexpr Numbered kTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},    {41, "Q1_0", 128, 18},    {42, "Q2_0", 64, 18},
};

std::vector<GgmlType> all_types() {
  std::vector<GgmlType> types;
  for (const Numbered& type : kTypes) {
    const auto format = std::find_if(std::begin(kFloatFormats), std::end(kFloatFormats),
                                     [&](Format f) { return info(f).gguf_type == type.id; });
    types.push_back({type.id, type.name, type.block_elements, type.block_bytes, {}});
    if (format != std::end(kFloatFormats)) types.back().format = *format;
  }
  return types;
}

}  // namespace

const GgmlType* find_ggml_type(uint32_t id) {
  static const std::vector<GgmlType> types = all_types();
  const auto found = std::find_if(types.begin(), types.end(), [&](const GgmlType& type) { return type.id == id; });
  return found != types.end() ? &*found : nullptr;
}

uint32_t ggml_type_id(Format format) {
  if (const auto id = info(format).gguf_type) return *id;
  const std::string_view integer = format == Format::i32 ? "I32" : format == Format::bool8 ? "I8" : "";
  const auto type = std::ranges::find(kTypes, integer, &Numbered::name);
  if (type != std::end(kTypes)) return type->id;
  throw Error("GGUF files have no type for format " + std::string(name(format)));
}

}  // namespace weft
