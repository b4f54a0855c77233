#include "runtime/plan/plan.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <set>

#include "core/align.h"
#include "core/comma_list.h"
#include "core/error.h"
#include "core/record/verify.h"
#include "gpu/device.h"
#include "runtime/plan/available_memory.h"
#include "runtime/plan/plan_state.h"
#include "runtime/plan/run_trace.h"

namespace weft {

namespace {

// --- passes ---

void verify_records(const GraphRecord& graph) {
  verify(graph);
  for (const CacheRecord& cache : graph.caches) {
    for (const ValueId value : {cache.seq, cache.slots}) {
      if (value == kNoValue) throw Error("cache '" + cache.name + "' does not say where its tokens lie");
      if (graph.values[value].kind != ValueKind::input) {
        throw Error("cache '" + cache.name + "': '" + graph.values[value].name +
                    "' says where its tokens lie, so it must be an input");
      }
    }
  }
}

void bind_extents(PlanState& state, const Limits& limits) {
  const GraphRecord& graph = *state.graph;
  state.known = ExtentTable::of_graph(graph);
  state.limits = ExtentTable::of_limits(state.known, limits);
  state.current = state.known;
  state.used = used_axes(graph);
  state.checked_ids = find_checked_ids(graph);
  std::set<const Storage*> counted;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    value_bytes(graph, static_cast<ValueId>(i), state.limits.data());
    const ValueRecord& value = graph.values[i];
    if (value.kind == ValueKind::weight && counted.insert(value.storage.get()).second) {
      state.memory.weights += value.storage->bytes();
    }
  }
}

void select_kernels(PlanState& state) {
  if (state.device.is_cpu()) {
    state.executor = make_cpu_executor(state.graph, state.device);
  } else {
    if (!state.options.pack_cache.empty() && state.options.warn) {
      state.options.warn(state.options.pack_cache +
                         ": no packed weights are kept there for OpenCL, which packs them anew");
    }
    state.executor = make_gpu_executor(state.graph, state.device.gpu());
  }
  state.steps = state.executor->select_kernels(state.limits, state.options, state.schedule);
  state.memory.packed_weights = state.executor->packed_weight_bytes();
  state.memory.mapped_weights = state.executor->mapped_weight_bytes();
  state.memory.replaced_weights = state.executor->replaced_weight_bytes();
}

// A value lives from the group that writes it to the last group that reads it; results live to the end.
void find_lives(PlanState& state) {
  const GraphRecord& graph = *state.graph;
  std::vector<int> first(graph.values.size(), -1), last(graph.values.size(), -1);
  for (size_t s = 0; s < graph.steps.size(); ++s) {
    const auto group = static_cast<int>(state.schedule.group_of[s]);
    for (const ValueId value : graph.steps[s].outputs) first[value] = last[value] = std::max(last[value], group);
    for (const ValueId value : values_read(graph, graph.steps[s])) last[value] = std::max(last[value], group);
  }
  for (const ValueId result : graph.results) last[result] = static_cast<int>(state.schedule.groups.size());
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].kind != ValueKind::intermediate || first[i] < 0) continue;
    const auto id = static_cast<ValueId>(i);
    state.live_ids.push_back(id);
    state.lives.push_back({value_bytes(graph, id, state.limits.data()), first[i], last[i]});
  }
}

// Whether it has changed the schedule.
bool limit_scratch(PlanState& state) {
  if (!state.executor->overlaps_steps()) return false;
  std::vector<size_t> bytes;
  for (const StepInfo& step : state.steps) bytes.push_back(step.scratch_bytes);
  return limit_memory(state.schedule, *state.graph, state.limits.data(), bytes);
}

// Scratch lives while its group runs: that of its steps side by side, or in the same place if these do not overlap.
void find_scratch(PlanState& state) {
  const bool side_by_side = state.executor->overlaps_steps();
  state.arena.scratch.assign(state.steps.size(), 0);
  std::vector<size_t> needed(state.schedule.groups.size());  // by group
  for (size_t g = 0; g < state.schedule.groups.size(); ++g) {
    size_t at = 0, bytes = 0;
    for (const size_t step : state.schedule.groups[g].steps) {
      state.arena.scratch[step] = at;
      bytes = std::max(bytes, at + align_up(state.steps[step].scratch_bytes));
      if (side_by_side) at = bytes;
    }
    state.lives.push_back({bytes, static_cast<int>(g), static_cast<int>(g)});
    needed[g] = bytes;
  }
  for (const GroupScratch& scratch : state.executor->group_scratch()) {
    const size_t first = state.schedule.group_of[scratch.steps.front()];
    const size_t last = state.schedule.group_of[scratch.steps.back()];
    state.lives.push_back({scratch.bytes, static_cast<int>(first), static_cast<int>(last)});
    for (size_t g = first; g <= last; ++g) needed[g] += scratch.bytes;
  }
  for (const size_t bytes : needed) state.memory.scratch = std::max(state.memory.scratch, bytes);
}

