#include "runtime/generate/engine_inputs.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/record/axis_list.h"

namespace weft {

namespace {

std::string quoted(const std::string& text) { return "'" + text + "'"; }

void add_name(std::string& text, std::string_view axis) { text += (text.empty() ? "" : " x ") + std::string(axis); }

}  // namespace

bool is_axis(const AxisRecord& record, const AxisInfo& axis) {
  return record.identity != nullptr ? record.identity == &axis : record.name == axis.name;
}

std::string axes_text(const GraphRecord& graph, std::span<const AxisId> axes) {
  std::string text;
  for (const AxisId axis : axes) add_name(text, graph.axes[axis].name);
  return text.empty() ? "no axes" : text;
}

std::string axes_text(std::span<const AxisInfo* const> axes) {
  std::string text;
  for (const AxisInfo* axis : axes) add_name(text, axis->name);
  return text.empty() ? "no axes" : text;
}

size_t EngineInputs::Input::row_bytes(size_t rank) const {
  size_t product = element_bytes;
  for (size_t i = per == Per::run ? 0 : 1; i < rank; ++i) product *= static_cast<size_t>(extents[i]);
  return product;
}

EngineInputs::EngineInputs(const LanguageModel& model, const Plan& plan, std::span<const ValueId> filled,
                           int32_t sequences)
    : graph_(&plan.graph()), known_(&plan.known_extents()), limits_(&plan.limits()) {
  const GraphRecord& graph = *graph_;
  const auto is_filled = [&](ValueId value) { return std::find(filled.begin(), filled.end(), value) != filled.end(); };
  for (const SequenceAxis& axis : model.sequence_axes) {
    owners_.push_back({axis, std::vector<int32_t>(static_cast<size_t>((*limits_)[axis.axis])), graph.values.size()});
  }
  const auto owners_of = [this](AxisId axis) {
    return std::find_if(owners_.begin(), owners_.end(), [axis](const Owners& o) { return o.axis.axis == axis; });
  };
  const auto is_owner = [this](ValueId value) {
    return std::any_of(owners_.begin(), owners_.end(), [value](const Owners& o) { return o.axis.owner == value; });
  };
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const ValueRecord& value = graph.values[i];
    const auto id = static_cast<ValueId>(i);
    if (value.kind != ValueKind::input || is_filled(id) || is_owner(id)) continue;
    Input input;
    input.value = id;
    input.element_bytes = info(value.format).block_bytes;
    input.bytes = AlignedBytes(value_bytes(graph, id, limits_->data()));
    for (size_t a = 0; a < value.axes.size(); ++a) {
      const AxisId axis = value.axes[a];
      if (a != 0 && known_->known(axis)) input.extents[a] = (*known_)[axis];  // even while there are no rows
      Per per = axis == model.pos_axis ? Per::token : axis == model.rows_axis ? Per::row : Per::run;
      if (const auto owners = owners_of(axis); owners != owners_.end()) {
        per = Per::sequence;
        if (a == 0) owners->input = inputs_.size();
      }
      if (a == 0) input.per = per;
      if (a != 0 && per != Per::run) {
        throw Error("input " + quoted(value.name) + " over " + axes_text(graph, value.axes) + ": axis " +
                    quoted(graph.axes[axis].name) + " must come first, so that rows can follow each other");
      }
    }
    if (input.per == Per::sequence) {
      input.rows_of.resize(static_cast<size_t>(sequences));
      input.openings.resize(static_cast<size_t>(sequences));
    }
    const auto same_name = [&](const Input& other) { return record(other).name == value.name; };
    if (std::any_of(inputs_.begin(), inputs_.end(), same_name)) {
      throw Error("the model's graph has two inputs " + quoted(value.name));
    }
    inputs_.push_back(std::move(input));
  }
  for (const Owners& owners : owners_) {
    if (owners.input == graph.values.size()) {
      throw Error("no input leads with axis " + quoted(graph.axes[owners.axis.axis].name) +
                  ", whose rows belong to sequences");
    }
  }
}

std::string EngineInputs::described(const Input& input) const {
  return "input " + quoted(record(input).name) + " over " + axes_text(*graph_, record(input).axes);
}

