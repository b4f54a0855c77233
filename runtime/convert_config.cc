#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <map>
#include <numbers>

#include "runtime/convert.h"
#include "runtime/ggml_type.h"
#include "runtime/model_config.h"
#include "runtime/rope_scaling.h"

namespace weft {
namespace {

// "1.4M": at least two digits, and a unit.
std::string rounded_count(double count) {
  const auto [scale, unit] = count > 1e12  ? std::pair(1e12, 'T')
                             : count > 1e9 ? std::pair(1e9, 'B')
                             : count > 1e6 ? std::pair(1e6, 'M')
                                           : std::pair(1e3, 'K');
  char text[32];
  std::snprintf(text, sizeof text, "%.*f%c", count / scale < 9.5 ? 1 : 0, count / scale, unit);
  return text;
}

// How model cards call a model's size: "7.2B", "8x7.2B".
std::string size_label(const std::vector<ConvertedTensor>& tensors, size_t experts) {
  double shared = 0, stacked = 0;
  for (const ConvertedTensor& tensor : tensors) {
    (tensor.name.find("_exps.") != std::string::npos ? stacked : shared) += static_cast<double>(tensor.elements());
  }
  if (experts == 0) return rounded_count(shared);
  return std::to_string(experts) + "x" + rounded_count(shared + stacked / static_cast<double>(experts));
}

// The number of general.file_type for the format that most matrices have.
uint32_t file_type(const std::vector<ConvertedTensor>& tensors) {
  std::map<Format, size_t> elements;
  for (const ConvertedTensor& tensor : tensors) elements[tensor.format] += tensor.elements();
  const Format most = std::max_element(elements.begin(), elements.end(), [](const auto& a, const auto& b) {
                        return a.second < b.second;
                      })->first;
  return most == Format::f16 ? 1 : most == Format::bf16 ? 32 : 0;
}

void set_rope(const ModelConfig& config, const std::string& prefix, int64_t dims, GgufMetadata& metadata) {
  const std::string type = config.rope_scaling_type(), scaling = prefix + "rope.scaling.";
  float base = config.number("rope.freq_base", 10000.0f);
  if (type == "ntk") {
    // GGUF has no word for it; it is a larger base.
    const double d = static_cast<double>(dims);
    base = static_cast<float>(static_cast<double>(base) *
                              std::pow(static_cast<double>(config.number("rope.scaling.factor")), d / (d - 2)));
    config.ignore({"rope.scaling.original_context_length"});
  } else if (type == "linear" || type == "yarn") {
    metadata.set(scaling + "type", type);
    metadata.set(scaling + "factor", config.number("rope.scaling.factor"));
    const int64_t original = config.count("rope.scaling.original_context_length", config.count("context_length"));
    if (type == "yarn") metadata.set(scaling + "original_context_length", static_cast<uint32_t>(original));
  } else if (type == "dynamic") {
    // Within the context that the model was trained for, which is what the file states, it changes nothing.
    config.ignore({"rope.scaling.factor", "rope.scaling.original_context_length"});
  }
  if (type == "yarn") {
    config.require(config.flag("rope.scaling.truncate", true), "rope.scaling.truncate",
                   "false: GGUF has no word for it");
    const auto given = [&](const char* key) {
      return config.has(key) ? std::optional(config.number(key)) : std::nullopt;
    };
    if (const auto turns = given("rope.scaling.yarn_beta_fast")) metadata.set(scaling + "yarn_beta_fast", *turns);
    if (const auto turns = given("rope.scaling.yarn_beta_slow")) metadata.set(scaling + "yarn_beta_slow", *turns);
    // config.json states the magnitude of cos and sin, GGUF a factor of what follows from the scaling.
    const double factor = static_cast<double>(config.number("rope.scaling.factor"));
    const auto m = given("rope.scaling.mscale"), all = given("rope.scaling.mscale_all_dim");
    double magnitude = yarn_magnitude(factor);
    if (m && all) {
      magnitude =
          yarn_magnitude(factor, static_cast<double>(*m)) / yarn_magnitude(factor, static_cast<double>(*all));
    }
    if (const auto stated = given("rope.scaling.attn_factor")) magnitude = static_cast<double>(*stated);
    const double share = magnitude / yarn_magnitude(factor);
    if (std::fabs(share - 1) > 1e-6) metadata.set(scaling + "attn_factor", static_cast<float>(share));
  }
  metadata.set(prefix + "rope.freq_base", base);
  metadata.set(prefix + "rope.dimension_count", static_cast<uint32_t>(dims));
}

// The window of all layers; 0 for none.
int64_t common_window(const ModelConfig& config, bool switches) {
  const std::vector<int64_t> windows = config.windows(switches);
  const bool same = std::all_of(windows.begin(), windows.end(), [&](int64_t w) { return w == windows[0]; });
  config.require(same, "attention.sliding_window", "is not that of all layers, which is not converted");
  return windows.empty() ? 0 : windows[0];
}

}  // namespace

std::vector<float> llama3_frequency_factors(const std::shared_ptr<const Checkpoint>& checkpoint) {
  const ModelConfig config(checkpoint);
  if (config.rope_scaling_type() != "llama3") return {};
  const int64_t embed = config.count("embedding_length"), heads = config.count("attention.head_count");
  const int64_t dims = config.count("attention.key_length", embed / heads);
  const float base = config.number("rope.freq_base", 10000.0f), factor = config.number("rope.scaling.factor");
  const float low = config.number("rope.scaling.low_freq_factor");
  const float high = config.number("rope.scaling.high_freq_factor");
  const auto context =
      static_cast<float>(config.count("rope.scaling.original_context_length", config.count("context_length")));
  config.require(high > low, "rope.scaling.high_freq_factor", "is not above low_freq_factor");
  std::vector<float> factors;
  for (int64_t i = 0; i < dims / 2; ++i) {
    // In f32, as the converter of llama.cpp computes it.
    const float frequency = 1 / std::pow(base, static_cast<float>(2 * i) / static_cast<float>(dims));
    const float wavelength = 2 * std::numbers::pi_v<float> / frequency;
    if (wavelength < context / high) {
      factors.push_back(1);
    } else if (wavelength > context / low) {
      factors.push_back(factor);
    } else {
      const float smooth = (context / wavelength - low) / (high - low);
      factors.push_back(1 / ((1 - smooth) / factor + smooth));
    }
  }
  return factors;
}

GgufMetadata convert_config(const std::shared_ptr<const Checkpoint>& checkpoint,
                            const std::vector<ConvertedTensor>& tensors) {
  const ModelConfig config(checkpoint);
  const std::string& family = checkpoint->architecture();
  const std::string architecture = family == "qwen2" ? "qwen2" : "llama", prefix = architecture + ".";
  const int64_t embed = config.count("embedding_length"), heads = config.count("attention.head_count");
  const int64_t head_dim = config.count("attention.key_length", embed / heads);
  const int64_t experts = family == "mixtral" ? config.count("expert_count") : 0;
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };

