#include "runtime/files/model_config.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/whole_number.h"

namespace weft {
namespace {

// The names in config.json of GGUF's keys, older forms beside newer ones, and earlier names in GGUF files.
struct KeyNames {
  std::string_view gguf;
  std::initializer_list<std::string_view> json;
  std::string_view old_gguf = {};
};
const KeyNames kKeys[] = {
    {"block_count", {"num_hidden_layers"}},
    {"context_length", {"max_position_embeddings"}},
    {"embedding_length", {"hidden_size"}},
    {"feed_forward_length", {"intermediate_size"}},
    {"attention.head_count", {"num_attention_heads"}},
    {"attention.head_count_kv", {"num_key_value_heads"}},
    {"attention.key_length", {"head_dim"}},
    {"attention.layer_norm_rms_epsilon", {"rms_norm_eps"}},
    {"attention.layer_norm_epsilon", {"layer_norm_eps", "layer_norm_epsilon"}},
    {"attention.scale", {}},
    {"attention.value_length", {}},
    {"attention.sliding_window", {"sliding_window"}},
    {"attention.sliding_window_pattern", {"sliding_window_pattern"}},
    {"expert_count", {"num_local_experts"}},
    {"expert_used_count", {"num_experts_per_tok"}},
    {"vocab_size", {"vocab_size"}},
    {"rope.freq_base", {"rope_theta", "rope_parameters.rope_theta"}},
    {"rope.partial", {"partial_rotary_factor", "rope_parameters.partial_rotary_factor"}},
    {"rope.scaling.type",
     {"rope_scaling.rope_type", "rope_scaling.type", "rope_parameters.rope_type", "rope_parameters.type"}},
    {"rope.scaling.factor", {"rope_scaling.factor", "rope_parameters.factor"}, "rope.scale_linear"},
    {"rope.scaling.original_context_length",
     {"rope_scaling.original_max_position_embeddings", "rope_parameters.original_max_position_embeddings",
      "original_max_position_embeddings"}},
    {"rope.scaling.long_factor", {"rope_scaling.long_factor", "rope_parameters.long_factor"}},
    {"rope.scaling.short_factor", {"rope_scaling.short_factor", "rope_parameters.short_factor"}},
    {"rope.scaling.attn_factor", {"rope_scaling.attention_factor", "rope_parameters.attention_factor"}},
    {"rope.scaling.mscale", {"rope_scaling.mscale", "rope_parameters.mscale"}},
    {"rope.scaling.mscale_all_dim", {"rope_scaling.mscale_all_dim", "rope_parameters.mscale_all_dim"}},
    {"rope.scaling.truncate", {"rope_scaling.truncate", "rope_parameters.truncate"}},
    {"rope.scaling.yarn_beta_fast", {"rope_scaling.beta_fast", "rope_parameters.beta_fast"}},
    {"rope.scaling.yarn_beta_slow", {"rope_scaling.beta_slow", "rope_parameters.beta_slow"}},
    {"rope.scaling.low_freq_factor", {"rope_scaling.low_freq_factor", "rope_parameters.low_freq_factor"}},
    {"rope.scaling.high_freq_factor", {"rope_scaling.high_freq_factor", "rope_parameters.high_freq_factor"}},
};

// Keys that do not affect the computation of logits: training, generation, and the file's history.
constexpr std::string_view kHarmless[] = {
    // GGUF
    "vocab_size",
    "rope.scaling.finetuned",
    "tensor_data_layout",
    // config.json
    "architectures",
    "model_type",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "use_cache",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "unk_token_id",
    "sep_token_id",
    "cls_token_id",
    "mask_token_id",
    "decoder_start_token_id",
    "initializer_range",
    "attention_dropout",
    "hidden_dropout",
    "embd_pdrop",
    "resid_pdrop",
    "pretraining_tp",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "output_router_logits",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "return_dict",
    "return_dict_in_generate",
    "torchscript",
    "use_return_dict",
    "tokenizer_class",
    "prefix",
    "bad_words_ids",
    "begin_suppress_tokens",
    "suppress_tokens",
    "num_beams",
    "num_beam_groups",
    "num_return_sequences",
    "chunk_size_feed_forward",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "do_sample",
    "max_length",
    "min_length",
    "length_penalty",
    "no_repeat_ngram_size",
    "diversity_penalty",
    "early_stopping",
    "repetition_penalty",
    "problem_type",
    "finetuning_task",
    "task_specific_params",
    "num_labels",
    "max_window_layers",
    "use_sliding_window",
    "model_max_length",
    "attn_implementation",
    "auto_map",
    "unsloth_version",
    "unsloth_fixed",
};
// (What `quantization_config` says, the checkpoint has looked at.)
constexpr std::string_view kHarmlessPrefixes[] = {
    "_", "id2label.", "label2id.", "task_specific_params.", "auto_map.", "quantization_config."};

bool is_harmless(std::string_view key) {
  return std::find(std::begin(kHarmless), std::end(kHarmless), key) != std::end(kHarmless) ||
         std::any_of(std::begin(kHarmlessPrefixes), std::end(kHarmlessPrefixes),
                     [key](std::string_view prefix) { return key.starts_with(prefix); });
}

// Switched off: an option that leaves the computation unchanged, in all layers where there is a value per layer.
// The neutral value of a factor is 1.
bool is_off(std::string_view key, const ConfigValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return !*flag;
  if (const auto* text = std::get_if<std::string>(&value))
    return text->empty() || *text == "none" || *text == "default";
  const auto is_neutral = [&](double number) { return number == 0 || (number == 1 && key.find("scal") != key.npos); };
  if (const auto number = as_number(value)) return is_neutral(*number);
  if (const auto* list = std::get_if<std::vector<double>>(&value)) {
    return std::all_of(list->begin(), list->end(), is_neutral);
  }
  return std::get<std::vector<std::string>>(value).empty();
}

std::string shown(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", number);
  return text;
}

// For messages: "32.5", "the string '22'".
std::string shown(const ConfigValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value)) return shown(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return "the string " + in_quotes(*text);
  return "a list";
}

bool same(const ConfigValue& a, const ConfigValue& b) {
  const auto x = as_number(a), y = as_number(b);
  return x && y ? *x == *y : a == b;
}

}  // namespace

