#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <map>
#include <numbers>

#include "runtime/convert/convert.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/model_config.h"
#include "runtime/files/rope_scaling.h"

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

// A model's size in the form of model cards: "7.2B", "8x7.2B".
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

void set_rope(const ModelConfig& config, const ModelDeclaration& declared, const std::string& prefix,
              GgufMetadata& metadata) {
  const int64_t dims = declared.rotated;
  const std::string type = config.rope_scaling_type(), scaling = prefix + "rope.scaling.";
  float base = config.number("rope.freq_base", 10000.0f);
  if (type == "ntk") {
    // GGUF cannot express it; it is a larger base.
    const double d = static_cast<double>(dims);
    base = static_cast<float>(static_cast<double>(base) *
                              std::pow(static_cast<double>(config.number("rope.scaling.factor")), d / (d - 2)));
    config.ignore({"rope.scaling.original_context_length"});
  } else if (type == "linear" || type == "yarn") {
    metadata.set(scaling + "type", type);
    metadata.set(scaling + "factor", config.number("rope.scaling.factor"));
    const int64_t original = config.count("rope.scaling.original_context_length", config.count("context_length"));
    if (type == "yarn") metadata.set(scaling + "original_context_length", static_cast<uint32_t>(original));
  } else if (type == "longrope") {  // its factors are tensors
    metadata.set(scaling + "original_context_length",
                 static_cast<uint32_t>(config.count("rope.scaling.original_context_length")));
    metadata.set(scaling + "attn_factor", declared.rope_scale);
  } else if (type == "dynamic") {
    // It changes nothing within the context length of training, which the file states.
    config.ignore({"rope.scaling.factor", "rope.scaling.original_context_length"});
  }
  if (type == "yarn") {
    config.require(config.flag("rope.scaling.truncate", true), "rope.scaling.truncate",
                   "false: GGUF cannot express it");
    const auto given = [&](const char* key) {
      return config.has(key) ? std::optional(config.number(key)) : std::nullopt;
    };
    if (const auto turns = given("rope.scaling.yarn_beta_fast")) metadata.set(scaling + "yarn_beta_fast", *turns);
    if (const auto turns = given("rope.scaling.yarn_beta_slow")) metadata.set(scaling + "yarn_beta_slow", *turns);
    // config.json states the magnitude of cos and sin, GGUF a factor of the one that the scaling implies.
    const double factor = static_cast<double>(config.number("rope.scaling.factor"));
    const auto m = given("rope.scaling.mscale"), all = given("rope.scaling.mscale_all_dim");
    double magnitude = yarn_magnitude(factor);
    if (m && all) {
      magnitude = yarn_magnitude(factor, static_cast<double>(*m)) / yarn_magnitude(factor, static_cast<double>(*all));
    }
    if (const auto stated = given("rope.scaling.attn_factor")) magnitude = static_cast<double>(*stated);
    const double share = magnitude / yarn_magnitude(factor);
    if (std::fabs(share - 1) > 1e-6) metadata.set(scaling + "attn_factor", static_cast<float>(share));
  }
  metadata.set(prefix + "rope.freq_base", base);
  metadata.set(prefix + "rope.dimension_count", static_cast<uint32_t>(dims));
}

// Integers are u32 (in lists i32) and numbers f32, as llama.cpp reads them.
void set_value(GgufMetadata& metadata, const std::string& key, const ConfigValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) metadata.set(key, static_cast<uint32_t>(*integer));
  else if (const auto* number = std::get_if<double>(&value)) metadata.set(key, static_cast<float>(*number));
  else if (const auto* flag = std::get_if<bool>(&value)) metadata.set(key, *flag);
  else if (const auto* text = std::get_if<std::string>(&value)) metadata.set(key, std::string_view(*text));
  const auto* list = std::get_if<std::vector<double>>(&value);
  if (list == nullptr) return;
  const auto is_integer = [](double number) { return std::trunc(number) == number && std::fabs(number) < 0x1p31; };
  if (std::all_of(list->begin(), list->end(), is_integer)) {
    metadata.set(key, std::span<const int32_t>(std::vector<int32_t>(list->begin(), list->end())));
  } else {
    metadata.set(key, std::span<const float>(std::vector<float>(list->begin(), list->end())));
  }
}

// The keys of windows, or an error for layers that these cannot describe.
void set_windows(const ModelConfig& config, const ModelDeclaration& declared, const std::string& prefix,
                 GgufMetadata& metadata) {
  const std::vector<int64_t>& windows = declared.windows;
  const std::string key = prefix + "attention.sliding_window";
  const int64_t most = windows.empty() ? 0 : *std::max_element(windows.begin(), windows.end());
  if (most == 0) return;
  metadata.set(key, static_cast<uint32_t>(most));
  const auto has_it = [&](size_t layer) { return windows[layer] == most; };
  const bool fits = std::all_of(windows.begin(), windows.end(), [&](int64_t window) {
    return window == most || (window == 0 && declared.has_window_pattern);
  });
  config.require(fits, "attention.sliding_window", "is not that of all layers, which is not converted");
  if (!declared.has_window_pattern) return;
  // The period, if there is one; otherwise a flag per layer.
  for (size_t period = 1; period <= windows.size() + 1; ++period) {
    bool is_it = true;
    for (size_t i = 0; i < windows.size(); ++i) is_it = is_it && has_it(i) == ((i + 1) % period != 0);
    if (is_it) return metadata.set(key + "_pattern", static_cast<uint32_t>(period));
  }
  std::vector<bool> flags(windows.size());
  for (size_t i = 0; i < windows.size(); ++i) flags[i] = has_it(i);
  metadata.set(key + "_pattern", flags);
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

GgufMetadata convert_config(const LanguageModel& model, const std::shared_ptr<const Checkpoint>& checkpoint,
                            const std::vector<ConvertedTensor>& tensors) {
  const ModelConfig config(checkpoint);
  const ModelDeclaration& declared = *model.declaration;
  const ModelFamily* family = find_family(checkpoint->architecture());
  const std::string architecture(family == nullptr ? checkpoint->architecture() : family->gguf_name());
  const std::string prefix = architecture + ".";
  const int64_t embed = config.count("embedding_length"), heads = config.count("attention.head_count");
  const int64_t head_dim = config.count("attention.key_length", embed / heads);
  const auto experts = declared.config.find("expert_count");

  GgufMetadata metadata;
  metadata.set("general.architecture", architecture);
  metadata.set("general.type", "model");
  metadata.set("general.name", checkpoint->name());
  metadata.set(
      "general.size_label",
      size_label(tensors, experts == declared.config.end() ? 0 : static_cast<size_t>(config.count("expert_count"))));
  metadata.set("general.file_type", file_type(tensors));
  metadata.set("general.quantization_version", uint32_t{2});
  for (const auto& [key, value] : declared.config) set_value(metadata, prefix + key, value);
  set_windows(config, declared, prefix, metadata);
  metadata.set(prefix + "vocab_size", static_cast<uint32_t>(tensors.front().shape.at(1)));
  if (declared.rotated == 0) return metadata;
  const bool reorders = std::any_of(declared.weights.begin(), declared.weights.end(),
                                    [](const DeclaredWeight& weight) { return weight.rotated_rows != 0; });
  config.require(declared.rotated == head_dim || !reorders, "rope.partial",
                 "below 1 is not converted for a family whose GGUF files reorder rows");
  set_rope(config, declared, prefix, metadata);
  return metadata;
}

}  // namespace weft
