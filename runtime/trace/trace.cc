#include "runtime/trace/trace.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <set>

#include "core/error.h"
#include "runtime/plan/executor.h"
#include "runtime/trace/step_reference.h"

namespace weft {
namespace {

constexpr int32_t kMaxChunk = 512;
constexpr size_t kChunkBytes = size_t{256} << 20;
constexpr const char* kPos = "pos";

// A value of the graph, or a part of a step, as it is handed out.
struct Source {
  TracedValue traced;
  ValueId value = kNoValue;  // kNoValue: a part
};

class Tracer {
 public:
  Tracer(const LanguageModel& model, const Device& device, std::span<const int32_t> tokens, const TraceOptions& options,
         std::span<TraceSink* const> sinks)
      : options_(options), tokens_(tokens), sinks_(sinks), engine_(with_results(model), device, engine_options(model)) {
    list_values();
  }

  void run() {
    std::vector<TracedValue> values;
    for (const Source& source : sources_) values.push_back(source.traced);
    for (TraceSink* sink : sinks_) sink->begin(values, tokens_);
    const int32_t sequence = engine_.cache().open();
    const auto chunk = static_cast<size_t>(engine_.batch());
    for (size_t begin = 0; begin < tokens_.size(); begin += chunk) {
      const size_t count = std::min(chunk, tokens_.size() - begin);
      engine_.add(sequence, tokens_.subspan(begin, count), WantLogits::all);
      engine_.run();
      if (options_.expand) hand_out_expanded();
      else hand_out(static_cast<int64_t>(begin), static_cast<int64_t>(count));
    }
  }

 private:
  const GraphRecord& graph() const { return engine_.plan().graph(); }
  bool is_pos(AxisId axis) const {
    return axis == engine_.model().pos_axis || axis == engine_.model().rows_axis || is_key_axis(graph(), axis);
  }

  // The same graph, all of whose values stay readable after a run.
  static LanguageModel with_results(LanguageModel model) {
    auto graph = std::make_shared<GraphRecord>(*model.graph);
    for (const Step& step : graph->steps) {
      for (const ValueId output : step.outputs) {
        const bool is_result = std::find(graph->results.begin(), graph->results.end(), output) != graph->results.end();
        if (graph->values[output].kind == ValueKind::intermediate && !is_result) graph->results.push_back(output);
      }
    }
    model.graph = std::move(graph);
    return model;
  }

  EngineOptions engine_options(const LanguageModel& model) const {
    if (tokens_.empty()) throw Error("the prompt has no tokens");
    if (tokens_.size() > size_t{INT32_MAX}) throw Error("the prompt is too long");
    const auto count = static_cast<int32_t>(tokens_.size());
    if (options_.expand && count > options_.longest_expanded) {
      throw Error("the prompt has " + std::to_string(count) + " tokens; steps are expanded for at most " +
                  std::to_string(options_.longest_expanded));
    }
    EngineOptions engine;
    engine.precision = options_.precision;
    engine.cache_k = options_.cache_k;
    engine.cache_v = options_.cache_v;
    engine.pack_cache = options_.pack_cache;
    engine.warn = options_.warn;
    engine.context = count;
    engine.batch = options_.expand ? count : options_.chunk > 0 ? options_.chunk : fitting_chunk(model);
    engine.logit_rows = engine.batch;
    return engine;
  }

  static int32_t fitting_chunk(const LanguageModel& model) {
    const GraphRecord& graph = *model.graph;
    ExtentTable extents = ExtentTable::of_graph(graph);
    extents.set_by_caller(model.pos_axis, 1), extents.set_by_caller(model.rows_axis, 1);
    extents.apply_rules();
    size_t bytes = 1;
    for (size_t i = 0; i < graph.values.size(); ++i) {
      if (graph.values[i].kind == ValueKind::intermediate) {
        bytes += value_bytes(graph, static_cast<ValueId>(i), extents.data());
      }
    }
    return static_cast<int32_t>(std::clamp<size_t>(kChunkBytes / bytes, 1, kMaxChunk));
  }

  // --- the traced values ---