ModelConfig::ModelConfig(std::shared_ptr<const Checkpoint> checkpoint)
    : checkpoint_(not_null(std::move(checkpoint))), family_(find_family(checkpoint_->architecture())) {
  if (!checkpoint_->unsupported().empty()) throw Error(checkpoint_->unsupported());
  if (family_ == nullptr) return;
  for (const std::string_view key : family_->ignored) used_.emplace(key);
}

// All names that a file of this convention may use for the key, the usual one first.
std::vector<std::string_view> ModelConfig::names_of(std::string_view key) const {
  const auto known = std::find_if(std::begin(kKeys), std::end(kKeys), [&](const KeyNames& k) { return k.gguf == key; });
  std::vector<std::string_view> names;
  if (checkpoint_->convention() == Convention::gguf) {
    names.push_back(key);
    if (known != std::end(kKeys) && !known->old_gguf.empty()) names.push_back(known->old_gguf);
    return names;
  }
  if (known != std::end(kKeys)) names = known->json;
  if (const ConfigKey* own = key_of_family(key)) {
    names.insert(names.end(), own->hugging_face.begin(), own->hugging_face.end());
  }
  if (names.empty()) names.push_back(key);
  return names;
}

const ConfigKey* ModelConfig::key_of_family(std::string_view key) const {
  if (family_ == nullptr) return nullptr;
  const auto own =
      std::find_if(family_->keys.begin(), family_->keys.end(), [&](const ConfigKey& k) { return k.gguf == key; });
  return own == family_->keys.end() ? nullptr : &*own;
}

