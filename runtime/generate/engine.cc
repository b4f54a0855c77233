#include "runtime/generate/engine.h"

#include <algorithm>

#include "core/comma_list.h"
#include "core/error.h"
#include "core/record/axis_list.h"
#include "core/record/verify.h"
#include "core/record/visit.h"
#include "runtime/plan/cache_formats.h"
#include "runtime/plan/needed_steps.h"

namespace weft {

namespace {

constexpr int32_t kDefaultContext = 4096;

std::string quoted(const std::string& text) { return "'" + text + "'"; }

bool is_read(const GraphRecord& graph, ValueId value) {
  bool found = false;
  for (const Step& step : graph.steps) {
    for_each_operand(step, [&](const Operand& operand) { found |= operand.value == value; });
  }
  return found;
}

// kNoValue: there is none.
ValueId find_result(const LanguageModel& model, std::string_view name) {
  if (name == "logits") return model.logits;
  const auto of_name = [name](const NamedResult& result) { return result.name == name; };
  const auto found = std::find_if(model.results.begin(), model.results.end(), of_name);
  return found == model.results.end() ? kNoValue : found->value;
}

[[noreturn]] void refuse_result(const LanguageModel& model, std::string_view name) {
  std::vector<std::string> names;
  if (model.logits != kNoValue) names.push_back(quoted("logits"));
  for (const NamedResult& result : model.results) names.push_back(quoted(result.name));
  throw Error("the model has no result " + quoted(std::string(name)) + ": there are " + comma_list(names));
}

// The model with the results that `wanted` names, and the steps that they need.
LanguageModel with_results(LanguageModel model, const std::vector<std::string>& wanted) {
  check_model(model);
  if (wanted.empty()) return model;
  std::vector<ValueId> values;
  for (const std::string& name : wanted) {
    const ValueId value = find_result(model, name);
    if (value == kNoValue) refuse_result(model, name);
    values.push_back(value);
  }
  model.graph = std::make_shared<const GraphRecord>(with_results(*model.graph, values));
  return model;
}

// Says how a limit is given where an input needs one.
void check_input_limits(const GraphRecord& graph, const Limits& limits) {
  ExtentTable known = ExtentTable::of_graph(graph);
  for (const auto& [axis, extent] : limits.extents) {
    if (!known.known(axis)) known.set_by_caller(axis, extent);
  }
  known.apply_rules();
  for (const ValueRecord& value : graph.values) {
    if (value.kind != ValueKind::input) continue;
    for (const AxisId axis : value.axes) {
      if (known.known(axis)) continue;
      const std::string& axis_name = graph.axes[axis].name;
      throw Error("input " + quoted(value.name) + " over " + axes_text(graph, value.axes) + ": axis " +
                  quoted(axis_name) + " has no limit; the model states one: model.limit<A>(extent), or its `limits`");
    }
  }
}

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

// Each once, with the group of its caches.
std::vector<std::pair<ValueId, int>> Engine::slot_inputs(const LanguageModel& model) {
  std::vector<std::pair<ValueId, int>> inputs;
  for (const CacheRecord& cache : model.graph->caches) {
    const std::pair input{cache.slots, cache.group};
    if (std::find(inputs.begin(), inputs.end(), input) == inputs.end()) inputs.push_back(input);
  }
  // An input needs data even if no cache reads it.
  const bool used =
      std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.first == model.slots; });
  if (!used && model.slots != kNoValue) inputs.emplace_back(model.slots, 0);
  return inputs;
}

// All states of a graph move together; null: it has none.
const StateRecord* Engine::states() const {
  return model_.graph->states.empty() ? nullptr : &model_.graph->states.front();
}

std::vector<ValueId> Engine::filled_inputs() const {
  std::vector<ValueId> filled = {model_.tokens, model_.position, model_.sequence, model_.last};
  for (const auto& [value, group] : slot_inputs_) filled.push_back(value);
  if (const StateRecord* state = states()) filled.insert(filled.end(), {state->from, state->to});
  return filled;
}

