#include "runtime/files/foreign_quantization.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <vector>

#include "core/comma_list.h"
#include "core/utf8.h"
#include "runtime/files/checkpoint.h"

namespace weft {
namespace {

using Names = std::initializer_list<std::string_view>;

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// Members that describe something other than the weights.
bool is_aside(std::string_view key) {
  const Names asides = {"activation", "input", "output", "cache", "bias", "scale", "zero"};
  return std::any_of(asides.begin(), asides.end(), [&](std::string_view aside) { return contains(key, aside); });
}

// The first member with one of these names that is of the wanted kind, level by level: what applies to all weights
// comes before what applies to some.
template <class IsWanted>
const Json* find_deep(const Json& object, const Names& names, IsWanted is_wanted) {
  std::vector<const Json*> level = {&object};
  while (!level.empty()) {
    std::vector<const Json*> next;
    for (const Json* at : level) {
      for (const std::string_view name : names) {
        if (const Json* member = find(*at, name); member != nullptr && is_wanted(*member)) return member;
      }
      for (const auto& [key, member] : at->items()) {
        if (member.is_object() && !is_aside(key)) next.push_back(&member);
      }
    }
    level = std::move(next);
  }
  return nullptr;
}

std::string number_text(const Json& number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", number.get<double>());
  return text;
}

// A word from the file, in quotes unless it is a plain word.
std::string word(const std::string& text) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || contains("-_.+/", {&c, 1});
  };
  return !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), is_plain) ? text : in_quotes(text);
}

// "int4_weight_only": 4.
std::string bits_in_name(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const std::string bits : {"4", "8"}) {
    for (const char* type : {"int", "fp", "nf", "float"}) {
      if (contains(text, type + bits)) return bits;
    }
  }
  return {};
}

bool is_on(const Json& object, std::string_view key) {
  const Json* flag = find(object, key);
  return flag != nullptr && flag->is_boolean() && flag->get<bool>();
}

std::string with_details(const std::string& name, const std::vector<std::string>& details) {
  if (details.empty()) return name;
  return name + (name.empty() ? "(" : " (") + comma_list(details) + ")";
}

// "4 bits", "groups of 64".
void add_sizes(const std::string& bits, const std::string& group, std::vector<std::string>& details) {
  if (!bits.empty()) details.push_back(bits + " bits");
  if (!group.empty()) details.push_back(group == "-1" ? "one group per row" : "groups of " + group);
}

const CheckpointTensor* sibling(const Checkpoint& checkpoint, std::string_view stem, const char* suffix) {
  return checkpoint.find(std::string(stem) + suffix);
}

// GPTQ packs along the inputs into 32-bit words, AWQ along the outputs; both pack zeros along the outputs.
std::string describe_qweight(const Checkpoint& checkpoint, const CheckpointTensor& words, std::string_view stem) {
  const CheckpointTensor *scales = sibling(checkpoint, stem, ".scales"), *zeros = sibling(checkpoint, stem, ".qzeros");
  const auto is_matrix = [](const CheckpointTensor* t) {
    return t != nullptr && t->extents.size() == 2 && t->extents[0] > 0 && t->extents[1] > 0;
  };
  if (!is_matrix(scales) || !is_matrix(zeros) || !is_matrix(&words)) return "GPTQ or AWQ";
  const int64_t outputs = scales->extents[1], groups = scales->extents[0], bits = 32 * zeros->extents[1] / outputs;
  const bool is_gptq = words.extents[1] == outputs;
  const int64_t inputs = is_gptq && bits > 0 ? 32 * words.extents[0] / bits : words.extents[0];
  std::vector<std::string> details;
  if (bits > 0) add_sizes(std::to_string(bits), std::to_string(inputs / groups), details);
  return with_details(is_gptq ? "GPTQ" : "AWQ", details);
}

// The method that leaves such a tensor; nothing if none is known.
std::string method_of(const Checkpoint& checkpoint, const CheckpointTensor& tensor) {
  struct Mark {
    std::string_view suffix;
    const char* method;
  };
  constexpr Mark kMarks[] = {{".quant_state.bitsandbytes__nf4", "bitsandbytes (nf4, 4 bits)"},
                             {".quant_state.bitsandbytes__fp4", "bitsandbytes (fp4, 4 bits)"},
                             {".weight_packed", "compressed-tensors"},
                             {".W_q", "HQQ"},
                             {".codes", "AQLM"},
                             {".indices", "VPTQ"},
                             {".q_weight", "EXL2"},
                             {".trellis", "EXL3"},
                             {"_blocks", "MXFP4 (4 bits)"},
                             {".weight._data", "Quanto"}};
  for (const Mark& mark : kMarks) {
    if (tensor.name.ends_with(mark.suffix)) return mark.method;
  }
  const auto stem = [&](std::string_view suffix) { return tensor.name.substr(0, tensor.name.size() - suffix.size()); };
  if (tensor.name.ends_with(".qweight")) return describe_qweight(checkpoint, tensor, stem(".qweight"));
  if (tensor.name.ends_with(".weight")) {
    const auto has = [&](const char* suffix) { return sibling(checkpoint, stem(".weight"), suffix) != nullptr; };
    if (tensor.type_name == "U32" && has(".scales")) return "MLX";
    if (tensor.type_name == "U8" && has(".weight.absmax")) return "bitsandbytes (4 bits)";
    if (tensor.type_name == "I8" && has(".SCB")) return "bitsandbytes (8 bits)";
    if (tensor.type_name == "I8" && has(".weight_scales")) return "EETQ (8 bits)";
    if (tensor.type_name == "I8" && has(".weight_scale")) return "compressed-tensors (int8, 8 bits)";
  }
  return tensor.type_name.starts_with("F8_") ? "FP8 (8 bits)" : "";
}

}  // namespace