const ConfigValue* ModelConfig::find(std::string_view key) const {
  const auto& config = checkpoint_->config();
  const std::vector<std::string_view> names = names_of(key);
  const ConfigValue* found = nullptr;
  for (const std::string_view name : names) {
    const auto at = config.find(name);
    if (at == config.end()) continue;
    used_.emplace(name);
    if (found != nullptr && !same(at->second, *found)) {
      checkpoint_->fail(name, "contradicts " + std::string(given_name(key)));
    }
    if (found == nullptr) found = &at->second;
  }
  if (found != nullptr) return found;
  for (const std::string_view name : names) {
    const auto assumed = checkpoint_->assumed().find(name);
    if (assumed != checkpoint_->assumed().end()) return &assumed->second;
  }
  return nullptr;
}

// The key as the file has it, or would have it.
std::string_view ModelConfig::given_name(std::string_view key) const {
  const std::vector<std::string_view> names = names_of(key);
  const auto given = std::find_if(names.begin(), names.end(),
                                  [this](std::string_view name) { return checkpoint_->config().contains(name); });
  return given != names.end() ? *given : names.front();
}

void ModelConfig::fail(std::string_view key, std::string_view reason) const {
  checkpoint_->fail(given_name(key), reason);
}

void ModelConfig::require(bool holds, std::string_view key, std::string_view reason) const {
  if (!holds) fail(key, reason);
}

void ModelConfig::ignore(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) find(key);
}

std::optional<ConfigValue> ModelConfig::common(std::string_view key) const {
  const ConfigValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* list = std::get_if<std::vector<double>>(value);
  if (list == nullptr) return *value;
  require(key != "block_count", key, "is a list, not a number of layers");
  check_length(key, list->size());
  for (size_t i = 1; i < list->size(); ++i) {
    require((*list)[i] == (*list)[0], key,
            "is " + shown((*list)[0]) + " for layer 0, but " + shown((*list)[i]) + " for layer " + std::to_string(i) +
                "; this architecture takes one value for all layers");
  }
  return list->front();
}

void ModelConfig::check_length(std::string_view key, size_t values) const {
  const size_t layers = this->layers();
  require(values == layers, key, "has " + std::to_string(values) + " values for " + std::to_string(layers) + " layers");
}

int64_t ModelConfig::integer(std::string_view key, const ConfigValue& value, int64_t least) const {
  const auto number = as_number(value);
  require(number && std::trunc(*number) == *number, key, "is " + shown(value) + ", not an integer");
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  require(*number >= static_cast<double>(least) && *number <= static_cast<double>(kMost), key,
          shown(value) + " is not between " + std::to_string(least) + " and " + std::to_string(kMost));
  return static_cast<int64_t>(*number);
}

int64_t ModelConfig::count(std::string_view key, std::optional<int64_t> fallback) const {
  const auto value = common(key);
  if (!value && fallback) return took(key, *fallback);
  require(value.has_value(), key, "is missing");
  return took(key, integer(key, *value, 1));
}

float ModelConfig::number(std::string_view key, std::optional<float> fallback) const {
  const auto value = common(key);
  if (!value && fallback) return took(key, *fallback);
  require(value.has_value(), key, "is missing");
  const auto number = as_number(*value);
  require(number.has_value(), key, "is " + shown(*value) + ", not a number");
  const auto single = static_cast<float>(*number);
  require(std::isfinite(single) && single > 0, key, "is " + shown(*value) + ", not a finite number above 0");
  return took(key, single);
}

bool ModelConfig::flag(std::string_view key, bool fallback) const {
  const auto value = common(key);
  if (!value) return took(key, fallback);
  if (const bool* flag = std::get_if<bool>(&*value)) return took(key, *flag);
  // Lists have 1 for true.
  const bool is_list = std::holds_alternative<std::vector<double>>(*find(key));
  const double number = as_number(*value).value_or(-1);
  require(is_list && (number == 0 || number == 1), key, "is neither true nor false");
  return took(key, number == 1);
}

std::string ModelConfig::text(std::string_view key, std::string_view fallback) const {
  const ConfigValue* value = find(key);
  if (value == nullptr) return std::string(fallback);
  require(std::holds_alternative<std::string>(*value), key, "is " + shown(*value) + ", not a string");
  return took(key, std::get<std::string>(*value));
}

