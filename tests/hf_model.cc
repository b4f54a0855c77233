#include "tests/hf_model.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "core/format/format.h"
#include "tests/gguf_writer.h"

namespace weft::test {

HfModel HfModel::random(const std::string& model_type, uint64_t seed) {
  HfModel model;
  model.config = {{"architectures", {"ForCausalLM"}},
                  {"model_type", model_type},
                  {"hidden_act", "silu"},
                  {"hidden_size", kEmbed},
                  {"intermediate_size", kHidden},
                  {"max_position_embeddings", 128},
                  {"num_attention_heads", kHeads},
                  {"num_hidden_layers", kLayers},
                  {"num_key_value_heads", kKvHeads},
                  {"rms_norm_eps", 1e-5},
                  {"rope_theta", 10000.0},
                  {"tie_word_embeddings", false},
                  {"torch_dtype", "float32"},
                  {"vocab_size", kVocab}};
  std::mt19937_64 generator(seed);
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, bool norm = false) {
    std::normal_distribution<float> normal(0, norm ? 0.2f : 2.0f / std::sqrt(static_cast<float>(shape.back())));
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = (norm ? 1.0f : 0.0f) + normal(generator);
    model.tensors[name] = {std::move(shape), std::move(values)};
  };
  add("model.embed_tokens.weight", {kVocab, kEmbed}), add("model.norm.weight", {kEmbed}, true);
  add("lm_head.weight", {kVocab, kEmbed});
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    add(at + "input_layernorm.weight", {kEmbed}, true), add(at + "post_attention_layernorm.weight", {kEmbed}, true);
    for (const auto& [name, rows] : {std::pair{"q", kHeads}, {"k", kKvHeads}, {"v", kKvHeads}}) {
      add(at + "self_attn." + name + "_proj.weight", {rows * kHeadDim, kEmbed});
      if (model_type == "qwen2") add(at + "self_attn." + name + "_proj.bias", {rows * kHeadDim});
    }
    add(at + "self_attn.o_proj.weight", {kEmbed, kHeads * kHeadDim});
    if (model_type == "mixtral") {
      model.config["num_local_experts"] = 4, model.config["num_experts_per_tok"] = 2;
      const std::string moe = at + "block_sparse_moe.";
      add(moe + "gate.weight", {4, kEmbed});
      for (int e = 0; e < 4; ++e) {
        const std::string expert = moe + "experts." + std::to_string(e) + ".";
        add(expert + "w1.weight", {kHidden, kEmbed}), add(expert + "w3.weight", {kHidden, kEmbed});
        add(expert + "w2.weight", {kEmbed, kHidden});
      }
    } else {
      add(at + "mlp.gate_proj.weight", {kHidden, kEmbed}), add(at + "mlp.up_proj.weight", {kHidden, kEmbed});
      add(at + "mlp.down_proj.weight", {kEmbed, kHidden});
    }
  }
  return model;
}

namespace {

// Takes tensors out and puts them below each other.
HfTensor taken_together(HfTensors& tensors, const std::vector<std::string>& names) {
  HfTensor all;
  for (const std::string& name : names) {
    const HfTensor one = tensors.extract(name).mapped();
    if (all.shape.empty()) all.shape = one.shape;
    else all.shape[0] += one.shape[0];
    all.values.insert(all.values.end(), one.values.begin(), one.values.end());
  }
  return all;
}

}  // namespace

void HfModel::fuse() {
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".", attention = at + "self_attn.";
    for (const std::string kind : {".weight", ".bias"}) {
      if (!tensors.contains(attention + "q_proj" + kind)) continue;
      tensors[attention + "qkv_proj" + kind] = taken_together(
          tensors, {attention + "q_proj" + kind, attention + "k_proj" + kind, attention + "v_proj" + kind});
    }
    tensors[at + "mlp.gate_up_proj.weight"] =
        taken_together(tensors, {at + "mlp.gate_proj.weight", at + "mlp.up_proj.weight"});
  }
}

void HfModel::stack_experts() {
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".", moe = at + "block_sparse_moe.";
    std::vector<std::string> gate_up, down;
    for (int e = 0; e < 4; ++e) {
      const std::string expert = moe + "experts." + std::to_string(e) + ".";
      gate_up.insert(gate_up.end(), {expert + "w1.weight", expert + "w3.weight"});
      down.push_back(expert + "w2.weight");
    }
    HfTensor both = taken_together(tensors, gate_up), downs = taken_together(tensors, down);
    both.shape = {4, 2 * kHidden, kEmbed}, downs.shape = {4, kEmbed, kHidden};
    tensors[at + "mlp.experts.gate_up_proj"] = std::move(both),
                 tensors[at + "mlp.experts.down_proj"] = std::move(downs);
    tensors[at + "mlp.gate.weight"] = tensors.extract(moe + "gate.weight").mapped();
  }
}