EngineOptions Engine::complete(EngineOptions options, const LanguageModel& model) {
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
  return {options.sequences, options.context, options.cache_tokens, options.page_size,
          options.batch,     model.windows,   options.state_memory};
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
  for (const auto& limit : model.limits) {
    const auto is_of = [&](const SequenceAxis& sequence) { return sequence.axis == limit.first; };
    const bool of_sequences = std::any_of(model.sequence_axes.begin(), model.sequence_axes.end(), is_of);
    limits.set(limit.first, of_sequences ? limit.second * options.sequences : limit.second);
  }
  check_input_limits(*model.graph, limits);
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
    : model_(with_results(std::move(model), options.results)),
      options_(complete(options, model_)),
      plan_(compile_model(model_, device, options_)),
      cache_(plan_, cache_options(model_, options_)),
      bindings_(plan_.bindings()),
      slots_(static_cast<size_t>(cache_.groups())),
      slot_cursors_(slots_.size()),
      slot_inputs_(slot_inputs(model_)),
      inputs_(model_, plan_, filled_inputs(), options_.sequences),
      in_step_(static_cast<size_t>(options_.sequences)) {
  const auto batch = static_cast<size_t>(options_.batch);
  for (std::vector<int32_t>* input : {&tokens_, &positions_, &sequences_}) input->resize(batch);
  for (std::vector<int32_t>& slots : slots_) slots.resize(batch);
  last_.resize(static_cast<size_t>(options_.logit_rows));
  if (states() != nullptr) {
    state_from_.resize(batch);
    state_to_.resize(batch);
  }
  reads_tokens_ = model_.tokens != kNoValue && is_read(*model_.graph, model_.tokens);
}

void Engine::add(int32_t sequence, std::span<const int32_t> tokens, WantLogits want) {
  plan_.graph();  // throws after a move
  if (!reads_tokens_) throw Error("the model reads no tokens: add() takes how many places the step has");
  for (const int32_t token : tokens) {
    if (token < 0 || token >= model_.vocab) {
      throw Error("token " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(model_.vocab));
    }
  }
  const int32_t begin = count_;
  add_places(sequence, static_cast<int32_t>(std::min<size_t>(tokens.size(), INT32_MAX)), want);
  std::copy(tokens.begin(), tokens.end(), tokens_.data() + begin);
}

void Engine::add(int32_t sequence, int32_t count, WantLogits want) {
  plan_.graph();
  if (reads_tokens_) throw Error("the model reads tokens: add() takes their ids, not how many there are");
  if (count < 0) throw Error("a step cannot have " + std::to_string(count) + " tokens");
  add_places(sequence, count, want);
}

void Engine::add_places(int32_t sequence, int32_t count, WantLogits want) {
  const int32_t length = cache_.length(sequence);  // throws for a sequence that is not open
  if (count == 0) throw Error("a step needs at least one token of sequence " + std::to_string(sequence));
  if (in_step_[static_cast<size_t>(sequence)] != 0) {
    throw Error("sequence " + std::to_string(sequence) + " is in this step already");
  }
  if (model_.bidirectional && length != 0) {
    throw Error("sequence " + std::to_string(sequence) + " has " + std::to_string(length) +
                " tokens, and this model reads all tokens of a sequence in one step");
  }
  if (count > options_.batch - count_) {
    throw Error("a step takes at most " + std::to_string(options_.batch) + " tokens" +
                (model_.bidirectional ? ", and this model reads all " + std::to_string(count) +
                                            " of the sequence in one step: a larger batch is needed (-b)"
                                      : ""));
  }
  const int32_t rows = want == WantLogits::all ? count : want == WantLogits::last ? 1 : 0;
  if (rows > options_.logit_rows - rows_) {
    throw Error("a step gives at most " + std::to_string(options_.logit_rows) + " rows of logits");
  }
  const auto begin = static_cast<size_t>(count_);
  for (size_t group = 0; group < slots_.size(); ++group) slot_cursors_[group] = slots_[group].data() + begin;
  cache_.append(sequence, count, slot_cursors_);
  if (states() != nullptr) {
    const StateSlots::Move move = cache_.state_move(sequence);
    std::fill_n(state_from_.data() + begin, count, kSameRun);
    std::fill_n(state_to_.data() + begin, count, -1);
    state_from_[begin] = move.from;
    state_to_[begin + static_cast<size_t>(count) - 1] = move.to;
  }

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
  if (const StateRecord* state = states()) {
    bind(state->from, state_from_, count);
    bind(state->to, state_to_, count);
  }
  cache_.bind(bindings_);
  run_count_ = 0;
  run_rows_ = 0;
  logits_ = nullptr;
  try {
    inputs_.check(in_step_, count_, rows_, cache_);
    inputs_.bind(bindings_);
    if (count_ != 0) plan_.run(bindings_);
  } catch (...) {
    forget_step();
    throw;
  }
  for (size_t sequence = 0; sequence < in_step_.size(); ++sequence) {
    if (in_step_[sequence] != 0) cache_.release_passed(static_cast<int32_t>(sequence));
  }
  run_count_ = count_;
  run_rows_ = rows_;
  end_step();
}

// The step's tokens were given slots, but nothing was written there.
void Engine::forget_step() {
  for (size_t sequence = 0; sequence < in_step_.size(); ++sequence) {
    if (in_step_[sequence] == 0) continue;
    const auto id = static_cast<int32_t>(sequence);
    if (cache_.opening(id) != 0) cache_.take_back(id, in_step_[sequence]);  // 0: closed since
  }
  end_step();
}

void Engine::end_step() {
  inputs_.end_step();
  cache_.settle();
  count_ = 0;
  rows_ = 0;
  std::fill(in_step_.begin(), in_step_.end(), 0);
}

bool Engine::is_computed(std::string_view name) const {
  const std::vector<std::string>& wanted = options_.results;
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
}

bool Engine::has_logits() const { return model_.logits != kNoValue && is_computed("logits"); }

Output Engine::output(std::string_view name) {
  plan_.graph();  // throws after a move
  const ValueId value = find_result(model_, name);
  if (value == kNoValue) refuse_result(model_, name);
  if (!is_computed(name))
    throw Error("result " + quoted(std::string(name)) + " is not among those that EngineOptions names");
  if (run_count_ == 0) throw Error("result " + quoted(std::string(name)) + ": no step has been run");
  return plan_.output(value);
}

Output Engine::result(std::string_view name, Element element, std::span<const AxisInfo* const> axes) {
  const Output output = this->output(name);
  const GraphRecord& graph = plan_.graph();
  const ValueRecord& value = graph.values[find_result(model_, name)];
  bool same = value.element() == element && value.axes.size() == axes.size();
  for (size_t i = 0; same && i < axes.size(); ++i) same = is_axis(graph.axes[value.axes[i]], *axes[i]);
  if (same) return output;
  throw Error("result " + quoted(std::string(name)) + " is " + std::string(weft::name(value.element())) + " over " +
              axes_text(graph, value.axes) + ", and was asked for as " + std::string(weft::name(element)) + " over " +
              axes_text(axes));
}

std::span<const int32_t> Engine::slots(int group) const {
  cache_.block_tables(group);  // throws for a group that does not exist
  return std::span(slots_[static_cast<size_t>(group)]).first(static_cast<size_t>(run_count_));
}

std::span<const float> Engine::logits(int32_t row) {
  plan_.graph();  // throws after a move
  if (!has_logits()) throw Error("the engine computes no logits");
  if (row < 0 || row >= run_rows_) {
    throw Error("there is no row " + std::to_string(row) + " of logits: the step gave " + std::to_string(run_rows_));
  }
  if (logits_ == nullptr) logits_ = plan_.output(model_.logits).floats().data();  // on a GPU: waits and copies
  const auto vocab = static_cast<size_t>(model_.vocab);
  return {logits_ + static_cast<size_t>(row) * vocab, vocab};
}

std::span<const float> Engine::prefill(int32_t sequence, std::span<const int32_t> tokens, int32_t chunk) {
  if (chunk <= 0 || chunk > options_.batch) chunk = options_.batch;
  if (model_.bidirectional) chunk = static_cast<int32_t>(std::min<size_t>(tokens.size(), INT32_MAX));  // or an error
  for (size_t begin = 0; begin < tokens.size();) {
    const size_t count = std::min(static_cast<size_t>(chunk), tokens.size() - begin);
    const bool is_last = begin + count == tokens.size();
    add(sequence, tokens.subspan(begin, count), is_last ? WantLogits::last : WantLogits::none);
    run();
    begin += count;
  }
  return logits_or_none();
}

std::span<const float> Engine::decode(int32_t sequence, int32_t token) {
  add(sequence, {&token, 1}, WantLogits::last);
  run();
  return logits_or_none();
}

std::span<const float> Engine::logits_or_none() { return has_logits() ? logits(0) : std::span<const float>(); }

}  // namespace weft