std::optional<std::string> stated_quantization(std::string_view key, const Json& object) {
  if (!object.is_object() || object.empty()) return std::nullopt;
  const auto is_text = [](const Json& value) { return value.is_string(); };
  const auto is_number = [](const Json& value) { return value.is_number(); };
  const Json* method = find(object, "quant_method");
  std::string name = method != nullptr && method->is_string() ? word(method->get<std::string>()) : std::string();
  std::vector<std::string> details;
  if (name == "bitsandbytes") {
    const bool four = is_on(object, "load_in_4bit") || is_on(object, "_load_in_4bit");
    if (!four && !is_on(object, "load_in_8bit") && !is_on(object, "_load_in_8bit")) return std::nullopt;
    const Json* type = find(object, "bnb_4bit_quant_type");
    if (four && type != nullptr && type->is_string()) details.push_back(word(type->get<std::string>()));
    add_sizes(four ? "4" : "8", "", details);
    return with_details(name, details);
  }
  const Json* type =
      find_deep(object, {"quant_algo", "quant_type", "format", "fmt", "weights", "mode", "dtype", "_type"}, is_text);
  if (type != nullptr) details.push_back(word(type->get<std::string>()));
  const Json* bits = find_deep(object, {"bits", "w_bit", "nbits", "num_bits", "weight_bits"}, is_number);
  const Json* group = find_deep(object, {"group_size", "q_group_size", "in_group_size"}, is_number);
  // MLX has an object that names no method.
  if (name.empty() && key == "quantization" && bits != nullptr) name = "MLX";
  add_sizes(bits != nullptr ? number_text(*bits) : bits_in_name(name + " " + comma_list(details)),
            group != nullptr && (group->get<double>() > 0 || *group == -1) ? number_text(*group) : "", details);
  if (const Json* codebook = find_deep(object, {"nbits_per_codebook"}, is_number)) {
    details.push_back("codebooks of " + number_text(*codebook) + " bits");
  }
  const Json* block = find_deep(object, {"weight_block_size"}, [](const Json& value) { return value.is_array(); });
  if (block != nullptr && block->size() == 2 && (*block)[0].is_number() && (*block)[1].is_number()) {
    details.push_back("blocks of " + number_text((*block)[0]) + " x " + number_text((*block)[1]));
  }
  return with_details(name, details);
}

bool is_read_quantization(const Json& object) {
  const auto text = [&](std::string_view key, std::string_view otherwise) {
    const Json* value = find(object, key);
    return value == nullptr ? std::string(otherwise) : value->is_string() ? value->get<std::string>() : std::string();
  };
  const std::string method = text("quant_method", "");
  if (method == "mxfp4") return true;
  const Json* block = find(object, "weight_block_size");
  if (method != "fp8" || text("fmt", "e4m3") != "e4m3" || block == nullptr || !block->is_array()) return false;
  const auto is_extent = [](const Json& value) {
    return value.is_number_unsigned() && value.get<uint64_t>() >= 1 && value.get<uint64_t>() <= 1 << 20;
  };
  return block->size() == 2 && std::all_of(block->begin(), block->end(), is_extent);
}

std::optional<QuantizedTensor> find_quantized_tensor(const Checkpoint& checkpoint) {
  std::optional<QuantizedTensor> unknown;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if ((tensor.format && info(*tensor.format).is_float) || tensor.type_name == "F64") continue;
    std::string method = method_of(checkpoint, tensor);
    if (!method.empty()) return QuantizedTensor{&tensor, std::move(method)};
    // A quantized matrix becomes a matrix, or a tensor of a known method.
    const bool better = !unknown || (!unknown->tensor->name.ends_with("weight") && tensor.name.ends_with("weight"));
    if (better && tensor.extents.size() >= 2) unknown = {&tensor, ""};
  }
  return unknown;
}

}  // namespace weft
