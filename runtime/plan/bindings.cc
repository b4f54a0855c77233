// The inputs of a run, and the one place where they are checked.
#include <algorithm>

#include "core/error.h"
#include "core/record/view.h"
#include "core/record/visit.h"
#include "runtime/plan/plan_state.h"

namespace weft {

namespace {

constexpr int64_t kNotBound = -2;  // in the first extent of an input's row

std::string quoted(const std::string& text) { return "'" + text + "'"; }

}  // namespace

Bindings::Bindings(std::shared_ptr<const GraphRecord> graph)
    : graph_(std::move(graph)),
      data_(graph_->values.size()),
      value_extents_(graph_->values.size() * kMaxRank, kNotBound),
      axis_extents_(graph_->axes.size(), kUnknownExtent),
      pages_(graph_->caches.size()) {}

const GraphRecord& Bindings::graph() const {
  if (graph_ == nullptr) throw Error("bindings are used after they were moved from");
  return *graph_;
}

void Bindings::input(ValueId value, const void* data, std::span<const int64_t> extents) {
  if (value == kNoValue) throw Error("input: the handle has no value");
  if (value >= graph().values.size()) throw Error("value " + std::to_string(value) + " is not in the graph");
  const ValueRecord& record = graph().values[value];
  if (record.kind != ValueKind::input) throw Error(quoted(record.name) + " is not an input");
  if (extents.size() != record.axes.size()) {
    throw Error("input " + quoted(record.name) + " has " + std::to_string(record.axes.size()) + " axes, but " +
                std::to_string(extents.size()) + " extents were given");
  }
  data_[value] = data;
  int64_t* row = value_extents_.data() + size_t{value} * kMaxRank;
  row[0] = 0;  // bound, even without axes
  std::copy(extents.begin(), extents.end(), row);
}

void Bindings::extent(AxisId axis, int64_t extent) {
  if (axis >= graph().axes.size()) throw Error("axis " + std::to_string(axis) + " is not in the graph");
  axis_extents_[axis] = extent;
}

void Bindings::pages(int cache, const PageTable& table) {
  if (cache < 0 || static_cast<size_t>(cache) >= pages_.size()) {
    throw Error("cache " + std::to_string(cache) + " is not in the graph");
  }
  pages_[static_cast<size_t>(cache)] = table;
}

void PlanState::check(const Bindings& bindings) {
  const GraphRecord& records = *graph;
  if (bindings.graph_ != graph) throw Error("the bindings belong to another graph");
  current.assign(known);
  for (size_t i = 0; i < records.values.size(); ++i) {
    const ValueRecord& value = records.values[i];
    if (value.kind != ValueKind::input) continue;
    const int64_t* row = bindings.value_extents_.data() + i * kMaxRank;
    if (row[0] == kNotBound) throw Error("input " + quoted(value.name) + " is not bound");
    bool empty = false;
    for (size_t a = 0; a < value.axes.size(); ++a) {
      current.set_by_value(value.axes[a], row[a], static_cast<ValueId>(i));
      empty |= row[a] == 0;
    }
    if (bindings.data_[i] == nullptr && !empty) throw Error("input " + quoted(value.name) + " is bound to no data");
  }
  for (size_t i = 0; i < records.axes.size(); ++i) {
    if (bindings.axis_extents_[i] != kUnknownExtent) {
      current.set_by_caller(static_cast<AxisId>(i), bindings.axis_extents_[i]);
    }
  }
  current.apply_rules();
  current.check_against(limits);
  for (size_t i = 0; i < records.axes.size(); ++i) {
    if (used[i] && !current.known(static_cast<AxisId>(i))) {
      throw Error("axis " + quoted(records.axes[i].name) + " has no extent in this run: no input has it");
    }
  }
  check_ids(bindings);
  check_pages(bindings);
  check_states(bindings);
}

// The same for the slots of states; and runs that would spoil each other's.
void PlanState::check_states(const Bindings& bindings) const {
  const GraphRecord& records = *graph;
  for (size_t s = 0; s < records.states.size(); ++s) {
    const StateRecord& state = records.states[s];
    const auto is_same = [&state](const StateRecord& other) {
      return other.from == state.from && other.to == state.to;
    };
    if (std::any_of(records.states.begin(), records.states.begin() + static_cast<ptrdiff_t>(s), is_same)) continue;
    const auto fail = [&state](const std::string& what) { throw Error("state " + quoted(state.name) + ": " + what); };
    if (bindings.pool_ == nullptr) fail("no memory is bound to it");
    const int64_t slots = bindings.pool_->state_slots(), rows = current[state.pos];
    const auto* from = static_cast<const int32_t*>(bindings.data_[state.from]);
    const auto* to = static_cast<const int32_t*>(bindings.data_[state.to]);
    for (int64_t row = 0; row < rows; ++row) {
      if (from[row] < kSameRun || from[row] >= slots || to[row] >= slots) {
        fail("row " + std::to_string(row) + " goes from slot " + std::to_string(from[row]) + " to slot " +
             std::to_string(to[row]) + " of " + std::to_string(slots));
      }
      if (row == 0 && from[row] == kSameRun) fail("row 0 goes on from a row before it");
    }
  }
}

std::vector<CheckedIds> find_checked_ids(const GraphRecord& graph) {
  std::vector<CheckedIds> found;
  for (const Step& step : graph.steps) {
    for (const Region& region : step.regions) {
      for_each_operand(region, [&](const Operand& table) {
        for (const ViewAxis& axis : table.view) {
          if (axis.gather < 0) continue;
          const ValueId ids = region.operands[static_cast<size_t>(axis.gather)].value;
          const CheckedIds checked{ids, table.value, axis.stored};
          if (!graph.values[ids].ids_within || std::ranges::find(found, checked) != found.end()) continue;
          found.push_back(checked);
        }
      });
    }
  }
  return found;
}

void PlanState::check_ids(const Bindings& bindings) const {
  for (const CheckedIds& checked : checked_ids) {
    const ValueRecord& input = graph->values[checked.ids];
    const auto* ids = static_cast<const int32_t*>(bindings.data_[checked.ids]);
    const int64_t count = element_count(input.axes, current.data()), extent = current[checked.axis];
    for (int64_t i = 0; i < count; ++i) {
      if (ids[i] >= 0 && ids[i] < extent) continue;
      throw Error("input " + quoted(input.name) + " has " + std::to_string(ids[i]) + " as element " +
                  std::to_string(i) + ", but axis " + quoted(graph->axes[checked.axis].name) + " of " +
                  quoted(graph->values[checked.table].name) + " has extent " + std::to_string(extent));
    }
  }
}

// Kernels trust slots, sequences and pages, so an index outside the pool must be caught here.
void PlanState::check_pages(const Bindings& bindings) const {
  const GraphRecord& records = *graph;
  for (size_t c = 0; c < records.caches.size(); ++c) {
    const CacheRecord& cache = records.caches[c];
    const PageTable& table = bindings.pages_[c];
    const auto fail = [&cache](const std::string& what) { throw Error("cache " + quoted(cache.name) + ": " + what); };
    if (bindings.pool_ == nullptr) fail("no memory is bound to it");
    if (table.page_size <= 0 || table.pages == nullptr || table.length == nullptr) fail("no page table is bound to it");
    // Layers share page tables: check each table once.
    bool seen = false;
    for (size_t b = 0; b < c && !seen; ++b) {
      const CacheRecord& other = records.caches[b];
      seen = bindings.pages_[b] == table && other.seq == cache.seq && other.slots == cache.slots &&
             other.key == cache.key && other.pos == cache.pos && other.group == cache.group;
    }
    if (seen) continue;

    const int64_t slots = bindings.pool_->slots(cache.group);
    const int64_t rows = current[cache.pos];
    const auto* sequence = static_cast<const int32_t*>(bindings.data_[cache.seq]);
    const auto* slot = static_cast<const int32_t*>(bindings.data_[cache.slots]);
    for (int64_t row = 0; row < rows; ++row) {
      if (sequence[row] < 0 || sequence[row] >= table.sequences) {
        fail("row " + std::to_string(row) + " belongs to sequence " + std::to_string(sequence[row]) + " of " +
             std::to_string(table.sequences));
      }
      if (slot[row] >= slots) {
        fail("row " + std::to_string(row) + " goes to slot " + std::to_string(slot[row]) + " of " +
             std::to_string(slots));
      }
    }
    const int64_t longest = std::min(limits[cache.key], int64_t{table.max_pages} * table.page_size);
    for (int32_t s = 0; s < table.sequences; ++s) {
      const int32_t length = table.length[s];
      if (length < 0 || length > longest) {
        fail("sequence " + std::to_string(s) + " has " + std::to_string(length) + " tokens; at most " +
             std::to_string(longest) + " fit");
      }
      const int32_t first = table.first_of(s);
      if (first < 0 || first > length) {
        fail("sequence " + std::to_string(s) + " lacks its first " + std::to_string(first) + " tokens of " +
             std::to_string(length));
      }
      const int32_t* pages = table.pages + int64_t{s} * table.max_pages;
      for (int32_t p = first / table.page_size; p < (length + table.page_size - 1) / table.page_size; ++p) {
        if (pages[p] < 0 || (int64_t{pages[p]} + 1) * table.page_size > slots) {
          fail("sequence " + std::to_string(s) + " has page " + std::to_string(pages[p]) + ", outside the pool");
        }
      }
    }
  }
}

}  // namespace weft