  void list_values() {
    ExtentTable extents = engine_.plan().known_extents();
    const auto count = static_cast<int64_t>(tokens_.size());
    extents.set_by_caller(engine_.model().pos_axis, count), extents.set_by_caller(engine_.model().rows_axis, count);
    extents.apply_rules();
    extents_.assign(extents.data(), extents.data() + graph().axes.size());
    std::set<std::string> names;
    const auto add = [&](std::string name, ValueId value, Format format, const std::vector<AxisId>& axes,
                         const Region* region) {
      const std::string first = name;
      for (int i = 2; !names.insert(name).second; ++i) name = first + "#" + std::to_string(i);
      Source source{described(axes, region), value};
      source.traced.name = std::move(name), source.traced.format = format;
      sources_.push_back(std::move(source));
    };
    for (const Step& step : graph().steps) {
      first_source_.push_back(sources_.size());
      if (expands(step)) {
        for (const StepPart& part : parts_of(graph(), step)) {
          add(graph().values[part.value].name + "/" + part.name, kNoValue, Format::f32, part.axes,
              &region_of(step, part.value));
        }
        for (const ValueId output : step.outputs) {
          const ValueRecord& value = graph().values[output];
          add(value.name + "/reference", kNoValue, plain_format(value.element()), value.axes, &region_of(step, output));
        }
      }
      for (const ValueId output : step.outputs) {
        const ValueRecord& value = graph().values[output];
        add(value.name, output, plain_format(value.element()), value.axes, &region_of(step, output));
      }
    }
  }

  static const Region& region_of(const Step& step, ValueId output) {
    const auto at = std::find(step.outputs.begin(), step.outputs.end(), output) - step.outputs.begin();
    return step.regions[std::min(static_cast<size_t>(at), step.regions.size() - 1)];
  }

  bool expands(const Step& step) const {
    return options_.expand && !step.regions.empty() && matches_glob(*options_.expand, step.name);
  }

  TracedValue described(const std::vector<AxisId>& axes, const Region* region) const {
    TracedValue traced;
    for (size_t i = 0; i < axes.size(); ++i) {
      // The rows of logits are all tokens of the prompt here, and so are the rows of a cache's field. A score has
      // both its queries and its keys: there the keys keep their name.
      const bool key_beside_pos = is_key_axis(graph(), axes[i]) && i != 0;
      if (is_pos(axes[i]) && !key_beside_pos) traced.pos = static_cast<int>(i);
      traced.axes.push_back(is_pos(axes[i]) && !key_beside_pos ? kPos : graph().axes[axes[i]].name);
      traced.extents.push_back(is_pos(axes[i]) ? static_cast<int64_t>(tokens_.size()) : extents_[axes[i]]);
      if (region->rotation && region->rotation->axis == axes[i]) {
        const Rotation& rotation = *region->rotation;
        const bool given = rotation.frequencies && !rotation.frequencies->empty();
        traced.rotary = static_cast<int>(i);
        traced.order = {rotation.pairs,
                        given ? 2 * static_cast<int64_t>(rotation.frequencies->size()) : traced.extents[i]};
      }
    }
    return traced;
  }

  // --- handing out ---

  void give(size_t source, int64_t first, int64_t count, std::span<const std::byte> data) {
    const bool whole = sources_[source].traced.pos < 0;
    if (whole && first != 0) return;  // the same for all tokens
    for (TraceSink* sink : sinks_) sink->take(source, whole ? 0 : first, whole ? 1 : count, data);
  }

  void hand_out(int64_t first, int64_t count) {
    for (size_t i = 0; i < sources_.size(); ++i) give(i, first, count, read(sources_[i].value, count));
  }

  // Valid until the next run (of a field: until the next call).
  std::span<const std::byte> read(ValueId value, int64_t count) {
    const ValueRecord& record = graph().values[value];
    if (record.kind == ValueKind::cache_field) return decoded(value, read_field(value, count, row_));
    const Output output = engine_.plan().output(value);
    return {static_cast<const std::byte*>(output.data),
            row_bytes(output.format, static_cast<size_t>(output.elements()))};
  }

