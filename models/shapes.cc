#include "models/shapes.h"

#include <algorithm>

#include "core/comma_list.h"

namespace weft {
namespace {

constexpr ModelShape::Parts kGemma2 = {.tied = true, .norms_after = true, .window = 4096};
constexpr ModelShape::Parts kGemma3 = {.tied = true, .head_norms = true, .norms_after = true, .window = 512};

// Of the published config.json files.
constexpr ModelShape kShapes[] = {
    // For tests.
    {"tiny", "llama", 2, 256, 512, 4, 2, 64, 512, 4096, 1e4f, 1e-5f, {}},
    {"tiny-moe", "llama", 2, 256, 256, 4, 2, 64, 512, 4096, 1e4f, 1e-5f, {.experts = 4, .chosen = 2}},
    {"tinyllama-1.1b", "llama", 22, 2048, 5632, 32, 4, 64, 32000, 2048, 1e4f, 1e-5f, {}},
    {"llama2-7b", "llama", 32, 4096, 11008, 32, 32, 128, 32000, 4096, 1e4f, 1e-5f, {}},
    {"llama3-8b", "llama", 32, 4096, 14336, 32, 8, 128, 128256, 8192, 5e5f, 1e-5f, {}},
    {"llama3-70b", "llama", 80, 8192, 28672, 64, 8, 128, 128256, 8192, 5e5f, 1e-5f, {}},
    {"llama3.2-1b", "llama", 16, 2048, 8192, 32, 8, 64, 128256, 131072, 5e5f, 1e-5f, {.tied = true}},
    {"mistral-7b", "llama", 32, 4096, 14336, 32, 8, 128, 32768, 32768, 1e6f, 1e-5f, {}},
    {"mixtral-8x7b", "llama", 32, 4096, 14336, 32, 8, 128, 32000, 32768, 1e6f, 1e-5f, {.experts = 8, .chosen = 2}},
    {"qwen2.5-0.5b", "qwen2", 24, 896, 4864, 14, 2, 64, 151936, 32768, 1e6f, 1e-6f, {.tied = true, .qkv_biases = true}},
    {"qwen2.5-7b", "qwen2", 28, 3584, 18944, 28, 4, 128, 152064, 32768, 1e6f, 1e-6f, {.qkv_biases = true}},
    {"qwen3-0.6b", "qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 40960, 1e6f, 1e-6f, {.tied = true, .head_norms = true}},
    {"qwen3-8b", "qwen3", 36, 4096, 12288, 32, 8, 128, 151936, 40960, 1e6f, 1e-6f, {.head_norms = true}},
    {"gemma2-2b", "gemma2", 26, 2304, 9216, 8, 4, 256, 256000, 8192, 1e4f, 1e-6f, kGemma2},
    {"gemma3-270m", "gemma3", 18, 640, 2048, 4, 1, 256, 262144, 32768, 1e6f, 1e-6f, kGemma3},
    {"gemma3-1b", "gemma3", 26, 1152, 6912, 4, 1, 256, 262144, 32768, 1e6f, 1e-6f, kGemma3},
};

}  // namespace

std::span<const ModelShape> model_shapes() { return kShapes; }

const ModelShape* find_model_shape(std::string_view name) {
  const auto* found = std::ranges::find(kShapes, name, &ModelShape::name);
  return found == std::end(kShapes) ? nullptr : found;
}

std::string model_shape_names() {
  std::vector<std::string_view> names;
  for (const ModelShape& shape : kShapes) names.push_back(shape.name);
  return comma_list(names);
}

std::vector<ShapeTensor> tensors_of(const ModelShape& shape) {
  std::vector<ShapeTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<size_t> extents, TensorRole role) {
    tensors.push_back({name, std::move(extents), role});
  };
  const size_t embed = shape.embed, hidden = shape.hidden, head = shape.head_dim;
  const size_t queries = shape.heads * head, keys = shape.kv_heads * head;
  add("token_embd.weight", {embed, shape.vocab}, TensorRole::matrix);
  for (uint32_t layer = 0; layer < shape.layers; ++layer) {
    const std::string in = "blk." + std::to_string(layer) + ".";
    add(in + "attn_norm.weight", {embed}, TensorRole::norm);
    add(in + "attn_q.weight", {embed, queries}, TensorRole::matrix);
    add(in + "attn_k.weight", {embed, keys}, TensorRole::matrix);
    add(in + "attn_v.weight", {embed, keys}, TensorRole::matrix);
    if (shape.parts.qkv_biases) {
      add(in + "attn_q.bias", {queries}, TensorRole::bias);
      add(in + "attn_k.bias", {keys}, TensorRole::bias);
      add(in + "attn_v.bias", {keys}, TensorRole::bias);
    }
    if (shape.parts.head_norms) {
      add(in + "attn_q_norm.weight", {head}, TensorRole::norm);
      add(in + "attn_k_norm.weight", {head}, TensorRole::norm);
    }
    add(in + "attn_output.weight", {queries, embed}, TensorRole::matrix);
    if (shape.parts.norms_after) add(in + "post_attention_norm.weight", {embed}, TensorRole::norm);
    add(in + "ffn_norm.weight", {embed}, TensorRole::norm);
    if (shape.parts.experts > 0) {
      add(in + "ffn_gate_inp.weight", {embed, shape.parts.experts}, TensorRole::router);
      add(in + "ffn_gate_exps.weight", {embed, hidden, shape.parts.experts}, TensorRole::matrix);
      add(in + "ffn_up_exps.weight", {embed, hidden, shape.parts.experts}, TensorRole::matrix);
      add(in + "ffn_down_exps.weight", {hidden, embed, shape.parts.experts}, TensorRole::matrix);
    } else {
      add(in + "ffn_gate.weight", {embed, hidden}, TensorRole::matrix);
      add(in + "ffn_up.weight", {embed, hidden}, TensorRole::matrix);
      add(in + "ffn_down.weight", {hidden, embed}, TensorRole::matrix);
    }
    if (shape.parts.norms_after) add(in + "post_ffw_norm.weight", {embed}, TensorRole::norm);
  }
  add("output_norm.weight", {embed}, TensorRole::norm);
  if (!shape.parts.tied) add("output.weight", {embed, shape.vocab}, TensorRole::matrix);
  return tensors;
}

GgufMetadata metadata_of(const ModelShape& shape) {
  GgufMetadata metadata;
  const std::string in = std::string(shape.architecture) + ".";
  metadata.set("general.architecture", shape.architecture);
  metadata.set("general.name", "random " + std::string(shape.name));
  metadata.set(in + "block_count", shape.layers);
  metadata.set(in + "context_length", shape.context);
  metadata.set(in + "embedding_length", shape.embed);
  metadata.set(in + "feed_forward_length", shape.hidden);
  metadata.set(in + "attention.head_count", shape.heads);
  metadata.set(in + "attention.head_count_kv", shape.kv_heads);
  metadata.set(in + "attention.key_length", shape.head_dim);
  metadata.set(in + "attention.value_length", shape.head_dim);
  metadata.set(in + "attention.layer_norm_rms_epsilon", shape.eps);
  metadata.set(in + "rope.freq_base", shape.rope_base);
  metadata.set(in + "rope.dimension_count", shape.head_dim);
  metadata.set(in + "vocab_size", shape.vocab);
  if (shape.parts.window > 0) metadata.set(in + "attention.sliding_window", shape.parts.window);
  if (shape.parts.experts > 0) {
    metadata.set(in + "expert_count", shape.parts.experts);
    metadata.set(in + "expert_used_count", shape.parts.chosen);
  }
  metadata.set("tokenizer.ggml.model", "no_vocab");  // llama.cpp then takes the size from vocab_size
  return metadata;
}

}  // namespace weft