std::vector<std::string> ModelConfig::texts(std::string_view key) const {
  const ConfigValue* value = find(key);
  if (value == nullptr) return {};
  require(std::holds_alternative<std::vector<std::string>>(*value), key, "is not a list of strings");
  return std::get<std::vector<std::string>>(*value);
}

std::vector<double> ModelConfig::numbers(std::string_view key, std::optional<size_t> count) const {
  const ConfigValue* value = find(key);
  require(value != nullptr, key, "is missing");
  const auto single = as_number(*value);
  const auto* list = std::get_if<std::vector<double>>(value);
  require(single || list != nullptr, key, "is " + shown(*value) + ", not a number or a list of numbers");
  std::vector<double> numbers = single ? std::vector<double>(count.value_or(1), *single) : *list;
  require(!count || numbers.size() == *count, key,
          "has " + std::to_string(numbers.size()) + " values, expected " + std::to_string(count.value_or(0)));
  for (size_t i = 0; i < numbers.size(); ++i) {
    require(std::isfinite(numbers[i]), key, "is " + shown(numbers[i]) + " at index " + std::to_string(i));
  }
  took(key, *value);
  return numbers;
}

std::vector<int64_t> ModelConfig::counts(std::string_view key, std::optional<size_t> count) const {
  std::vector<int64_t> counts;
  for (const double number : numbers(key, count)) {
    const bool fits =
        std::trunc(number) == number && number >= 0 && number <= double{std::numeric_limits<int32_t>::max()};
    require(fits, key,
            "is " + shown(number) + " at index " + std::to_string(counts.size()) +
                ", not an integer between 0 and 2147483647");
    counts.push_back(static_cast<int64_t>(number));
  }
  return counts;
}

size_t ModelConfig::layers() const {
  const auto layers = static_cast<size_t>(count("block_count"));
  const size_t tensors = checkpoint_->tensors().size();
  require(layers <= tensors, "block_count",
          std::to_string(layers) + " is more than the file has tensors (" + std::to_string(tensors) + ")");
  return layers;
}

// Which layers have the window, by layer_types or GGUF's attention.sliding_window_pattern.
std::vector<bool> ModelConfig::sliding_layers(const WindowRule& rule) const {
  std::vector<bool> sliding(layers(), true);
  if (const auto kinds = texts("layer_types"); !kinds.empty()) {
    check_length("layer_types", kinds.size());
    for (size_t i = 0; i < kinds.size(); ++i) {
      sliding[i] = kinds[i] == "sliding_attention";
      require(sliding[i] || kinds[i] == "full_attention", "layer_types",
              "names " + in_quotes(kinds[i]) + ", which is neither full_attention nor sliding_attention");
    }
    return sliding;
  }
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  // llama.cpp's reading: every `period`-th layer sees everything.
  const auto repeat = [&](size_t period) {
    for (size_t i = 0; period > 0 && i < sliding.size(); ++i) sliding[i] = i % period != period - 1;
  };
  if (const ConfigValue* pattern = find(kPattern)) {
    if (const auto* list = std::get_if<std::vector<double>>(pattern)) {
      check_length(kPattern, list->size());
      for (size_t i = 0; i < list->size(); ++i) {
        require((*list)[i] == 0 || (*list)[i] == 1, kPattern,
                "is " + shown((*list)[i]) + " for layer " + std::to_string(i) + ", neither true nor false");
        sliding[i] = (*list)[i] == 1;
      }
    } else if (const bool* all = std::get_if<bool>(pattern)) {
      sliding.assign(sliding.size(), *all);
    } else {
      repeat(static_cast<size_t>(integer(kPattern, *pattern, 0)));
    }
  } else {
    repeat(static_cast<size_t>(rule.period));
  }
  if (rule.switches && has("max_window_layers")) {
    const auto first = static_cast<size_t>(integer("max_window_layers", *find("max_window_layers"), 0));
    for (size_t i = 0; i < std::min(first, sliding.size()); ++i) sliding[i] = false;
  }
  return sliding;
}