std::string HfModel::gguf(const std::function<void(GgufWriter&)>& more, const std::set<std::string>& without) const {
  GgufWriter w;
  w.string("general.architecture", "llama");
  const auto u32 = [&](const std::string& key, uint32_t value) {
    if (!without.contains(key)) w.u32("llama." + key, value);
  };
  const auto f32 = [&](const std::string& key, float value) {
    if (!without.contains(key)) w.f32("llama." + key, value);
  };
  u32("context_length", 128), u32("embedding_length", kEmbed), u32("block_count", kLayers);
  u32("feed_forward_length", kHidden), u32("attention.head_count", kHeads);
  u32("attention.head_count_kv", kKvHeads), f32("attention.layer_norm_rms_epsilon", 1e-5f);
  u32("rope.dimension_count", kHeadDim), f32("rope.freq_base", 10000.0f);
  if (config.contains("num_local_experts")) u32("expert_count", 4), u32("expert_used_count", 2);
  if (config.contains("sliding_window")) {
    u32("attention.sliding_window", config["sliding_window"].get<uint32_t>());
  }
  if (more) more(w);
  const auto add = [&](const std::string& to, const std::string& from, bool rotary = false) {
    HfTensor tensor = tensors.at(from);
    if (rotary) {
      // Row 2i + j of a head is what was its row j * half + i.
      const auto row = static_cast<size_t>(tensor.shape[1]), rows = static_cast<size_t>(tensor.shape[0]);
      constexpr size_t kHalf = kHeadDim / 2;
      const std::vector<float> old = tensor.values;
      for (size_t r = 0; r < rows; ++r) {
        const size_t head = r / kHeadDim * kHeadDim, in = r % kHeadDim;
        std::copy_n(&old[(head + in % 2 * kHalf + in / 2) * row], row, &tensor.values[r * row]);
      }
    }
    const std::string bytes(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float));
    w.tensor(to, {tensor.shape.rbegin(), tensor.shape.rend()}, 0, bytes);
  };
  add("token_embd.weight", "model.embed_tokens.weight"), add("output_norm.weight", "model.norm.weight");
  add("output.weight", "lm_head.weight");
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string to = "blk." + std::to_string(layer) + ".", at = "model.layers." + std::to_string(layer) + ".";
    add(to + "attn_norm.weight", at + "input_layernorm.weight");
    add(to + "ffn_norm.weight", at + "post_attention_layernorm.weight");
    add(to + "attn_q.weight", at + "self_attn.q_proj.weight", true),
        add(to + "attn_k.weight", at + "self_attn.k_proj.weight", true);
    add(to + "attn_v.weight", at + "self_attn.v_proj.weight"),
        add(to + "attn_output.weight", at + "self_attn.o_proj.weight");
    if (!config.contains("num_local_experts")) {
      add(to + "ffn_gate.weight", at + "mlp.gate_proj.weight"), add(to + "ffn_up.weight", at + "mlp.up_proj.weight");
      add(to + "ffn_down.weight", at + "mlp.down_proj.weight");
      continue;
    }
    add(to + "ffn_gate_inp.weight", at + "block_sparse_moe.gate.weight");
    for (int e = 0; e < 4; ++e) {  // a tensor per expert, as early files have it
      const std::string number = std::to_string(e), expert = at + "block_sparse_moe.experts." + number + ".";
      add(to + "ffn_gate." + number + ".weight", expert + "w1.weight"),
          add(to + "ffn_up." + number + ".weight", expert + "w3.weight");
      add(to + "ffn_down." + number + ".weight", expert + "w2.weight");
    }
  }
  return w.bytes();
}

std::string safetensors_bytes(const HfTensors& tensors, const std::string& type) {
  const Format format = type == "F16" ? Format::f16 : type == "BF16" ? Format::bf16 : Format::f32;
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data.resize(begin + row_bytes(format, tensor.values.size()));
    encode_row(format, tensor.values.data(), tensor.values.size(), data.data() + begin);
    header[name] = {{"dtype", type}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  return pod<uint64_t>(text.size()) + text + data;
}

TempDirectory::TempDirectory() {
  static std::atomic<int> count = 0;
  path_ = std::filesystem::temp_directory_path() /
          ("weft_test_dir_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
  std::filesystem::create_directories(path_);
}

TempDirectory::~TempDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

void TempDirectory::write(const std::string& file, const std::string& bytes) const {
  std::ofstream(path_ / file, std::ios::binary) << bytes;
}

void TempDirectory::write(const HfModel& model, const std::string& type, int shards) const {
  write("config.json", model.config.dump());
  if (shards == 1) return write("model.safetensors", safetensors_bytes(model.tensors, type));
  std::vector<HfTensors> parts(static_cast<size_t>(shards));
  nlohmann::json map;
  size_t next = 0;
  for (const auto& [name, tensor] : model.tensors) {
    const size_t shard = next++ % parts.size();
    parts[shard][name] = tensor;
    map[name] = "model-" + std::to_string(shard) + ".safetensors";
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    write("model-" + std::to_string(i) + ".safetensors", safetensors_bytes(parts[i], type));
  }
  write("model.safetensors.index.json", nlohmann::json{{"metadata", {}}, {"weight_map", map}}.dump());
}

}  // namespace weft::test
