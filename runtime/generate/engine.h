// Running a language model: ragged steps over several sequences, chunked prefill, decoding.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/files/language_model.h"
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
  size_t state_memory = size_t{256} << 20;            // as KvCacheOptions::state_memory
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
  // Throws Error for options out of range, and where the cache or the values of a step take more memory than is
  // available: before it is allocated.
  Engine(LanguageModel model, const Device& device, const EngineOptions& options = {});
  Engine(Engine&&) noexcept = default;
  Engine& operator=(Engine&&) noexcept = default;

  const LanguageModel& model() const { return model_; }
  Plan& plan() { return plan_; }
  const Plan& plan() const { return plan_; }
  int32_t context() const { return cache_.max_length(); }
  int32_t batch() const { return options_.batch; }
  int32_t logit_rows() const { return options_.logit_rows; }

  // Sequences: open, fork (the new one begins with `count` tokens of another, in shared pages), trim, close.
  PagedKvCache& cache() { return cache_; }
  const PagedKvCache& cache() const { return cache_; }

  // A step: add tokens of any sequences, each sequence at most once, then run. Tokens follow those that the
  // sequence has. `add` throws Error for an id outside the vocabulary, for more than `batch` tokens in the step,
  // more than `logit_rows` rows, or a sequence longer than the context.
  void add(int32_t sequence, std::span<const int32_t> tokens, WantLogits want);
  void run();

  // Rows of the last run, in the order in which they were requested; valid until the next run.
  int32_t rows() const { return run_rows_; }
  std::span<const float> logits(int32_t row);
  // Where the last run wrote its tokens in the caches of `group`, in the order in which they were added.
  std::span<const int32_t> slots(int group) const;

  // Evaluates all `tokens`, in chunks of at most `chunk` (0: the batch); returns the logits of the last.
  std::span<const float> prefill(int32_t sequence, std::span<const int32_t> tokens, int32_t chunk = 0);
  // Evaluates one token; returns its logits.
  std::span<const float> decode(int32_t sequence, int32_t token);

 private:
  static EngineOptions complete(EngineOptions options, const LanguageModel& model);
  static KvCacheOptions cache_options(const LanguageModel& model, const EngineOptions& options);
  static Plan compile_model(const LanguageModel& model, const Device& device, const EngineOptions& options);

  LanguageModel model_;
  EngineOptions options_;
  Plan plan_;
  PagedKvCache cache_;
  Bindings bindings_;
  std::vector<int32_t> tokens_, positions_, sequences_, last_;  // [batch], [batch], [batch], [logit_rows]
  std::vector<std::vector<int32_t>> slots_;                     // [groups][batch]
  std::vector<int32_t*> slot_cursors_;                          // [groups]
  std::vector<std::pair<ValueId, int>> slot_inputs_;            // input, group
  ValueId state_from_input_ = kNoValue, state_to_input_ = kNoValue;
  std::vector<int32_t> state_from_, state_to_;  // [batch], where the model has states
  std::vector<int32_t> in_step_;                // [sequences]: tokens in the step being built
  int32_t count_ = 0, rows_ = 0, run_count_ = 0, run_rows_ = 0;
  const float* logits_ = nullptr;
};

}  // namespace weft