void plan_arena(PlanState& state) {
  find_lives(state);
  find_scratch(state);
  state.memory_plan = plan_memory(state.lives);
  check_memory_plan(state.lives, state.memory_plan);
  state.arena.offsets.assign(state.graph->values.size(), ArenaLayout::kNotInArena);
  state.arena.bytes = state.memory_plan.bytes;
  const size_t values = state.live_ids.size();
  for (size_t i = 0; i < values; ++i) {
    state.arena.offsets[state.live_ids[i]] = state.memory_plan.offsets[i];
    state.memory.intermediates += state.lives[i].bytes;
  }
  for (size_t s = 0; s < state.steps.size(); ++s) {
    state.arena.scratch[s] += state.memory_plan.offsets[values + state.schedule.group_of[s]];
  }
  state.arena.group.assign(state.steps.size(), ArenaLayout::kNotInArena);
  size_t life = values + state.schedule.groups.size();
  for (const GroupScratch& scratch : state.executor->group_scratch()) {
    for (const size_t step : scratch.steps) state.arena.group[step] = state.memory_plan.offsets[life];
    ++life;
  }
  state.memory.arena = state.memory_plan.bytes;
}

void allocate(PlanState& state) {
  const size_t wanted = state.memory.arena;
  PlanMemory taken;
  taken.weights = state.memory.weights;
  const size_t available = std::min(available_memory(state.device, taken), largest_block(state.device));
  if (wanted > available) {
    throw Error("the values of a step take " + bytes_text(wanted) + ", and " + bytes_text(available) +
                " are available" + (state.device.is_cpu() ? "" : " on " + state.device.name()) +
                ": steps of fewer tokens (-b, --chunk) take less");
  }
  state.inputs.assign(state.graph->values.size(), nullptr);
  state.executor->allocate(state.arena, state.schedule);
}

// --- what the passes print ---

bool prints(const PlanOptions& options) {
  const char* wanted = std::getenv("WEFT_PRINT_PASSES");
  return options.print_passes || (wanted != nullptr && std::string_view(wanted) != "0" && *wanted != '\0');
}

void print_verified(const PlanState& state) {
  const GraphRecord& graph = *state.graph;
  std::cerr << "pass verify: " << graph.steps.size() << " steps, " << graph.values.size() << " values, "
            << graph.caches.size() << " caches\n";
  for (const Step& step : graph.steps) std::cerr << to_string(graph, step);
}

void print_cache_formats(const PlanState& state) {
  const GraphRecord& graph = *state.graph;
  if (graph.caches.empty()) return;
  std::cerr << "pass store caches: " << state.cache_fallbacks.size() << " fields not as asked for\n";
  for (const CacheRecord& cache : graph.caches) {
    for (const ValueId field : cache.fields) {
      std::cerr << "  '" << graph.values[field].name << "' in " << name(graph.values[field].format) << "\n";
    }
  }
}

void print_bound(const PlanState& state) {
  std::cerr << "pass bind: " << state.memory.weights << " bytes of weights\n";
  for (size_t i = 0; i < state.graph->axes.size(); ++i) {
    const auto axis = static_cast<AxisId>(i);
    if (!state.limits.known(axis)) continue;
    std::cerr << "  axis " << state.graph->axes[i].name << (state.known.known(axis) ? " = " : " <= ")
              << state.limits[axis] << "\n";
  }
}

void print_scheduled(const PlanState& state) {
  std::cerr << "pass schedule: " << state.schedule.groups.size() << " groups\n"
            << to_string(*state.graph, state.schedule);
}

void print_selected(const PlanState& state) {
  std::cerr << "pass select kernels, pack weights: " << state.memory.packed_weights << " bytes packed\n";
  for (size_t i = 0; i < state.steps.size(); ++i) {
    std::cerr << "  step " << i << " '" << state.graph->steps[i].name << "': " << state.steps[i].kernel << ", "
              << state.steps[i].scratch_bytes << " bytes of scratch\n";
  }
}

void print_memory(const PlanState& state) {
  std::cerr << "pass plan memory: arena of " << state.memory.arena << " bytes for " << state.memory.intermediates
            << " bytes of values, scratch of " << state.memory.scratch << " bytes\n";
  for (size_t i = 0; i < state.live_ids.size(); ++i) {
    std::cerr << "  '" << state.graph->values[state.live_ids[i]].name << "' at " << state.memory_plan.offsets[i] << ", "
              << state.lives[i].bytes << " bytes, groups " << state.lives[i].first << " to " << state.lives[i].last
              << "\n";
  }
}