std::vector<int64_t> ModelConfig::windows(const WindowRule& rule) const {
  constexpr std::string_view kWindow = "attention.sliding_window";
  windows_.assign(layers(), 0);
  has_window_pattern_ = rule.period > 0;
  if (!rule.allowed) return windows_;
  const std::vector<bool> sliding = sliding_layers(rule);
  std::vector<int64_t> windows(sliding.size(), 0);
  const ConfigValue* given = find(kWindow);
  if (given != nullptr && !(rule.switches && !flag("use_sliding_window", true))) {
    // 0 means "none", as GGUF files write it.
    if (const auto* list = std::get_if<std::vector<double>>(given)) {
      check_length(kWindow, list->size());
      for (size_t i = 0; i < windows.size(); ++i) windows[i] = integer(kWindow, (*list)[i], 0);
    } else {
      windows.assign(windows.size(), integer(kWindow, *given, 0));
    }
  }
  const std::string_view chosen_by = !texts("layer_types").empty()             ? "layer_types"
                                     : has("attention.sliding_window_pattern") ? "attention.sliding_window_pattern"
                                                                               : "";
  for (size_t i = 0; i < windows.size(); ++i) {
    require(chosen_by.empty() || !sliding[i] || windows[i] > 0, chosen_by,
            "has sliding layers, but there is no window");
    if (!sliding[i]) windows[i] = 0;
  }
  windows_ = windows;
  return windows;
}

// How far the context was stretched after training. GGUF's writers may write 0 for "not at all".
double ModelConfig::rope_factor() const {
  const auto value = common("rope.scaling.factor");
  const bool gguf = checkpoint_->convention() == Convention::gguf;
  if (gguf && value && as_number(*value) == 0) return 1;
  return static_cast<double>(number("rope.scaling.factor"));
}

std::string ModelConfig::rope_scaling_type() const {
  constexpr std::string_view kType = "rope.scaling.type", kFactor = "rope.scaling.factor";
  // llama.cpp's files have its factors, and no type.
  if (!has(kType) && checkpoint_->find("rope_factors_long.weight") != nullptr) return "longrope";
  if (!has(kType) && has(kFactor)) {
    // Without a type, the scaling is linear in GGUF files, as in llama.cpp. With config.json, transformers would
    // ignore the factor, which can hardly be intended.
    if (checkpoint_->convention() == Convention::gguf) return rope_factor() != 1 ? "linear" : "none";
    const double factor = as_number(*find(kFactor)).value_or(0);
    require(factor == 1, kFactor,
            "is given without \"rope_type\"; name the scaling (\"linear\", for one), or drop the factor");
    return "none";
  }
  const std::string type = text(kType, "none");
  if (type == "default") return "none";
  if (type == "su") return "longrope";  // its name of 2024
  constexpr std::string_view kTypes[] = {"none", "linear", "ntk", "dynamic", "yarn", "llama3", "longrope"};
  require(std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes), kType,
          in_quotes(type) +
              " is a scaling that this build does not support; it supports linear, ntk, dynamic, yarn, llama3 and "
              "longrope");
  return type;
}

