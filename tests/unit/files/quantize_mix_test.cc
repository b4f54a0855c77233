// Which format each tensor gets where that depends on the model's family. tests/e2e/quantize_command_test.cc compares
// whole files with llama.cpp's.
#include "runtime/convert/quantize_mix.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/gguf_writer.h"

namespace weft::test {
namespace {

MixFacts facts_of(const std::string& architecture, uint32_t layers, uint32_t heads, uint32_t kv_heads) {
  GgufWriter writer;
  writer.string("general.architecture", architecture).u32(architecture + ".block_count", layers);
  writer.u32(architecture + ".attention.head_count", heads).u32(architecture + ".attention.head_count_kv", kv_heads);
  const TempFile file(writer.bytes());
  return mix_facts(GgufFile::open(file.path()));
}

Format format_of(const std::string& target, const MixFacts& facts, const std::string& tensor) {
  return choose_format(*find_quantize_target(target), facts, tensor, 8192).format;
}

// llama.cpp counts as 70B: LLaMA of 80 layers with fewer key heads than heads (with as many, it is the 65B of the
// first generation), and Qwen2 of 80 layers (its 72B).
TEST(QuantizeMix, WhichModelsAre70B) {
  EXPECT_TRUE(facts_of("llama", 80, 64, 8).is_70b);
  EXPECT_FALSE(facts_of("llama", 80, 64, 64).is_70b);
  EXPECT_FALSE(facts_of("llama", 32, 32, 8).is_70b);
  EXPECT_TRUE(facts_of("qwen2", 80, 64, 8).is_70b);
  EXPECT_TRUE(facts_of("qwen2", 80, 64, 64).is_70b);
  EXPECT_FALSE(facts_of("qwen2", 64, 40, 8).is_70b);
  EXPECT_FALSE(facts_of("gemma3", 80, 64, 8).is_70b);
  EXPECT_FALSE(facts_of("unknown", 80, 64, 8).is_70b);
}

// Their attention values, which many heads share, get more bits than those of other models.
TEST(QuantizeMix, ValuesOf70BGetMoreBits) {
  MixFacts large = facts_of("llama", 80, 64, 8), other = facts_of("gemma3", 80, 64, 8);
  large.value_tensors = other.value_tensors = 80;
  const std::string values = "blk.10.attn_v.weight";
  EXPECT_EQ(format_of("Q4_K_M", large, values), Format::q5_k);
  EXPECT_EQ(format_of("Q4_K_M", other, values), Format::q4_k);
  EXPECT_EQ(format_of("Q3_K_S", large, values), Format::q5_k);
  EXPECT_EQ(format_of("Q3_K_S", other, values), Format::q3_k);
  EXPECT_EQ(format_of("Q2_K_S", large, values), Format::q5_k);
  EXPECT_EQ(format_of("Q2_K_S", other, values), Format::q4_k);
  // What has more bits already keeps them, as do all other tensors.
  EXPECT_EQ(format_of("Q4_K_M", large, "blk.0.attn_v.weight"), Format::q6_k);
  EXPECT_EQ(format_of("Q5_K_S", large, values), Format::q5_k);
  EXPECT_EQ(format_of("Q4_K_M", large, "blk.10.attn_k.weight"), Format::q4_k);
  EXPECT_EQ(format_of("Q4_K_M", large, "blk.10.ffn_up.weight"), Format::q4_k);
  // A single format for all is one, for any model.
  EXPECT_EQ(format_of("Q4_K", large, values), Format::q4_k);
}

}  // namespace
}  // namespace weft::test