// So that profiled runs do not allocate.
void reserve_times(PlanState& state) {
  for (StepInfo& step : state.steps) step.times.reserve();
  state.run_times.reserve(), state.start_times.reserve();
}

}  // namespace

Plan compile(const Device& device, std::shared_ptr<const GraphRecord> graph, const Limits& limits,
             const PlanOptions& options) {
  if (graph == nullptr) throw Error("compile: no graph was given: the pointer is null");
  // A copy: the graph may be recorded into while the plan runs, and the plan says how its caches are stored.
  const auto records = std::make_shared<GraphRecord>(*graph);
  auto state = std::make_unique<PlanState>(device, records, options);
  const bool print = prints(options);
  verify_records(*records);
  if (print) print_verified(*state);
  state->cache_fallbacks = set_cache_formats(*records, options.cache_k, options.cache_v);
  verify(*records);
  if (print) print_cache_formats(*state);
  bind_extents(*state, limits);
  if (print) print_bound(*state);
  state->schedule = schedule_steps(*state->graph, state->limits.data());
  if (print) print_scheduled(*state);
  select_kernels(*state);  // requests weights in the layout that each kernel reads, and so packs them
  if (print) print_selected(*state);
  if (limit_scratch(*state) && print) print_scheduled(*state);
  plan_arena(*state);
  if (print) print_memory(*state);
  allocate(*state);
  if (options.profile) reserve_times(*state);
  return Plan(std::move(state));
}

namespace {

template <class Rows>
std::string names_of(const Rows& rows) {
  std::vector<std::string> names;
  for (const ProductRow* row : rows) names.push_back(row->name);
  return comma_list(names);
}

}  // namespace

std::string cpu_kernel_names() { return names_of(kernel_table().products()); }
std::string opencl_kernel_names() { return names_of(GpuDevice::kernels()); }

Plan::Plan(std::unique_ptr<PlanState> state) : state_(std::move(state)) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

PlanState& Plan::state() const {
  if (state_ == nullptr) throw Error("a plan is used after it was moved from");
  return *state_;
}

const GraphRecord& Plan::graph() const { return *state().graph; }
const Device& Plan::device() const { return state().device; }
const PlanOptions& Plan::options() const { return state().options; }
const Schedule& Plan::schedule() const { return state().schedule; }
std::span<const int64_t> Plan::barriers() const {
  return state().has_run ? state_->executor->barriers() : std::span<const int64_t>();
}
const std::vector<StepInfo>& Plan::steps() const { return state().steps; }
void Plan::clear_profile() {
  for (StepInfo& step : state().steps) {
    step.times.clear();
    step.ran.clear();
  }
  state_->run_times.clear(), state_->start_times.clear();
}
void Plan::trace(RunTrace* trace) { state().trace = trace; }
std::vector<ArenaPart> Plan::arena() const {
  std::vector<ArenaPart> parts;
  for (size_t i = 0; i < state().lives.size(); ++i) {
    const LiveValue& life = state_->lives[i];
    parts.push_back({.value = i < state_->live_ids.size() ? state_->live_ids[i] : kNoValue,
                     .offset = state_->memory_plan.offsets[i],
                     .bytes = life.bytes,
                     .first_group = static_cast<size_t>(life.first),
                     .last_group = static_cast<size_t>(life.last)});
  }
  return parts;
}
void Plan::profile(bool on) {
  state().options.profile = on;
  if (on) reserve_times(*state_);
}
const RunTimes& Plan::run_times() const { return state().run_times; }
const RunTimes& Plan::start_times() const { return state().start_times; }
std::vector<double> Plan::seconds_per_run() const {
  std::vector<double> seconds;
  for (const StepInfo& step : state().steps) {
    if (step.times.runs() > 0) seconds.push_back(step.times.mean());
  }
  return seconds;
}
std::vector<std::string> Plan::kernels_that_ran() const {
  std::vector<std::string> names;
  for (const StepInfo& step : state().steps) {
    if (step.times.runs() > 0) names.push_back(comma_list(step.ran));
  }
  return names;
}
const PlanMemory& Plan::memory() const { return state().memory; }
const ExtentTable& Plan::known_extents() const { return state().known; }
const ExtentTable& Plan::limits() const { return state().limits; }

Bindings Plan::bindings() const { return Bindings(state().graph); }