// A divisor for each frequency, of contexts up to that of training and of longer ones; formula of the magnitude: Ding
// et al. 2024, arXiv:2402.13753, as Hugging Face transformers has it.
void ModelConfig::set_longrope(RopeOptions& options, int64_t dims, WeightLoader& loader) const {
  const bool gguf = checkpoint_->convention() == Convention::gguf;
  const int64_t trained = count("rope.scaling.original_context_length");
  const auto divided = [&](const char* key, const std::string& tensor) {
    std::vector<float> frequencies = options.frequencies;
    std::vector<double> by;
    if (gguf) {
      const std::vector<float> factors = loader.vector(tensor, dims / 2);
      if (factors.empty()) throw Error(checkpoint_->path() + ": tensor '" + tensor + "' is missing or does not fit");
      by.assign(factors.begin(), factors.end());
    } else {
      by = numbers(key, frequencies.size());
    }
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const std::string where = gguf ? "in tensor '" + tensor + "'" : "at index " + std::to_string(i);
      require(by[i] > 0, key, "has a factor " + where + " that is not above 0");
      frequencies[i] = static_cast<float>(static_cast<double>(frequencies[i]) / by[i]);
    }
    return frequencies;
  };
  auto longer = divided("rope.scaling.long_factor", "rope_factors_long.weight");
  options.frequencies = divided("rope.scaling.short_factor", "rope_factors_short.weight");
  frequencies_ = [trained, longer = std::move(longer)](int64_t context) {
    return context > trained ? longer : std::vector<float>();
  };
  // config.json may state the factor by which the context grew, or the magnitude that follows; GGUF states the latter.
  if (has("rope.scaling.attn_factor") || gguf) {
    options.scale = number("rope.scaling.attn_factor", 1.0f);
    ignore({"rope.scaling.factor"});
    return;
  }
  const double grown = static_cast<double>(count("context_length")) / static_cast<double>(trained);
  const double factor = static_cast<double>(number("rope.scaling.factor", static_cast<float>(grown)));
  if (factor > 1)
    options.scale = static_cast<float>(std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(trained))));
}

RopeOptions ModelConfig::rope(int64_t head_dim, RopePairs gguf_pairs, WeightLoader& loader) const {
  RopeScaling scaling;
  scaling.base = number("rope.freq_base", 10000.0f);
  const double part = number("rope.partial", 1.0f);
  require(part <= 1, "rope.partial", "is above 1");
  const int64_t dims = count("rope.dimension_count", static_cast<int64_t>(static_cast<double>(head_dim) * part));
  const std::string_view source = has("rope.dimension_count") ? "rope.dimension_count"
                                  : has("rope.partial")       ? "rope.partial"
                                                              : "attention.key_length";
  require(dims % 2 == 0 && dims <= head_dim, source,
          "makes " + std::to_string(dims) + " rotated elements of a head of " + std::to_string(head_dim) +
              "; they must be even and no more than the head");
  scaling.dims = static_cast<int>(dims);
  rotated_ = dims;

  const std::string type = rope_scaling_type();
  const auto positive = [this](std::string_view key, double fallback) {
    return has(key) ? static_cast<double>(number(key)) : fallback;
  };
  if (type == "none") {
    ignore({"rope.scaling.factor", "rope.scaling.original_context_length"});
  } else if (type != "dynamic" && type != "longrope") {
    scaling.factor = rope_factor();
    scaling.original_context =
        static_cast<double>(count("rope.scaling.original_context_length", count("context_length")));
  }
  RopeOptions options;
  options.pairs = checkpoint_->convention() == Convention::gguf ? gguf_pairs : RopePairs::half_split;
  options.base = static_cast<float>(scaling.base);
  if (type == "linear") {
    scaling.type = RopeScaling::Type::linear;
  } else if (type == "ntk") {
    scaling.type = RopeScaling::Type::ntk;
  } else if (type == "yarn") {
    scaling.type = RopeScaling::Type::yarn;
    scaling.beta_fast = positive("rope.scaling.yarn_beta_fast", 32);
    scaling.beta_slow = positive("rope.scaling.yarn_beta_slow", 1);
    scaling.truncate = flag("rope.scaling.truncate", true);
    const double m = positive("rope.scaling.mscale", 0), all = positive("rope.scaling.mscale_all_dim", 0);
    double magnitude = yarn_magnitude(scaling.factor);
    if (m > 0 && all > 0) magnitude = yarn_magnitude(scaling.factor, m) / yarn_magnitude(scaling.factor, all);
    // config.json states the magnitude itself, GGUF a factor of it.
    const double given = positive("rope.scaling.attn_factor", 0);
    if (given > 0) magnitude = checkpoint_->convention() == Convention::gguf ? given * magnitude : given;
    options.scale = static_cast<float>(magnitude);
  } else if (type == "llama3") {
    scaling.type = RopeScaling::Type::llama3;
    scaling.low_frequency_factor = number("rope.scaling.low_freq_factor");
    scaling.high_frequency_factor = number("rope.scaling.high_freq_factor");
    require(scaling.high_frequency_factor > scaling.low_frequency_factor, "rope.scaling.high_freq_factor",
            "is not above low_freq_factor");
  } else if (type == "dynamic") {
    // Within the context length of training nothing changes.
    ignore({"rope.scaling.original_context_length"});
    scaling.factor = number("rope.scaling.factor");
    frequencies_ = [scaling, trained = count("context_length")](int64_t context) -> std::vector<float> {
      if (context <= trained) return {};
      return dynamic_frequencies(scaling, static_cast<double>(context) / static_cast<double>(trained));
    };
  }
  options.frequencies = scaled_frequencies(scaling);
  if (type == "longrope") set_longrope(options, dims, loader);
  const std::string stretched = "rope_freqs.weight";  // the divisor of each frequency
  const std::vector<float> factors = loader.vector(stretched, dims / 2);
  for (size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0))
      throw Error(checkpoint_->path() + ": tensor '" + stretched + "' holds a factor that is not above 0");
    options.frequencies[i] /= factors[i];
  }
  const bool finite =
      std::isfinite(options.scale) && std::all_of(options.frequencies.begin(), options.frequencies.end(),
                                                  [](float frequency) { return std::isfinite(frequency); });
  require(finite, "rope.freq_base", "and the scaling of the context give rotary frequencies that are not finite");
  rope_scale_ = options.scale;
  return options;
}