  GgufMetadata metadata;
  metadata.set("general.architecture", architecture);
  metadata.set("general.type", "model");
  metadata.set("general.name", checkpoint->name());
  metadata.set("general.size_label", size_label(tensors, static_cast<size_t>(experts)));
  metadata.set("general.file_type", file_type(tensors));
  metadata.set("general.quantization_version", uint32_t{2});
  metadata.set(prefix + "block_count", static_cast<uint32_t>(config.layers()));
  metadata.set(prefix + "context_length", u32(config.count("context_length")));
  metadata.set(prefix + "embedding_length", u32(embed));
  metadata.set(prefix + "feed_forward_length", u32(config.count("feed_forward_length")));
  metadata.set(prefix + "attention.head_count", u32(heads));
  metadata.set(prefix + "attention.head_count_kv", u32(config.count("attention.head_count_kv", heads)));
  metadata.set(prefix + "attention.key_length", u32(head_dim));
  metadata.set(prefix + "attention.value_length", u32(head_dim));
  metadata.set(prefix + "attention.layer_norm_rms_epsilon", config.number("attention.layer_norm_rms_epsilon"));
  const int64_t vocab = static_cast<int64_t>(tensors.front().shape.at(1));
  metadata.set(prefix + "vocab_size", u32(vocab));
  if (experts > 0) {
    const int64_t chosen = config.count("expert_used_count");
    config.require(chosen <= experts, "expert_used_count", "is more than there are experts");
    metadata.set(prefix + "expert_count", u32(experts));
    metadata.set(prefix + "expert_used_count", u32(chosen));
  }
  if (family != "llama") {
    if (const int64_t window = common_window(config, family == "qwen2"); window > 0) {
      metadata.set(prefix + "attention.sliding_window", u32(window));
    }
  }
  config.require(config.number("rope.partial", 1.0f) == 1.0f, "rope.partial", "below 1 is not converted");
  config.require(config.text("hidden_act", "silu") == "silu", "hidden_act", "is not silu");
  set_rope(config, prefix, head_dim, metadata);
  // Asked for elsewhere: these say what tensors there are.
  config.ignore({"tie_word_embeddings", "attention_bias", "mlp_bias", "rope.scaling.low_freq_factor",
                 "rope.scaling.high_freq_factor", "rope.scaling.factor", "rope.scaling.original_context_length"});
  config.refuse_unknown();
  return metadata;
}

}  // namespace weft
