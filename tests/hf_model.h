// Small models of random weights, written as a directory of safetensors with config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace weft::test {

class GgufWriter;

struct HfTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
using HfTensors = std::map<std::string, HfTensor>;

struct HfModel {
  nlohmann::json config;
  HfTensors tensors;
  static constexpr int kVocab = 40, kEmbed = 32, kHidden = 24, kHeads = 4, kKvHeads = 2, kHeadDim = 8, kLayers = 2;

  // model_type: "llama", "mistral", "mixtral" (4 experts, 2 chosen) or "qwen2".
  static HfModel random(const std::string& model_type, uint64_t seed = 1);
  // Per layer: the three of attention become qkv_proj, the two of the feed-forward network gate_up_proj.
  void fuse();
  // Mixtral: the matrices of all experts become 3-D tensors, gate above up.
  void stack_experts();
  // As a GGUF file of architecture "llama" has it, rows of Q and K in the order of its rotary pairs. `more` writes
  // further keys; those that `without` names are left out.
  std::string gguf(const std::function<void(GgufWriter&)>& more = {}, const std::set<std::string>& without = {}) const;
};

// One safetensors file. `type`: F32, F16 or BF16.
std::string safetensors_bytes(const HfTensors& tensors, const std::string& type = "F32");

// A directory that goes with the object.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& file, const std::string& bytes) const;
  // config.json and model.safetensors, or so many shards with their index.
  void write(const HfModel& model, const std::string& type = "F32", int shards = 1) const;

 private:
  std::filesystem::path path_;
};

}  // namespace weft::test
