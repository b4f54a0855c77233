// Hyperparameters and options of a model. Keys are GGUF's, without the architecture prefix
// ("attention.head_count"); those of config.json are looked up by their names there, to which a family may add
// (ModelFamily::keys). Every option counts: one that the model's code never reads and that may change the computation
// is an error.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/expr/batch.h"
#include "ops/rope/rope.h"
#include "runtime/files/checkpoint.h"
#include "runtime/files/language_model.h"
#include "runtime/files/model_declaration.h"
#include "runtime/files/model_family.h"
#include "runtime/files/rope_scaling.h"
#include "runtime/files/weight_loader.h"

namespace weft {

// Layers whose queries see equally far back share the page tables of their caches.
class WindowGroups {
 public:
  int of(int64_t window) {  // 0: everything
    const auto known = std::find(windows_.begin(), windows_.end(), static_cast<int32_t>(window));
    const auto group = static_cast<int>(known - windows_.begin());
    if (known == windows_.end()) windows_.push_back(static_cast<int32_t>(window));
    return group;
  }
  const std::vector<int32_t>& windows() const { return windows_; }

 private:
  std::vector<int32_t> windows_;  // by group
};

// Which window options a family has, and the defaults where a file does not state them.
struct WindowRule {
  bool allowed = false;   // whether any are allowed
  bool switches = false;  // use_sliding_window and max_window_layers
  int64_t period = 0;     // every `period`-th layer sees everything; 0: none does
};

// For one thread at a time, including const members: they note which keys were read.
class ModelConfig {
 public:
  // Throws Error for weights that are quantized in a way that this build does not read.
  explicit ModelConfig(std::shared_ptr<const Checkpoint> checkpoint);

