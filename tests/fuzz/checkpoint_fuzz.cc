// config.json, and after a line "---" model.safetensors.index.json, of a directory whose tensors are those of a
// small model: the model that they describe, or an Error. Without an index the directory has one file of tensors.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "models/registry.h"
#include "runtime/files/safetensors_writer.h"

namespace {

using namespace weft;
namespace fs = std::filesystem;
using Tensors = std::vector<SafetensorsWriter::Tensor>;

void require(bool condition) {
  if (!condition) std::abort();
}

// Two layers: 8 wide, 2 heads, 6 hidden, 5 tokens, 16 positions; matrices transposed.
Tensors gpt2_tensors() {
  const Format f32 = Format::f32;
  Tensors tensors = {{"transformer.wte.weight", f32, {5, 8}},
                     {"transformer.wpe.weight", f32, {16, 8}},
                     {"transformer.ln_f.weight", f32, {8}},
                     {"transformer.ln_f.bias", f32, {8}}};
  for (const char* layer : {"0", "1"}) {
    const std::string at = "transformer.h." + std::string(layer) + ".";
    for (const char* norm : {"ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"}) {
      tensors.push_back({at + norm, f32, {8}});
    }
    tensors.push_back({at + "attn.c_attn.weight", f32, {8, 24}}),
        tensors.push_back({at + "attn.c_attn.bias", f32, {24}});
    tensors.push_back({at + "attn.c_proj.weight", f32, {8, 8}}), tensors.push_back({at + "attn.c_proj.bias", f32, {8}});
    tensors.push_back({at + "mlp.c_fc.weight", f32, {8, 6}}), tensors.push_back({at + "mlp.c_fc.bias", f32, {6}});
    tensors.push_back({at + "mlp.c_proj.weight", f32, {6, 8}}), tensors.push_back({at + "mlp.c_proj.bias", f32, {8}});
  }
  return tensors;
}

// Two layers: 8 wide, 2 heads and 1 for keys and values, 6 hidden, 5 tokens.
Tensors tensors_of(std::string_view architecture) {
  if (architecture == "gpt2") return gpt2_tensors();
  const Format f32 = Format::f32;
  Tensors tensors = {
      {"model.embed_tokens.weight", f32, {5, 8}}, {"model.norm.weight", f32, {8}}, {"lm_head.weight", f32, {5, 8}}};
  for (const char* layer : {"0", "1"}) {
    const std::string at = "model.layers." + std::string(layer) + ".";
    tensors.push_back({at + "input_layernorm.weight", f32, {8}});
    tensors.push_back({at + "post_attention_layernorm.weight", f32, {8}});
    for (const auto& [name, rows] : {std::pair{"q", 8}, {"k", 4}, {"v", 4}}) {
      tensors.push_back({at + "self_attn." + name + "_proj.weight", f32, {rows, 8}});
      if (architecture == "qwen2") tensors.push_back({at + "self_attn." + name + "_proj.bias", f32, {rows}});
    }
    tensors.push_back({at + "self_attn.o_proj.weight", f32, {8, 8}});
    if (architecture == "mixtral") {
      tensors.push_back({at + "block_sparse_moe.gate.weight", f32, {2, 8}});
      for (const char* expert : {"experts.0.", "experts.1."}) {
        for (const char* name : {"w1", "w3"}) {
          tensors.push_back({at + "block_sparse_moe." + expert + name + ".weight", f32, {6, 8}});
        }
        tensors.push_back({at + "block_sparse_moe." + expert + "w2.weight", f32, {8, 6}});
      }
    } else {
      for (const char* name : {"gate", "up"}) {
        tensors.push_back({at + "mlp." + name + "_proj.weight", f32, {6, 8}});
      }
      tensors.push_back({at + "mlp.down_proj.weight", f32, {8, 6}});
    }
  }
  return tensors;
}

void write(const fs::path& path, const Tensors& tensors) {
  SafetensorsWriter writer(path, tensors);
  for (size_t i = 0; i < tensors.size(); ++i) {
    size_t elements = 1;
    for (const int64_t extent : tensors[i].extents) elements *= static_cast<size_t>(extent);
    const std::vector<float> values(elements, 0.5f);
    writer.write(i, 0, std::as_bytes(std::span(values)));
  }
  writer.finish();
}

// A directory per architecture, with one file of tensors or with two; they go when the program ends.
class Directories {
 public:
  Directories() : root_(fs::temp_directory_path() / ("weft-checkpoint-fuzz-" + std::to_string(::getpid()))) {
    for (const char* architecture : {"llama", "qwen2", "mixtral", "gpt2"}) {
      const Tensors all = tensors_of(architecture);
      fs::create_directories(path(architecture, false)), fs::create_directories(path(architecture, true));
      write(path(architecture, false) / "model.safetensors", all);
      write(path(architecture, true) / "a.safetensors", Tensors(all.begin(), all.begin() + 4));
      write(path(architecture, true) / "b.safetensors", Tensors(all.begin() + 4, all.end()));
    }
  }
  ~Directories() {
    std::error_code error;
    fs::remove_all(root_, error);
  }
  Directories(const Directories&) = delete;
  Directories& operator=(const Directories&) = delete;
  fs::path path(std::string_view architecture, bool sharded) const {
    return root_ / (std::string(architecture) + (sharded ? "-sharded" : ""));
  }

 private:
  fs::path root_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Directories directories;
  constexpr std::string_view kSeparator = "---\n";
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view config = text.substr(0, text.find(kSeparator));
  const std::string_view index = text.substr(std::min(config.size() + kSeparator.size(), size));
  const auto mentions = [&](std::string_view name) { return config.find(name) != config.npos; };
  const fs::path directory = directories.path(mentions("mixtral") ? "mixtral"
                                              : mentions("qwen2") ? "qwen2"
                                              : mentions("gpt2")  ? "gpt2"
                                                                  : "llama",
                                              !index.empty());
  std::ofstream(directory / "config.json", std::ios::binary) << config;
  if (!index.empty()) std::ofstream(directory / "model.safetensors.index.json", std::ios::binary) << index;
  try {
    const auto checkpoint = Checkpoint::open(directory);
    require(!checkpoint->tensors().empty());
    for (const CheckpointTensor& tensor : checkpoint->tensors()) require(checkpoint->find(tensor.name) == &tensor);
    const LanguageModel model = load_model(checkpoint);
    require(model.graph != nullptr && model.vocab == 5 && model.context_length > 0);
  } catch (const Error&) {
  }
  return 0;
}