  // Elements of a value as f32, where they are stored floats in another format. Valid until the next call.
  std::span<const std::byte> decoded(ValueId value, std::span<const std::byte> stored) {
    const Format format = graph().values[value].format;
    if (format == plain_format(read_as(format))) return stored;
    floats_.resize(stored.size() / info(format).block_bytes * info(format).block_elements);
    decode_row(format, stored.data(), floats_.size(), floats_.data());
    return std::as_bytes(std::span(floats_));
  }

  // The rows that the last run appended, as they are stored, read from the slots that they were given.
  std::span<const std::byte> read_field(ValueId value, int64_t count, std::vector<std::byte>& to) {
    const CacheRecord& cache = graph().caches[static_cast<size_t>(graph().values[value].cache)];
    const std::span<const int32_t> slots = engine_.slots(cache.group).first(static_cast<size_t>(count));
    const CachePool& pool = engine_.cache().pool();
    const size_t row = slot_bytes(graph(), value, extents_.data());
    to.resize(row * slots.size());
    for (size_t begin = 0, end; begin < slots.size(); begin = end) {
      for (end = begin + 1; end < slots.size() && slots[end] == slots[end - 1] + 1;) ++end;
      pool.read_slots(value, slots[begin], static_cast<int64_t>(end - begin), to.data() + begin * row);
    }
    return to;
  }

  void hand_out_expanded() {
    const auto count = static_cast<int64_t>(tokens_.size());
    StepReference reference(engine_.model(), graph(), tokens_, extents_.data());
    std::map<ValueId, std::vector<std::byte>> fields;
    for (const CacheRecord& cache : graph().caches) {
      for (const ValueId field : cache.fields) {
        reference.set(field, read_field(field, count, fields[field]).data());
      }
    }
    for (const Step& step : graph().steps) {
      for (const ValueId output : step.outputs) {
        if (graph().values[output].kind == ValueKind::intermediate) {
          reference.set(output, engine_.plan().output(output).data);
        }
      }
    }
    for (size_t s = 0; s < graph().steps.size(); ++s) {
      const Step& step = graph().steps[s];
      size_t source = first_source_[s];
      if (expands(step)) {
        std::vector<float> single;
        reference.run(step, [&](const StepPart& part) {
          single.assign(part.elements.begin(), part.elements.end());
          give(source++, 0, count, std::as_bytes(std::span(single)));
        });
        for (size_t i = 0; i < step.outputs.size(); ++i) {
          give(source++, 0, count, decoded(step.outputs[i], reference.result(i)));
        }
      }
      for (const ValueId output : step.outputs) {
        const bool field = graph().values[output].kind == ValueKind::cache_field;
        give(source++, 0, count, field ? decoded(output, fields[output]) : read(output, count));
      }
    }
  }

  TraceOptions options_;
  std::span<const int32_t> tokens_;
  std::span<TraceSink* const> sinks_;
  Engine engine_;
  std::vector<int64_t> extents_;  // by AxisId, for the whole prompt
  std::vector<Source> sources_;
  std::vector<size_t> first_source_;  // by step
  std::vector<std::byte> row_;
  std::vector<float> floats_;
};

}  // namespace

int64_t TracedValue::elements() const {
  return std::accumulate(extents.begin(), extents.end(), int64_t{1}, std::multiplies<>());
}

std::string TracedValue::axes_text() const {
  std::string text;
  for (const std::string& axis : axes) text += (text.empty() ? "" : " x ") + axis;
  return text;
}

void trace(const LanguageModel& model, const Device& device, std::span<const int32_t> tokens,
           const TraceOptions& options, std::span<TraceSink* const> sinks) {
  check_model(model);
  Tracer(model, device, tokens, options, sinks).run();
}

bool matches_glob(std::string_view pattern, std::string_view text) {
  // Greedy with one point to backtrack to: the last *.
  size_t p = 0, t = 0, star = pattern.npos, after = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++, after = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != pattern.npos) {
      p = star + 1, t = ++after;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace weft