  const std::shared_ptr<const Checkpoint>& checkpoint() const { return checkpoint_; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // Numbers and flags may be lists with a value per layer, all equal. Throws Error, naming file, key and layer,
  // for a list of another length, or one whose layers differ.
  //
  // An integer from 1 to 2^31 - 1, which may be written as a float ("32.0"). Throws Error, naming file and key,
  // for anything else; absent without a fallback too.
  int64_t count(std::string_view key, std::optional<int64_t> fallback = std::nullopt) const;
  // A finite number above 0.
  float number(std::string_view key, std::optional<float> fallback = std::nullopt) const;
  bool flag(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  std::vector<std::string> texts(std::string_view key) const;  // empty if absent
  // Lists of `count` numbers (as many as there are, without a count); a single number stands for that many equal ones.
  // Throws Error, naming file and key, for a key that is absent, a list of another length, and an element, with its
  // index, that is not a finite number; of `counts`, not an integer from 0 to 2^31 - 1.
  std::vector<double> numbers(std::string_view key, std::optional<size_t> count = std::nullopt) const;
  std::vector<int64_t> counts(std::string_view key, std::optional<size_t> count = std::nullopt) const;
  // block_count; at most the number of tensors, so that a wrong value costs nothing.
  size_t layers() const;
  // How far each layer's queries see back, themselves included; 0: everything. From attention.sliding_window (one
  // for all layers, or a list), layer_types or attention.sliding_window_pattern (a flag per layer, or an integer
  // N: every Nth layer sees everything), and what else the rule allows.
  std::vector<int64_t> windows(const WindowRule& rule) const;
  // Rotary embedding for heads of `head_dim`: base, partial rotation, and scaled contexts (linear, ntk, dynamic, yarn,
  // llama3, longrope; or the file's tensor rope_freqs.weight). GGUF files have the rows of Q and K in the order of
  // `gguf_pairs`; config.json's models are half_split. Sources of the formulas are at rope_scaling.h.
  RopeOptions rope(int64_t head_dim, RopePairs gguf_pairs, WeightLoader& loader) const;
  // "none", "linear", "ntk", "dynamic", "yarn", "llama3" or "longrope". Throws Error for others, and for a factor in
  // config.json whose type is missing.
  std::string rope_scaling_type() const;

  // Throws Error for `key` unless `holds`.
  void require(bool holds, std::string_view key, std::string_view reason) const;
  // Keys whose values this architecture does not use.
  void ignore(std::initializer_list<std::string_view> keys) const;

  // Throws Error that lists every option that was never read, unless it is known to change nothing or is switched
  // off (false, 0, "none").
  void refuse_unknown() const;

  // Describes the recorded graph: `logits` becomes its result. Refuses unknown options. With the loader of its weights,
  // the model can be converted.
  template <Axis Rows, Axis Vocab>
  LanguageModel model(Graph& graph, const Batch& batch, const Value<f32, Rows, Vocab>& logits,
                      std::vector<int32_t> windows = {}, const WeightLoader* loader = nullptr) const {
    graph.result(logits);
    LanguageModel model = describe(graph, batch, logits.id(), graph.axis<Rows>(), graph.axis<Vocab>());
    model.windows = std::move(windows);
    if (loader != nullptr) model.declaration = declaration(*loader);
    return model;
  }
  // The same for a model without logits, an encoder say, whose results are then named: model.result("hidden", x). Ids
  // of tokens are below the extent of `Vocab`, an axis of one of its weights.
  template <Axis Vocab>
  LanguageModel model(Graph& graph, const Batch& batch, std::vector<int32_t> windows = {},
                      const WeightLoader* loader = nullptr) const {
    LanguageModel model = describe(graph, batch, kNoValue, graph.axis<Seq>(), graph.axis<Vocab>());
    model.windows = std::move(windows);
    if (loader != nullptr) model.declaration = declaration(*loader);
    return model;
  }
  // Anything but rows of logits.
  template <class Other>
  LanguageModel model(Graph&, const Batch&, const Other&, std::vector<int32_t> = {},
                      const WeightLoader* = nullptr) const {
    using Why = refused<op::model, wanted_rows_and_vocabulary, found<Other>>;
    static_assert(Why::value, "refused: see this error's types");
    return {};
  }

 private:
  std::vector<std::string_view> names_of(std::string_view key) const;
  const ConfigValue* find(std::string_view key) const;            // null if absent; notes that the key was read
  std::optional<ConfigValue> common(std::string_view key) const;  // the value of all layers; nothing if absent
  void check_length(std::string_view key, size_t values) const;   // one per layer
  int64_t integer(std::string_view key, const ConfigValue& value, int64_t least) const;
  std::vector<bool> sliding_layers(const WindowRule& rule) const;
  double rope_factor() const;
  void set_longrope(RopeOptions& options, int64_t dims, WeightLoader& loader) const;
  std::string_view given_name(std::string_view key) const;
  [[noreturn]] void fail(std::string_view key, std::string_view reason) const;
  const ConfigKey* key_of_family(std::string_view key) const;  // null if it declares none
  // Notes which value a model used for a key; `declaration` passes it on.
  template <class Value>
  Value took(std::string_view key, Value value) const {
    took_.insert_or_assign(std::string(key), ConfigValue(value));
    return value;
  }
  std::shared_ptr<const ModelDeclaration> declaration(const WeightLoader& loader) const;
  LanguageModel describe(Graph& graph, const Batch& batch, ValueId logits, AxisId rows, AxisId vocab) const;

  std::shared_ptr<const Checkpoint> checkpoint_;
  const ModelFamily* family_;  // null if it is not declared
  mutable std::map<std::string, ConfigValue, std::less<>> took_;
  mutable std::vector<int64_t> windows_;  // of each layer
  mutable bool has_window_pattern_ = false;
  mutable int64_t rotated_ = 0;  // elements of a head that `rope` said
  mutable float rope_scale_ = 1;
  // What `rope` found, if it depends on the context: see LanguageModel::frequencies.
  mutable std::function<std::vector<float>(int64_t)> frequencies_;
  mutable std::set<std::string, std::less<>> used_;  // keys as the checkpoint has them
};

}  // namespace weft
