#include "runtime/plan/schedule.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/align.h"
#include "core/error.h"
#include "core/record/visit.h"
#include "runtime/plan/extents.h"

namespace weft {

namespace {

template <class T>
void sort_unique(std::vector<T>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

// Inputs and intermediate values among a step's operands, each once, ascending.
std::vector<ValueId> activations_read(const GraphRecord& graph, const Step& step) {
  std::vector<ValueId> values;
  for_each_operand(step, [&](const Operand& operand) {
    const ValueKind kind = graph.values[operand.value].kind;
    if (kind == ValueKind::input || kind == ValueKind::intermediate) values.push_back(operand.value);
  });
  sort_unique(values);
  return values;
}

// --- equal left-hand rows ---

// Operands have indices of their own in each region: compared is what they stand for.
bool same_operand(const Region& a, int of_a, const Region& b, int of_b) {
  const Operand& x = a.operands[static_cast<size_t>(of_a)];
  const Operand& y = b.operands[static_cast<size_t>(of_b)];
  const auto same_axis = [&](const ViewAxis& v, const ViewAxis& w) {
    if (v.axis != w.axis || v.stored != w.stored || v.begin != w.begin) return false;
    if (v.gather < 0 || w.gather < 0) return v.gather == w.gather;
    return same_operand(a, v.gather, b, w.gather);
  };
  return x.value == y.value && std::equal(x.view.begin(), x.view.end(), y.view.begin(), y.view.end(), same_axis);
}

bool same_program(const Region& a, const ScalarProgram& of_a, const Region& b, const ScalarProgram& of_b) {
  const auto same_instr = [&](ScalarInstr x, ScalarInstr y) {
    if (x.op == y.op && (x.op == ScalarOp::load || x.op == ScalarOp::lookup)) {
      if (!same_operand(a, x.imm, b, y.imm)) return false;
      y.imm = x.imm;
    }
    return x == y;
  };
  return std::equal(of_a.code.begin(), of_a.code.end(), of_b.code.begin(), of_b.code.end(), same_instr);
}

bool same_source(const Region& a, const Source& x, const Region& b, const Source& y) {
  const auto same_reduction = [&](const Reduction& r, const Reduction& s) {
    return r.op == s.op && same_program(a, r.program, b, s.program);
  };
  return x.axes == y.axes && x.reduced == y.reduced &&
         std::equal(x.reductions.begin(), x.reductions.end(), y.reductions.begin(), y.reductions.end(),
                    same_reduction) &&
         same_program(a, x.program, b, y.program);
}

const Region& region_of(const GraphRecord& graph, const ContractionRef& ref) {
  return graph.steps[ref.step].regions[ref.region];
}

const Contraction& contraction_of(const GraphRecord& graph, const ContractionRef& ref) {
  return region_of(graph, ref).contractions[ref.contraction];
}

const Source& rows_of(const GraphRecord& graph, const ContractionRef& ref) {
  return region_of(graph, ref).lhs[static_cast<size_t>(contraction_of(graph, ref).lhs)];
}

bool same_rows(const GraphRecord& graph, const ContractionRef& a, const ContractionRef& b) {
  return contraction_of(graph, a).over == contraction_of(graph, b).over &&
         same_source(region_of(graph, a), rows_of(graph, a), region_of(graph, b), rows_of(graph, b));
}

std::vector<std::vector<ContractionRef>> find_shared_rows(const GraphRecord& graph, std::span<const size_t> group) {
  std::vector<std::vector<ContractionRef>> classes;
  for (const size_t step : group) {
    const std::vector<Region>& regions = graph.steps[step].regions;
    for (size_t r = 0; r < regions.size(); ++r) {
      if (regions[r].attention) continue;  // its left-hand rows are queries, which its own kernel brings into form
      for (size_t c = 0; c < regions[r].contractions.size(); ++c) {
        const ContractionRef ref{step, r, c};
        const auto found = std::find_if(classes.begin(), classes.end(),
                                        [&](const auto& known) { return same_rows(graph, known.front(), ref); });
        if (found != classes.end()) found->push_back(ref);
        else classes.push_back({ref});
      }
    }
  }
  std::erase_if(classes, [](const auto& known) { return known.size() < 2; });
  return classes;
}

// --- groups ---

// Fills in what follows from the steps of each group.
void complete(Schedule& schedule, const GraphRecord& graph) {
  schedule.group_of.assign(graph.steps.size(), 0);
  for (size_t g = 0; g < schedule.groups.size(); ++g) {
    StepGroup& group = schedule.groups[g];
    std::vector<ValueId> read;
    for (const size_t step : group.steps) {
      schedule.group_of[step] = g;
      const std::vector<ValueId> values = activations_read(graph, graph.steps[step]);
      read.insert(read.end(), values.begin(), values.end());
    }
    std::sort(read.begin(), read.end());
    group.shared.clear();
    for (size_t i = 1; i < read.size(); ++i) {
      const bool counted = !group.shared.empty() && group.shared.back() == read[i];
      if (read[i] == read[i - 1] && !counted) group.shared.push_back(read[i]);
    }
    group.shared_rows = find_shared_rows(graph, group.steps);
  }
}

// Which steps write and read the intermediate values of a graph, and how large these are.
class ValueUses {
 public:
  ValueUses(const GraphRecord& graph, const int64_t* extents) : graph_(graph), bytes_(graph.values.size()) {
    for (const Step& step : graph.steps) {
      reads_.push_back(values_read(graph, step));
      for (const ValueId value : step.outputs) {
        const bool counts = graph.values[value].kind == ValueKind::intermediate;
        if (counts) bytes_[value] = value_bytes(graph, value, extents);
      }
    }
  }

  // Bytes of the values that are alive at each of `count` times; step i runs at time `at[i]`.
  std::vector<size_t> alive(std::span<const size_t> at, size_t count) const {
    std::vector<size_t> first(bytes_.size()), last(bytes_.size());
    for (size_t step = 0; step < at.size(); ++step) {
      for (const ValueId value : graph_.steps[step].outputs) {
        first[value] = at[step];
        last[value] = std::max(last[value], at[step]);
      }
      for (const ValueId value : reads_[step]) last[value] = std::max(last[value], at[step]);
    }
    for (const ValueId result : graph_.results) last[result] = count;
    std::vector<size_t> begins(count + 1), ends(count + 1);
    for (size_t value = 0; value < bytes_.size(); ++value) {
      begins[first[value]] += bytes_[value];
      ends[last[value]] += bytes_[value];
    }
    std::vector<size_t> bytes(count);
    for (size_t i = 0, now = 0; i < count; ++i) {
      bytes[i] = now += begins[i];
      now -= ends[i];
    }
    return bytes;
  }

 private:
  const GraphRecord& graph_;
  std::vector<std::vector<ValueId>> reads_;  // by step
  std::vector<size_t> bytes_;                // by value; 0 where no step writes it, or to a cache
};

class Scheduler {
 public:
  Scheduler(const GraphRecord& graph, const int64_t* extents, std::vector<DeviceIndex> devices)
      : graph_(graph),
        steps_(graph.steps.size()),
        dependencies_(step_dependencies(graph)),
        uses_(graph, extents),
        readers_(graph.values.size()),
        ended_(steps_) {
    schedule_.devices = std::move(devices);
    for (size_t s = 0; s < steps_; ++s) {
      activations_.push_back(activations_read(graph, graph.steps[s]));
      for (const ValueId value : activations_.back()) readers_[value].push_back(s);
    }
    most_ = peak({});
  }

  Schedule run() && {
    for (size_t leader = 0; leader < steps_; ++leader) {
      if (ended_[leader]) continue;
      StepGroup group{schedule_.devices[leader], {leader}, {}, {}};
      for (const size_t step : candidates(leader)) {
        if (!is_ready(step) || schedule_.devices[step] != group.device) continue;
        group.steps.push_back(step);
        if (peak(group.steps) <= most_) continue;
        group.steps.pop_back();  // and so would the steps behind it, mostly
        break;
      }
      for (const size_t step : group.steps) ended_[step] = true;
      schedule_.groups.push_back(std::move(group));
    }
    complete(schedule_, graph_);
    return std::move(schedule_);
  }

 private:
  // Later steps that share an activation with `leader`, in their order.
  std::vector<size_t> candidates(size_t leader) const {
    std::vector<size_t> found;
    for (const ValueId value : activations_[leader]) {
      for (const size_t step : readers_[value]) {
        if (step > leader && !ended_[step]) found.push_back(step);
      }
    }
    sort_unique(found);
    return found;
  }

  bool is_ready(size_t step) const {
    return std::all_of(dependencies_[step].begin(), dependencies_[step].end(),
                       [this](size_t before) { return ended_[before]; });
  }

  // The most bytes of intermediate values that are alive at once if the groups so far are followed by `group`, and
  // then by every other step on its own.
  size_t peak(std::span<const size_t> group) const {
    std::vector<size_t> at(steps_);
    size_t count = 0;
    for (const StepGroup& before : schedule_.groups) {
      for (const size_t step : before.steps) at[step] = count;
      ++count;
    }
    const auto in_group = [&](size_t step) { return std::binary_search(group.begin(), group.end(), step); };
    for (const size_t step : group) at[step] = count;
    if (!group.empty()) ++count;
    for (size_t step = 0; step < steps_; ++step) {
      if (!ended_[step] && !in_group(step)) at[step] = count++;
    }

    const std::vector<size_t> alive = uses_.alive(at, count);
    return alive.empty() ? 0 : *std::max_element(alive.begin(), alive.end());
  }

  const GraphRecord& graph_;
  size_t steps_;
  std::vector<std::vector<size_t>> dependencies_;
  ValueUses uses_;
  std::vector<std::vector<ValueId>> activations_;  // by step
  std::vector<std::vector<size_t>> readers_;       // by value, of activations
  std::vector<bool> ended_;                        // by step: in a group so far
  size_t most_ = 0;
  Schedule schedule_;
};

// --- text ---

// "norm of x", "map of x and y", "x".
std::string rows_text(const GraphRecord& graph, const ContractionRef& ref,
                      const std::function<std::string(ValueId)>& name_of, std::vector<ValueId>& named) {
  const Region& region = region_of(graph, ref);
  const Source& source = rows_of(graph, ref);
  std::string names;
  for_each_program(source, [&](const ScalarProgram& program) {
    for (const ScalarInstr& instr : program.code) {
      if (instr.op != ScalarOp::load && instr.op != ScalarOp::lookup) continue;
      const ValueId value = region.operands[static_cast<size_t>(instr.imm)].value;
      if (graph.values[value].kind == ValueKind::weight) continue;
      if (std::find(named.begin(), named.end(), value) != named.end()) continue;
      named.push_back(value);
      names += (names.empty() ? "" : " and ") + name_of(value);
    }
  });
  if (names.empty()) return names;
  const bool computes = source.program.code.size() > 1;
  return (!source.reductions.empty() ? "norm of " : computes ? "map of " : "") + names;
}

}  // namespace

std::vector<ValueId> values_read(const GraphRecord& graph, const Step& step) {
  std::vector<ValueId> values;
  for_each_operand(step, [&](const Operand& operand) {
    values.push_back(operand.value);
    const int cache = graph.values[operand.value].cache;
    if (cache >= 0) values.push_back(graph.caches[static_cast<size_t>(cache)].seq);
  });
  if (step.cache >= 0) {
    const CacheRecord& cache = graph.caches[static_cast<size_t>(step.cache)];
    values.insert(values.end(), {cache.pos_values, cache.slots, cache.seq});
  }
  for (const Region& region : step.regions) {
    if (!region.scan) continue;
    const StateRecord& state = graph.states[static_cast<size_t>(region.scan->state)];
    values.insert(values.end(), {state.from, state.to});
  }
  std::erase(values, kNoValue);
  sort_unique(values);
  return values;
}

std::vector<std::vector<size_t>> step_dependencies(const GraphRecord& graph) {
  constexpr auto kNone = static_cast<size_t>(-1);
  std::vector<std::vector<size_t>> dependencies(graph.steps.size());
  std::vector<size_t> writer(graph.values.size(), kNone);
  struct CacheUse {
    size_t append = kNone;        // the last one
    std::vector<size_t> readers;  // since then
  };
  std::vector<CacheUse> uses(graph.caches.size());
  for (size_t s = 0; s < graph.steps.size(); ++s) {
    const Step& step = graph.steps[s];
    std::vector<size_t>& before = dependencies[s];
    std::vector<int> read;
    for (const ValueId value : values_read(graph, step)) {
      if (graph.values[value].cache >= 0) read.push_back(graph.values[value].cache);
      else if (writer[value] != kNone) before.push_back(writer[value]);
    }
    sort_unique(read);
    for (const int cache : read) {
      CacheUse& use = uses[static_cast<size_t>(cache)];
      if (use.append != kNone) before.push_back(use.append);
      use.readers.push_back(s);
    }
    if (step.cache >= 0) {
      CacheUse& use = uses[static_cast<size_t>(step.cache)];
      if (use.append != kNone) before.push_back(use.append);
      before.insert(before.end(), use.readers.begin(), use.readers.end());
      use = {s, {}};
    }
    for (const ValueId output : step.outputs) writer[output] = s;
    sort_unique(before);
    std::erase(before, s);
  }
  return dependencies;
}

Schedule schedule_steps(const GraphRecord& graph, const int64_t* extents, std::span<const DeviceIndex> devices) {
  std::vector<DeviceIndex> of_step(devices.begin(), devices.end());
  if (of_step.empty()) of_step.assign(graph.steps.size(), 0);
  if (of_step.size() != graph.steps.size()) {
    throw Error("schedule: " + std::to_string(of_step.size()) + " devices are given for " +
                std::to_string(graph.steps.size()) + " steps");
  }
  return Scheduler(graph, extents, std::move(of_step)).run();
}

bool limit_memory(Schedule& schedule, const GraphRecord& graph, const int64_t* extents,
                  std::span<const size_t> scratch_bytes) {
  constexpr size_t kUnnoticed = size_t{4} << 20;
  const ValueUses uses(graph, extents);
  std::vector<size_t> recorded(graph.steps.size());
  std::iota(recorded.begin(), recorded.end(), size_t{0});
  const std::vector<size_t> alone = uses.alive(recorded, recorded.size());
  const std::vector<size_t> together = uses.alive(schedule.group_of, schedule.groups.size());
  size_t most = 0;
  for (const size_t step : recorded) most = std::max(most, alone[step] + align_up(scratch_bytes[step]));
  most += std::max(most / 2, kUnnoticed);

  std::vector<StepGroup> groups;
  for (size_t g = 0; g < schedule.groups.size(); ++g) {
    const StepGroup& group = schedule.groups[g];
    size_t bytes = 0;
    for (const size_t step : group.steps) {
      const size_t own = align_up(scratch_bytes[step]);
      if (step == group.steps.front() || together[g] + bytes + own > most) {
        groups.push_back({group.device, {}, {}, {}});
        bytes = 0;
      }
      groups.back().steps.push_back(step);
      bytes += own;
    }
  }
  if (groups.size() == schedule.groups.size()) return false;
  schedule.groups = std::move(groups);
  complete(schedule, graph);
  return true;
}

std::vector<std::string> shared_inputs(const GraphRecord& graph, const StepGroup& group,
                                       const std::function<std::string(ValueId)>& name_of) {
  std::vector<std::string> texts;
  std::vector<ValueId> named;
  for (const std::vector<ContractionRef>& rows : group.shared_rows) {
    const size_t first = rows.front().step;
    if (std::all_of(rows.begin(), rows.end(), [first](const auto& ref) { return ref.step == first; })) continue;
    std::string text = rows_text(graph, rows.front(), name_of, named);
    if (!text.empty()) texts.push_back(std::move(text));
  }
  for (const ValueId value : group.shared) {
    if (std::find(named.begin(), named.end(), value) == named.end()) texts.push_back(name_of(value));
  }
  return texts;
}

std::string to_string(const GraphRecord& graph, const Schedule& schedule) {
  std::string text;
  for (size_t g = 0; g < schedule.groups.size(); ++g) {
    const StepGroup& group = schedule.groups[g];
    text += "group " + std::to_string(g) + " on device " + std::to_string(group.device) + ":";
    for (size_t i = 0; i < group.steps.size(); ++i) text += (i > 0 ? ", " : " ") + graph.steps[group.steps[i]].name;
    const auto name_of = [&graph](ValueId value) { return graph.values[value].name; };
    const std::vector<std::string> shared = shared_inputs(graph, group, name_of);
    for (size_t i = 0; i < shared.size(); ++i) text += (i > 0 ? ", " : "; shared: ") + shared[i];
    text += "\n";
  }
  return text;
}

}  // namespace weft