EngineInputs::Input& EngineInputs::find(std::string_view name) {
  const auto found =
      std::find_if(inputs_.begin(), inputs_.end(), [&](const Input& input) { return record(input).name == name; });
  if (found != inputs_.end()) return *found;
  std::string names;
  for (const Input& input : inputs_) names += (names.empty() ? ": there are " : ", ") + quoted(record(input).name);
  throw Error("the model has no input " + quoted(std::string(name)) +
              (names.empty() ? ": it reads tokens alone" : names));
}

void EngineInputs::check_axes(const Input& input, const GivenValues& values) const {
  const ValueRecord& value = record(input);
  if (value.element() != values.element) {
    throw Error(described(input) + " holds " + std::string(name(value.element())) + ", not " +
                std::string(name(values.element)));
  }
  bool same = value.axes.size() == values.axes.size();
  for (size_t i = 0; same && i < value.axes.size(); ++i) same = is_axis(graph_->axes[value.axes[i]], *values.axes[i]);
  if (!same) throw Error(described(input) + " was given values over " + axes_text(values.axes));
}

// `rows_before`: of the input that stay; `rows_after`: with those that are given.
void EngineInputs::check_extents(const Input& input, const GivenValues& values, int64_t rows_before,
                                 int64_t rows_after) const {
  const std::vector<AxisId>& axes = record(input).axes;
  for (size_t i = 0; i < axes.size(); ++i) {
    const bool counts_rows = i == 0 && input.per != Per::run;
    const int64_t extent = counts_rows ? rows_after : values.extents[i];
    const auto wrong = [&](const std::string& what) {
      throw Error(described(input) + ": axis " + quoted(graph_->axes[axes[i]].name) + " is " + std::to_string(extent) +
                  what);
    };
    if (known_->known(axes[i]) && extent != (*known_)[axes[i]]) {
      wrong(", and in the model it is " + std::to_string((*known_)[axes[i]]));
    }
    if (extent > (*limits_)[axes[i]]) wrong(", above its limit of " + std::to_string((*limits_)[axes[i]]));
    if (!counts_rows && rows_before > 0 && extent != input.extents[i]) {
      wrong(", and in the rows before these it is " + std::to_string(input.extents[i]));
    }
  }
}

void EngineInputs::give(std::string_view name, const GivenValues& values, int32_t sequence, const PagedKvCache& cache) {
  cache.opening(sequence);  // throws after a move
  Input& input = find(name);
  check_axes(input, values);
  const bool of_sequence = input.per == Per::sequence;
  if (of_sequence && sequence == kNoSequence) {
    throw Error(described(input) + " belongs to a sequence: say which");
  }
  if (!of_sequence && sequence != kNoSequence) throw Error(described(input) + " does not belong to one sequence");
  const size_t rank = values.extents.size();
  const auto* data = static_cast<const std::byte*>(values.data);
  const auto set_inner = [&] {
    std::copy(values.extents.begin() + 1, values.extents.end(), input.extents.begin() + 1);
  };
  if (input.per == Per::run) {
    check_extents(input, values, 0, 0);
    std::copy(values.extents.begin(), values.extents.end(), input.extents.begin());
    input.given = true;
    if (const size_t bytes = input.row_bytes(rank); bytes != 0) std::memcpy(input.bytes.data(), data, bytes);
    return;
  }
  if (of_sequence) {
    cache.length(sequence);  // throws for a sequence that is not open
    drop_closed(input, cache);
    const int64_t others = input.extents[0] - input.rows_of[static_cast<size_t>(sequence)];
    const int64_t most = (*limits_)[record(input).axes[0]] / static_cast<int64_t>(input.rows_of.size());
    if (values.extents[0] > most) {
      throw Error(described(input) + ": sequence " + std::to_string(sequence) + " was given " +
                  std::to_string(values.extents[0]) + " rows, above the limit of " + std::to_string(most));
    }
    check_extents(input, values, others, others + values.extents[0]);
    set_inner();
    set_rows_of_sequence(input, sequence, data, values.extents[0]);
    input.openings[static_cast<size_t>(sequence)] = cache.opening(sequence);
    return;
  }
  const int64_t before = input.extents[0];
  check_extents(input, values, before, before + values.extents[0]);
  set_inner();
  const size_t row = input.row_bytes(rank), bytes = row * static_cast<size_t>(values.extents[0]);
  if (bytes != 0) std::memcpy(input.bytes.data() + static_cast<size_t>(before) * row, data, bytes);
  input.extents[0] += values.extents[0];
}

