// Running a language model: ragged steps over several sequences, chunked prefill, decoding.
//
//   Engine engine(model, Device::cpu());
//   const int32_t sequence = engine.cache().open();
//   engine.input("frames", sequence, frames);              // what the model reads besides tokens, by name:
//   engine.add(sequence, tokens, WantLogits::last);        // a Tensor or TensorView, whose axes must be the input's
//   engine.run();
//   const auto hidden = engine.result<f32, Seq, Embed>("hidden");  // a TensorView of what the model names
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor_view.h"
#include "runtime/files/language_model.h"
#include "runtime/generate/engine_inputs.h"
#include "runtime/generate/kv_cache.h"
#include "runtime/plan/plan.h"

namespace weft {

struct EngineOptions {
  Precision precision = Precision::fast;
  std::string kernel = {};   // as PlanOptions::kernel
  int32_t context = 0;       // tokens per sequence; 0: the training length of the model, at most 4096
  int32_t sequences = 1;     // at a time
  int64_t cache_tokens = 0;  // of all sequences together; 0: sequences * context
  int32_t batch = 512;       // the most tokens of one step; longer prompts are processed in chunks
  int32_t logit_rows = 0;    // the most rows of logits of one step; 0: one per sequence
  int32_t page_size = 32;
  size_t state_memory = size_t{256} << 20;  // as KvCacheOptions::state_memory
  std::vector<std::string> results = {};    // what is computed: "logits", names of LanguageModel::results; empty: all
  std::optional<Format> cache_k = {}, cache_v = {};   // as PlanOptions::cache_k and cache_v
  std::string pack_cache = {};                        // as PlanOptions::pack_cache
  std::function<void(const std::string&)> warn = {};  // as PlanOptions::warn
  bool profile = false;
};

enum class WantLogits : uint8_t { none, last, all };

// One plan, one KV cache, and the inputs of a step. After construction nothing here allocates. For one thread at a
// time; engines are independent, even on one device or with one model.
class Engine {
 public:
  // Throws Error for options out of range, for inputs and results of the model that an engine cannot bind, and where
  // the cache or the values of a step take more memory than is available: before it is allocated.
  Engine(LanguageModel model, const Device& device, const EngineOptions& options = {});
  Engine(Engine&&) noexcept = default;
  Engine& operator=(Engine&&) noexcept = default;

  const LanguageModel& model() const { return model_; }
  Plan& plan() { return plan_; }
  const Plan& plan() const { return plan_; }
  int32_t context() const { return cache_.max_length(); }
  int32_t batch() const { return options_.batch; }
  int32_t logit_rows() const { return options_.logit_rows; }
  bool has_logits() const;  // whether the model has, and EngineOptions::results lets it compute, any

  // Sequences: open, fork (the new one begins with `count` tokens of another, in shared pages), trim, close.
  PagedKvCache& cache() { return cache_; }
  const PagedKvCache& cache() const { return cache_; }

  // A step: add tokens of any sequences, each sequence at most once, then run. Tokens follow those that the
  // sequence has. `add` throws Error for an id outside the vocabulary, for more than `batch` tokens in the step,
  // more than `logit_rows` rows, a sequence longer than the context, or, where the model is bidirectional, one that has
  // tokens already.
  void add(int32_t sequence, std::span<const int32_t> tokens, WantLogits want);
  // The same for a model that reads no tokens but other inputs, which have a row for each of `count` places.
  void add(int32_t sequence, int32_t count, WantLogits want);
  // Throws Error, naming the input, where one was not given. A step that fails is forgotten, its tokens too.
  void run();