void ModelConfig::refuse_unknown() const {
  std::string unknown;
  for (const auto& [key, value] : checkpoint_->config()) {
    if (used_.contains(key) || is_harmless(key) || is_off(key, value)) continue;
    unknown += (unknown.empty() ? "" : ", ") + key;
  }
  if (!unknown.empty()) {
    checkpoint_->fail(unknown.substr(0, unknown.find(',')),
                      "is an option that this architecture does not support (all of them: " + unknown + ")");
  }
}

// The extent of an axis that a weight has.
static int64_t weight_extent(const GraphRecord& graph, AxisId axis) {
  for (const ValueRecord& value : graph.values) {
    for (size_t i = 0; value.storage && i < value.axes.size(); ++i) {
      if (value.axes[i] == axis) return value.storage->extents[i];
    }
  }
  throw Error("axis '" + graph.axes[axis].name + "' of the logits is not an axis of a weight");
}

std::shared_ptr<const ModelDeclaration> ModelConfig::declaration(const WeightLoader& loader) const {
  auto declared = std::make_shared<ModelDeclaration>();
  declared->weights = loader.declared();
  declared->windows = windows_;
  declared->has_window_pattern = has_window_pattern_;
  declared->rotated = rotated_;
  declared->rope_scale = rope_scale_;
  for (const auto& [key, value] : took_) {
    const std::string_view name = key;
    const bool is_common =
        std::any_of(std::begin(kKeys), std::end(kKeys), [&](const KeyNames& k) { return k.gguf == name; });
    const bool elsewhere = name.starts_with("rope.") || name.starts_with("attention.sliding_window");
    if (is_common ? !elsewhere : key_of_family(key) != nullptr) declared->config.emplace(key, value);
  }
  return declared;
}

LanguageModel ModelConfig::describe(Graph& graph, const Batch& batch, ValueId logits, AxisId rows, AxisId vocab) const {
  LanguageModel model;
  model.architecture = checkpoint_->architecture();
  model.name = checkpoint_->name();
  model.graph = graph.record();
  model.tokens = batch.tokens.id();
  model.position = batch.pos.id();
  model.sequence = batch.seq.id();
  model.slots = batch.slots.id();
  model.last = batch.last.id();
  model.logits = logits;
  model.pos_axis = graph.axis<Pos>();
  model.rows_axis = rows;
  model.vocab = weight_extent(*model.graph, vocab);
  model.context_length = count("context_length");
  model.frequencies = frequencies_;
  refuse_unknown();
  return model;
}

}  // namespace weft