// Those of later sequences move.
void EngineInputs::set_rows_of_sequence(Input& input, int32_t sequence, const std::byte* data, int64_t rows) {
  const size_t row = input.row_bytes(record(input).axes.size());
  int64_t& own = input.rows_of[static_cast<size_t>(sequence)];
  int64_t begin = 0;
  for (int32_t s = 0; s < sequence; ++s) begin += input.rows_of[static_cast<size_t>(s)];
  std::byte* const at = input.bytes.data() + static_cast<size_t>(begin) * row;
  const auto after = static_cast<size_t>(input.extents[0] - begin - own);
  std::memmove(at + static_cast<size_t>(rows) * row, at + static_cast<size_t>(own) * row, after * row);
  if (rows != 0 && row != 0) std::memcpy(at, data, static_cast<size_t>(rows) * row);
  input.extents[0] += rows - own;
  own = rows;
}

void EngineInputs::drop_closed(Input& input, const PagedKvCache& cache) {
  for (size_t s = 0; s < input.openings.size(); ++s) {
    const auto sequence = static_cast<int32_t>(s);
    if (input.openings[s] == cache.opening(sequence)) continue;
    set_rows_of_sequence(input, sequence, nullptr, 0);
    input.openings[s] = 0;
  }
}

void EngineInputs::check_sequences(std::span<const int32_t> tokens_of, const PagedKvCache& cache) {
  for (Input& input : inputs_) {
    if (input.per != Per::sequence) continue;
    drop_closed(input, cache);
    for (size_t s = 0; s < tokens_of.size(); ++s) {
      if (tokens_of[s] != 0 && input.openings[s] == 0) {
        throw Error(described(input) + " was not given for sequence " + std::to_string(s));
      }
    }
  }
  for (Owners& owners : owners_) {
    const Input& first = inputs_[owners.input];
    for (const Input& input : inputs_) {
      if (input.per != Per::sequence || record(input).axes[0] != owners.axis.axis) continue;
      for (size_t s = 0; s < input.rows_of.size(); ++s) {
        if (input.rows_of[s] == first.rows_of[s]) continue;
        throw Error(described(input) + " has " + std::to_string(input.rows_of[s]) + " rows for sequence " +
                    std::to_string(s) + ", and " + quoted(record(first).name) + " has " +
                    std::to_string(first.rows_of[s]));
      }
    }
    auto* to = owners.sequence_of.data();
    for (size_t s = 0; s < first.rows_of.size(); ++s) to = std::fill_n(to, first.rows_of[s], static_cast<int32_t>(s));
  }
}

void EngineInputs::check(std::span<const int32_t> tokens_of, int32_t tokens, int32_t rows, const PagedKvCache& cache) {
  for (const Input& input : inputs_) {
    if (input.per == Per::run && !input.given && tokens != 0) throw Error(described(input) + " was not given");
    if (input.per != Per::token && input.per != Per::row) continue;
    const bool of_tokens = input.per == Per::token;
    const int32_t wanted = of_tokens ? tokens : rows;
    if (input.extents[0] == wanted) continue;
    throw Error(described(input) + " was given " + std::to_string(input.extents[0]) + " rows, and the step has " +
                std::to_string(wanted) + (of_tokens ? " tokens" : " rows of logits"));
  }
  check_sequences(tokens_of, cache);
}

void EngineInputs::bind(Bindings& bindings) const {
  for (const Input& input : inputs_) {
    bindings.input(input.value, input.bytes.data(), std::span(input.extents).first(record(input).axes.size()));
  }
  for (const Owners& owners : owners_) {
    const int64_t rows = inputs_[owners.input].extents[0];
    bindings.input(owners.axis.owner, owners.sequence_of.data(), {rows});
  }
}

void EngineInputs::end_step() {
  for (Input& input : inputs_) {
    if (input.per == Per::token || input.per == Per::row) input.extents[0] = 0;
  }
}

}  // namespace weft
