// From a directory of safetensors to a GGUF file, as llama.cpp's converter does it: what a model's code declares
// when it is loaded, in GGUF's terms. https://github.com/ggml-org/llama.cpp, convert_hf_to_gguf.py and docs of
// GGUF's keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/format/format.h"
#include "runtime/files/checkpoint.h"
#include "runtime/files/gguf_writer.h"
#include "runtime/files/language_model.h"
#include "runtime/files/model_declaration.h"

namespace weft {

// A tensor of the output and its source.
struct ConvertedTensor {
  std::string name;
  std::vector<size_t> shape;  // GGUF's order: the row length first
  Format format;
  DeclaredWeight source = {};
  std::vector<float> values = {};  // instead of a source

  size_t elements() const;
};

// `type`: F32, F16 or BF16 for matrices; by default the type in which each is stored (F32 where its parts differ).
// Vectors, routers and learned positions become F32. The model's checkpoint must have been opened for conversion.
std::vector<ConvertedTensor> convert_tensors(const LanguageModel& model,
                                             const std::shared_ptr<const Checkpoint>& checkpoint,
                                             std::optional<Format> type);

// general.* and the architecture's keys. Tensors are those of convert_tensors. Throws Error that names an option
// of config.json that GGUF or this program cannot express.
GgufMetadata convert_config(const LanguageModel& model, const std::shared_ptr<const Checkpoint>& checkpoint,
                            const std::vector<ConvertedTensor>& tensors);

// tokenizer.*, from tokenizer.model (SentencePiece), tokenizer.json or tokenizer.model (tiktoken), and the chat
// templates. `vocab`: rows of the embedding; ids without a token are filled with unused ones. Throws Error for a
// tokenizer that GGUF cannot express.
void convert_tokenizer(const std::filesystem::path& directory, size_t vocab, GgufMetadata& metadata);

// Calls sink(bytes) with the tensor's data in order.
void write_converted(const std::string& path, const ConvertedTensor& tensor, int threads,
                     const std::function<void(std::span<const uint8_t>)>& sink);

// Factors by which scaling of type llama3 divides each rotary frequency: GGUF's rope_freqs.weight, head_dim / 2
// numbers. Empty where a checkpoint has no such scaling.
std::vector<float> llama3_frequency_factors(const std::shared_ptr<const Checkpoint>& checkpoint);

}  // namespace weft
