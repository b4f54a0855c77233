#include "runtime/convert/quantize_mix.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "runtime/files/model_family.h"
#include "runtime/files/whole_number.h"

namespace weft {
namespace {

constexpr QuantizeTarget kMixes[] = {
    {"Q2_K_S", Format::q2_k, Mix::q2_k_s, 21}, {"Q2_K_M", Format::q2_k, Mix::q2_k_m, 10},
    {"Q3_K_S", Format::q3_k, Mix::q3_k_s, 11}, {"Q3_K_M", Format::q3_k, Mix::q3_k_m, 12},
    {"Q3_K_L", Format::q3_k, Mix::q3_k_l, 13}, {"Q4_K_S", Format::q4_k, Mix::q4_k_s, 14},
    {"Q4_K_M", Format::q4_k, Mix::q4_k_m, 15}, {"Q5_K_S", Format::q5_k, Mix::q5_k_s, 16},
    {"Q5_K_M", Format::q5_k, Mix::q5_k_m, 17},
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The layer of "blk.7.attn_q.weight"; nothing for tensors outside of layers.
std::optional<uint32_t> layer_of(std::string_view tensor) {
  constexpr std::string_view kPrefix = "blk.";
  if (!tensor.starts_with(kPrefix)) return std::nullopt;
  uint32_t layer = 0;
  const auto [end, error] = std::from_chars(tensor.data() + kPrefix.size(), tensor.data() + tensor.size(), layer);
  if (error != std::errc()) return std::nullopt;
  return layer;
}

// The first eighth, the last eighth, and every third layer in between.
bool gets_more_bits(uint32_t layer, uint32_t layers) {
  return layer < layers / 8 || uint64_t{layer} >= uint64_t{7} * layers / 8 || (layer - layers / 8) % 3 == 2;
}

Format values_format(const QuantizeTarget& target, const MixFacts& facts, uint32_t layer) {
  const bool shared = facts.heads_per_kv_head >= 4;  // few values, used often
  Format format = target.format;
  switch (target.mix) {
    case Mix::q2_k_m: format = shared ? Format::q4_k : Format::q3_k; break;
    case Mix::q2_k_s:
      if (shared) format = Format::q4_k;
      break;
    case Mix::q3_k_m: format = layer < 2 ? Format::q5_k : Format::q4_k; break;
    case Mix::q3_k_l: format = Format::q5_k; break;
    case Mix::q4_k_s:
      if (layer < 4) format = Format::q5_k;
      break;
    case Mix::q4_k_m:
    case Mix::q5_k_m:
      if (gets_more_bits(layer, facts.value_tensors)) format = Format::q6_k;
      break;
    default: break;
  }
  if (facts.is_70b && (format == Format::q3_k || format == Format::q4_k)) format = Format::q5_k;
  return facts.experts == 8 ? Format::q8_0 : format;
}

Format down_format(const QuantizeTarget& target, const MixFacts& facts, uint32_t layer) {
  switch (target.mix) {
    case Mix::q2_k_m: return Format::q3_k;
    case Mix::q2_k_s: return layer < facts.layers / 8 ? Format::q4_k : target.format;
    case Mix::q3_k_m: return layer < facts.layers / 16 ? Format::q5_k : Format::q4_k;
    case Mix::q3_k_l: return Format::q5_k;
    case Mix::q4_k_s: return layer < facts.layers / 8 ? Format::q5_k : target.format;
    case Mix::q4_k_m:
    case Mix::q5_k_m: return gets_more_bits(layer, facts.layers) ? Format::q6_k : target.format;
    default: return target.format;
  }
}

Format attention_output_format(const QuantizeTarget& target, const MixFacts& facts) {
  if (facts.experts == 8) {
    switch (target.mix) {
      case Mix::q2_k_m:
      case Mix::q3_k_s:
      case Mix::q3_k_m:
      case Mix::q4_k_s:
      case Mix::q4_k_m: return Format::q5_k;
      default: return target.format;
    }
  }
  switch (target.mix) {
    case Mix::q2_k_m: return Format::q3_k;
    case Mix::q3_k_m: return Format::q4_k;
    case Mix::q3_k_l: return Format::q5_k;
    default: return target.format;
  }
}

Format fused_format(const QuantizeTarget& target) {
  switch (target.mix) {
    case Mix::q3_k_m:
    case Mix::q3_k_l: return Format::q4_k;
    case Mix::q4_k_m: return Format::q5_k;
    case Mix::q5_k_m: return Format::q6_k;
    default: return target.format;
  }
}

Format mixed_format(const QuantizeTarget& target, const MixFacts& facts, std::string_view tensor) {
  if (target.mix == Mix::none) return target.format;
  if (tensor == "output.weight" || (!facts.has_output && tensor == "token_embd.weight")) return Format::q6_k;
  const uint32_t layer = layer_of(tensor).value_or(0);
  if (contains(tensor, "attn_v.weight")) return values_format(target, facts, layer);
  if (contains(tensor, "attn_k.weight")) return facts.experts == 8 ? Format::q8_0 : target.format;
  if (contains(tensor, "ffn_down")) return down_format(target, facts, layer);
  if (contains(tensor, "attn_output.weight")) return attention_output_format(target, facts);
  if (contains(tensor, "attn_qkv.weight")) return fused_format(target);
  return target.format;
}

// llama.cpp's choice where rows are not a multiple of a block: formats of about as many bits in smaller blocks.
Format fitting_format(Format format, size_t row_elements) {
  const auto fits = [&](Format f) { return row_elements % info(f).block_elements == 0; };
  if (fits(format)) return format;
  switch (format) {
    case Format::q2_k:
    case Format::q3_k:
    case Format::iq4_xs: format = Format::iq4_nl; break;
    case Format::q4_k: format = Format::q5_0; break;
    case Format::q5_k: format = Format::q5_1; break;
    case Format::q6_k:
    case Format::q8_k: format = Format::q8_0; break;
    default: break;
  }
  return fits(format) ? format : Format::f16;
}

uint32_t number_or(const GgufFile& file, const std::string& key, uint32_t fallback) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return fallback;
  if (value->type() == GgufType::array) {  // a number per layer; the first one represents the model
    const std::vector<GgufValue> first = value->elements(1);
    if (first.empty()) return fallback;
    if (const auto whole = whole_number(first[0].as_f64().value_or(-1)); whole && *whole >= 0) {
      return static_cast<uint32_t>(std::min<int64_t>(*whole, UINT32_MAX));
    }
    if (!first[0].as_u64()) return fallback;
    return static_cast<uint32_t>(std::min<uint64_t>(*first[0].as_u64(), UINT32_MAX));
  }
  return file.get_u32(key);
}

}  // namespace

std::span<const QuantizeTarget> quantize_targets() {
  static const std::vector<QuantizeTarget> targets = [] {
    std::vector<QuantizeTarget> all;
    for (const Format format : kFloatFormats) all.push_back({name(format), format, Mix::none, info(format).file_type});
    all.insert(all.end(), std::begin(kMixes), std::end(kMixes));
    return all;
  }();
  return targets;
}

const QuantizeTarget* find_quantize_target(std::string_view name) {
  const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
  const auto targets = quantize_targets();
  const auto found = std::find_if(targets.begin(), targets.end(), [&](const QuantizeTarget& target) {
    return std::equal(target.name.begin(), target.name.end(), name.begin(), name.end(),
                      [&](char a, char b) { return a == upper(b); });
  });
  return found != targets.end() ? &*found : nullptr;
}

MixFacts mix_facts(const GgufFile& file) {
  const std::string architecture(file.get_string("general.architecture", ""));
  MixFacts facts;
  facts.has_output = file.find_tensor("output.weight") != nullptr;
  facts.layers = number_or(file, architecture + ".block_count", 0);
  facts.experts = number_or(file, architecture + ".expert_count", 0);
  const uint32_t heads = number_or(file, architecture + ".attention.head_count", 1);
  const uint32_t kv_heads = number_or(file, architecture + ".attention.head_count_kv", heads);
  facts.heads_per_kv_head = kv_heads != 0 ? heads / kv_heads : 1;
  for (const GgufTensor& tensor : file.tensors()) {
    const bool has_values = contains(tensor.name, "attn_v.weight") || contains(tensor.name, "attn_qkv.weight");
    facts.value_tensors += has_values ? 1 : 0;
  }
  const ModelFamily* family = family_of_gguf(architecture, {});
  facts.is_70b = family != nullptr && family->is_70b != nullptr && family->is_70b(facts.layers, heads, kv_heads);
  return facts;
}

bool is_quantized(const GgufTensor& tensor) {
  // As in ggml, a trailing axis of one element does not count.
  const auto shape = tensor.shape();
  const bool matrix =
      std::any_of(shape.begin() + (shape.empty() ? 0 : 1), shape.end(), [](size_t extent) { return extent != 1; });
  return matrix && tensor.name.ends_with("weight") && !contains(tensor.name, "_norm.weight") &&
         !contains(tensor.name, "ffn_gate_inp.weight");
}

FormatChoice choose_format(const QuantizeTarget& target, const MixFacts& facts, std::string_view tensor,
                           size_t row_elements) {
  const Format wanted = mixed_format(target, facts, tensor);
  return {fitting_format(wanted, row_elements), wanted};
}

}  // namespace weft