std::shared_ptr<CachePool> Plan::make_cache_pool(std::span<const int64_t> slots_of_group, int64_t state_slots) const {
  const auto check_axes = [&](const char* what, const std::string& owner, std::span<const AxisId> axes) {
    for (const AxisId axis : axes) {
      if (state_->known.known(axis)) continue;
      throw Error(std::string(what) + " '" + owner + "' has axis '" + state().graph->axes[axis].name +
                  "', whose extent may differ from run to run: it must be fixed, or that of a weight");
    }
  };
  for (const StateRecord& record : state().graph->states) {
    check_axes("state", record.name, state_->graph->values[record.value].axes);
  }
  for (const CacheRecord& cache : state().graph->caches) {
    if (static_cast<size_t>(cache.group) >= slots_of_group.size()) {
      throw Error("cache '" + cache.name + "' belongs to group " + std::to_string(cache.group) +
                  ", and slots are given for " + std::to_string(slots_of_group.size()) + " groups");
    }
    for (const ValueId value : cache_values(cache)) {
      check_axes("cache", cache.name, std::span(state_->graph->values[value].axes).subspan(1));
    }
  }
  return state_->executor->make_cache_pool(slots_of_group, state_slots, state_->known.data());
}

void Plan::run(const Bindings& bindings) {
  using Clock = std::chrono::steady_clock;
  const bool profiled = state().options.profile;
  RunTrace* const trace = state_->trace;
  const bool timed = profiled || trace != nullptr;
  const auto begin = timed ? Clock::now() : Clock::time_point();
  state_->has_run = false;
  state_->check(bindings);
  std::copy(bindings.data_.begin(), bindings.data_.end(), state_->inputs.begin());
  const RunArgs args{state_->current.data(), state_->inputs.data(), bindings.pages_.data(), bindings.pool_};
  state_->executor->run(args, {.profile = profiled ? state_->steps.data() : nullptr,
                               .starts = &state_->start_times,
                               .trace = trace != nullptr ? &trace->team : nullptr});
  const auto end = timed ? Clock::now() : Clock::time_point();
  if (profiled) state_->run_times.add(std::chrono::duration<double>(end - begin).count());
  if (trace != nullptr) {
    trace->runs.push_back({begin, end, {state_->current.data(), state_->current.data() + graph().axes.size()}});
  }
  state_->has_run = true;
}

Output Plan::output(ValueId value) {
  const GraphRecord& graph = *state().graph;
  if (value == kNoValue) throw Error("output: the handle has no value");
  if (std::find(graph.results.begin(), graph.results.end(), value) == graph.results.end()) {
    throw Error("value " +
                (value < graph.values.size() ? "'" + graph.values[value].name + "'" : std::to_string(value)) +
                " is not among the graph's results");
  }
  if (!state_->has_run) throw Error("output: '" + graph.values[value].name + "' has no value before a run");
  const ValueRecord& record = graph.values[value];
  Output output;
  output.format = record.format;
  output.rank = static_cast<int>(record.axes.size());
  for (size_t i = 0; i < record.axes.size(); ++i) output.extents[i] = state_->current[record.axes[i]];
  switch (record.kind) {
    case ValueKind::input: output.data = state_->inputs[value]; break;
    case ValueKind::weight: output.data = record.storage->stored(); break;
    default: output.data = state_->executor->read(value, value_bytes(graph, value, state_->current.data()));
  }
  return output;
}

int64_t Output::elements() const {
  int64_t count = 1;
  for (int i = 0; i < rank; ++i) count *= extents[i];
  return count;
}

void Output::check() const {
  if (data == nullptr && elements() != 0) throw Error("the result has no value");
}

std::span<const float> Output::floats() const {
  check();
  if (format != Format::f32) throw Error("the result holds " + std::string(name(format)) + ", not F32");
  return {static_cast<const float*>(data), static_cast<size_t>(elements())};
}

std::span<const int32_t> Output::ints() const {
  check();
  if (format != Format::i32) throw Error("the result holds " + std::string(name(format)) + ", not I32");
  return {static_cast<const int32_t*>(data), static_cast<size_t>(elements())};
}

size_t slot_bytes(const GraphRecord& graph, ValueId id, const int64_t* extents) {
  const ValueRecord& value = graph.values[id];
  const FormatInfo& format = info(value.format);
  size_t elements = 1;
  for (size_t i = value.is_cached() ? 1 : 0; i < value.axes.size(); ++i)
    elements *= static_cast<size_t>(extents[value.axes[i]]);
  return elements / format.block_elements * format.block_bytes;
}

void check_pool(const GraphRecord& graph, const GraphRecord* of) {
  if ((graph.caches.empty() && graph.states.empty()) || of == &graph) return;
  throw Error("the caches bound to this run belong to another plan's graph or device");
}

std::vector<ValueId> cache_values(const CacheRecord& cache) {
  std::vector<ValueId> values = cache.fields;
  if (cache.positions != kNoValue) values.push_back(cache.positions);
  return values;
}

}  // namespace weft