  // Copies values, a Tensor or TensorView, for the model's input of this name: see LanguageModel. Rows for the tokens
  // of the step, or for its rows of logits, may be given before or after these are added, at once or in parts, in the
  // order of the tokens. Throws Error for a name that there is not, for another element or other axes than the input
  // has, and for extents that disagree with the model, its limits, or what was given before.
  template <class Values>
  void input(std::string_view name, const Values& values) {
    static_assert(is_viewable<Values>, "Engine::input takes a Tensor or TensorView of f32, i32 or bool");
    if constexpr (is_viewable<Values>) give(name, as_view(values), EngineInputs::kNoSequence);
  }
  // The same for an input that belongs to sequences; kept until others are given, or the sequence is closed. A fork is
  // given its own.
  template <class Values>
  void input(std::string_view name, int32_t sequence, const Values& values) {
    static_assert(is_viewable<Values>, "Engine::input takes a Tensor or TensorView of f32, i32 or bool");
    if constexpr (is_viewable<Values>) give(name, as_view(values), sequence);
  }

  // Rows of the last run, in the order in which they were requested; valid until the next run.
  int32_t rows() const { return run_rows_; }
  std::span<const float> logits(int32_t row);
  // A result of the last run by its name; valid until the next. Throws Error for a name that there is not, or that
  // EngineOptions::results leaves out, and for another element or other axes than the result has.
  template <ComputeElement T, Axis... A>
  TensorView<T, A...> result(std::string_view name) {
    using View = TensorView<T, A...>;
    const Output output = result(name, element_of<T>, View::kAxes);
    typename View::Extents extents;
    std::copy_n(output.extents, sizeof...(A), extents.begin());
    return {extents, {static_cast<const T*>(output.data), static_cast<size_t>(output.elements())}};
  }
  // The same, whatever its axes.
  Output output(std::string_view name);
  // Where the last run wrote its tokens in the caches of `group`, in the order in which they were added.
  std::span<const int32_t> slots(int group) const;

  // Evaluates all `tokens`, in chunks of at most `chunk` (0: the batch); returns the logits of the last,
  // if there are any.
  std::span<const float> prefill(int32_t sequence, std::span<const int32_t> tokens, int32_t chunk = 0);
  // Evaluates one token; returns its logits, if there are any.
  std::span<const float> decode(int32_t sequence, int32_t token);

 private:
  static EngineOptions complete(EngineOptions options, const LanguageModel& model);
  static KvCacheOptions cache_options(const LanguageModel& model, const EngineOptions& options);
  static Plan compile_model(const LanguageModel& model, const Device& device, const EngineOptions& options);

  template <class T, class... A>
  void give(std::string_view name, const TensorView<T, A...>& view, int32_t sequence) {
    inputs_.give(name, {element_of<T>, view.kAxes, view.extents(), view.values().data()}, sequence, cache_);
  }
  Output result(std::string_view name, Element element, std::span<const AxisInfo* const> axes);
  static std::vector<std::pair<ValueId, int>> slot_inputs(const LanguageModel& model);
  std::vector<ValueId> filled_inputs() const;
  const StateRecord* states() const;
  // Makes room for `count` tokens and fills what the step says of them, but for their ids.
  void add_places(int32_t sequence, int32_t count, WantLogits want);
  void forget_step();
  bool is_computed(std::string_view name) const;
  std::span<const float> logits_or_none();
  void end_step();

  LanguageModel model_;
  EngineOptions options_;
  Plan plan_;
  PagedKvCache cache_;
  Bindings bindings_;
  bool reads_tokens_ = false;
  std::vector<int32_t> tokens_, positions_, sequences_, last_;  // [batch], [batch], [batch], [logit_rows]
  std::vector<std::vector<int32_t>> slots_;                     // [groups][batch]
  std::vector<int32_t*> slot_cursors_;                          // [groups]
  std::vector<std::pair<ValueId, int>> slot_inputs_;            // input, group
  std::vector<int32_t> state_from_, state_to_;                  // [batch], where the model has states
  EngineInputs inputs_;
  std::vector<int32_t> in_step_;  // [sequences]: tokens in the step being built
  int32_t count_ = 0, rows_ = 0, run_count_ = 0, run_rows_ = 0;
  const float* logits_ = nullptr;
};

}  // namespace weft
