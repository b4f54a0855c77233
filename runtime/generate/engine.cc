#include "runtime/generate/engine.h"

#include <algorithm>

#include "core/error.h"
#include "core/record/axis_list.h"
#include "core/record/verify.h"
#include "runtime/plan/cache_formats.h"

namespace weft {

namespace {

constexpr int32_t kDefaultContext = 4096;

// The graph with rotary frequencies for that context.
std::shared_ptr<const GraphRecord> stretched(const LanguageModel& model, int64_t context) {
  if (!model.frequencies) return model.graph;
  const auto frequencies = std::make_shared<const std::vector<float>>(model.frequencies(context));
  if (frequencies->empty()) return model.graph;
  auto graph = std::make_shared<GraphRecord>(*model.graph);
  for (Step& step : graph->steps) {
    for (Region& region : step.regions) {
      if (region.rotation) region.rotation->frequencies = frequencies;
    }
  }
  return graph;
}

}  // namespace

EngineOptions Engine::complete(EngineOptions options, const LanguageModel& model) {
  check_model(model);
  const auto trained = static_cast<int32_t>(std::min<int64_t>(model.context_length, kDefaultContext));
  if (options.context == 0) options.context = trained > 0 ? trained : kDefaultContext;
  if (options.context < 1) throw Error("the context must be at least 1 token, not " + std::to_string(options.context));
  if (options.sequences < 1)
    throw Error("an engine needs at least 1 sequence, not " + std::to_string(options.sequences));
  if (options.batch < 1) throw Error("the batch must be at least 1 token, not " + std::to_string(options.batch));
  if (options.logit_rows == 0) options.logit_rows = options.sequences;
  const int64_t tokens = options.cache_tokens > 0 ? options.cache_tokens : int64_t{options.sequences} * options.context;
  options.batch = static_cast<int32_t>(std::min<int64_t>(options.batch, tokens));
  options.logit_rows = std::min(options.logit_rows, options.batch);
  return options;
}

KvCacheOptions Engine::cache_options(const LanguageModel& model, const EngineOptions& options) {
  return {options.sequences, options.context, options.cache_tokens, options.page_size, options.batch, model.windows};
}

Plan Engine::compile_model(const LanguageModel& model, const Device& device, const EngineOptions& options) {
  // The cache is created last; one that cannot fit is reported before weights are packed.
  verify(*model.graph);
  GraphRecord stored = *model.graph;
  set_cache_formats(stored, options.cache_k, options.cache_v);
  PagedKvCache::check_memory(stored, device, {}, cache_options(model, options));
  Limits limits;
  limits.set(model.pos_axis, options.batch).set(model.rows_axis, options.logit_rows);
  AxisList keys;
  for (const CacheRecord& cache : model.graph->caches) add_axis(keys, cache.key);
  for (const AxisId key : keys) limits.set(key, options.context);
  PlanOptions plan_options;
  plan_options.precision = options.precision;
  plan_options.kernel = options.kernel;
  plan_options.cache_k = options.cache_k;
  plan_options.cache_v = options.cache_v;
  plan_options.pack_cache = options.pack_cache;
  plan_options.warn = options.warn;
  plan_options.profile = options.profile;
  return compile(device, stretched(model, options.context), limits, plan_options);
}

Engine::Engine(LanguageModel model, const Device& device, const EngineOptions& options)
    : model_(std::move(model)),
      options_(complete(options, model_)),
      plan_(compile_model(model_, device, options_)),
      cache_(plan_, cache_options(model_, options_)),
      bindings_(plan_.bindings()),
      slots_(static_cast<size_t>(cache_.groups())),
      slot_cursors_(slots_.size()),
      in_step_(static_cast<size_t>(options_.sequences)) {
  const auto batch = static_cast<size_t>(options_.batch);
  for (std::vector<int32_t>* input : {&tokens_, &positions_, &sequences_}) input->resize(batch);
  for (std::vector<int32_t>& slots : slots_) slots.resize(batch);
  last_.resize(static_cast<size_t>(options_.logit_rows));
  for (const CacheRecord& cache : model_.graph->caches) {
    const std::pair input{cache.slots, cache.group};
    if (std::find(slot_inputs_.begin(), slot_inputs_.end(), input) == slot_inputs_.end()) {
      slot_inputs_.push_back(input);
    }
  }
  // An input needs data even if no cache reads it.
  const bool used = std::any_of(slot_inputs_.begin(), slot_inputs_.end(),
                                [this](const auto& input) { return input.first == model_.slots; });
  if (!used && model_.slots != kNoValue) slot_inputs_.emplace_back(model_.slots, 0);
}

void Engine::add(int32_t sequence, std::span<const int32_t> tokens, WantLogits want) {
  const auto count = static_cast<int32_t>(std::min<size_t>(tokens.size(), static_cast<size_t>(options_.batch) + 1));
  const int32_t length = cache_.length(sequence);  // throws for a sequence that is not open
  if (count == 0) throw Error("a step needs at least one token of sequence " + std::to_string(sequence));
  if (in_step_[static_cast<size_t>(sequence)] != 0) {
    throw Error("sequence " + std::to_string(sequence) + " is in this step already");
  }
  if (count > options_.batch - count_) {
    throw Error("a step takes at most " + std::to_string(options_.batch) + " tokens");
  }
  const int32_t rows = want == WantLogits::all ? count : want == WantLogits::last ? 1 : 0;
  if (rows > options_.logit_rows - rows_) {
    throw Error("a step gives at most " + std::to_string(options_.logit_rows) + " rows of logits");
  }
  for (const int32_t token : tokens) {
    if (token < 0 || token >= model_.vocab) {
      throw Error("token " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(model_.vocab));
    }
  }
  const auto begin = static_cast<size_t>(count_);
  for (size_t group = 0; group < slots_.size(); ++group) slot_cursors_[group] = slots_[group].data() + begin;
  cache_.append(sequence, count, slot_cursors_);

  std::copy(tokens.begin(), tokens.end(), tokens_.data() + begin);
  for (int32_t i = 0; i < count; ++i) positions_[begin + static_cast<size_t>(i)] = length + i;
  std::fill_n(sequences_.data() + begin, count, sequence);
  for (int32_t i = count - rows; i < count; ++i) last_[static_cast<size_t>(rows_++)] = count_ + i;
  count_ += count;
  in_step_[static_cast<size_t>(sequence)] = count;
}

void Engine::run() {
  const std::array<int64_t, 1> count{count_}, rows{rows_};
  const auto bind = [this](ValueId value, const std::vector<int32_t>& data, const std::array<int64_t, 1>& extent) {
    if (value != kNoValue) bindings_.input(value, data.data(), extent);
  };
  bind(model_.tokens, tokens_, count);
  bind(model_.position, positions_, count);
  bind(model_.sequence, sequences_, count);
  bind(model_.last, last_, rows);
  for (const auto& [value, group] : slot_inputs_) bind(value, slots_[static_cast<size_t>(group)], count);
  cache_.bind(bindings_);
  run_count_ = count_;
  run_rows_ = rows_;
  logits_ = nullptr;
  count_ = 0;
  rows_ = 0;
  try {
    if (count[0] != 0) plan_.run(bindings_);
  } catch (...) {
    // The step's tokens were given slots, but nothing was written there: forget them.
    run_count_ = 0;
    run_rows_ = 0;
    for (size_t sequence = 0; sequence < in_step_.size(); ++sequence) {
      if (in_step_[sequence] == 0) continue;
      const auto id = static_cast<int32_t>(sequence);
      cache_.trim(id, cache_.length(id) - in_step_[sequence]);
    }
    std::fill(in_step_.begin(), in_step_.end(), 0);
    throw;
  }
  for (size_t sequence = 0; sequence < in_step_.size(); ++sequence) {
    if (in_step_[sequence] != 0) cache_.release_passed(static_cast<int32_t>(sequence));
  }
  std::fill(in_step_.begin(), in_step_.end(), 0);
}

std::span<const int32_t> Engine::slots(int group) const {
  cache_.block_tables(group);  // throws for a group that does not exist
  return std::span(slots_[static_cast<size_t>(group)]).first(static_cast<size_t>(run_count_));
}

std::span<const float> Engine::logits(int32_t row) {
  plan_.graph();  // throws after a move
  if (row < 0 || row >= run_rows_) {
    throw Error("there is no row " + std::to_string(row) + " of logits: the step gave " + std::to_string(run_rows_));
  }
  if (logits_ == nullptr) logits_ = plan_.output(model_.logits).floats().data();  // on a GPU: waits and copies
  const auto vocab = static_cast<size_t>(model_.vocab);
  return {logits_ + static_cast<size_t>(row) * vocab, vocab};
}

std::span<const float> Engine::prefill(int32_t sequence, std::span<const int32_t> tokens, int32_t chunk) {
  if (chunk <= 0 || chunk > options_.batch) chunk = options_.batch;
  for (size_t begin = 0; begin < tokens.size();) {
    const size_t count = std::min(static_cast<size_t>(chunk), tokens.size() - begin);
    const bool is_last = begin + count == tokens.size();
    add(sequence, tokens.subspan(begin, count), is_last ? WantLogits::last : WantLogits::none);
    run();
    begin += count;
  }
  return logits(0);
}

std::span<const float> Engine::decode(int32_t sequence, int32_t token) {
  add(sequence, {&token, 1}, WantLogits::last);
  run();
  return logits(0);
}

}  // namespace weft
