// Graph records written by hand, for tests of what works on records.
#pragma once

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/record/graph.h"
#include "ops/harness/scalar_builder.h"

namespace weft::test {

// Where an operand is only loaded, its program.
inline ScalarProgram load_only(int operand, Element type = Element::f32) {
  ScalarBuilder s;
  return s.finish(s.load(operand, type));
}

class RecordBuilder {
 public:
  explicit RecordBuilder(uint64_t seed = 1) : random_(seed) {}

  GraphRecord graph;

  AxisId axis(std::string name, int64_t fixed_extent = -1) {
    graph.axes.push_back({std::move(name), fixed_extent, nullptr});
    return static_cast<AxisId>(graph.axes.size() - 1);
  }

  ValueId input(std::string name, std::vector<AxisId> axes, Format format = Format::f32) {
    return add(std::move(name), ValueKind::input, format, std::move(axes));
  }
  ValueId value(std::string name, std::vector<AxisId> axes, Format format = Format::f32) {
    return add(std::move(name), ValueKind::intermediate, format, std::move(axes));
  }
  ValueId weight(std::string name, std::vector<AxisId> axes, std::vector<int64_t> extents,
                 std::vector<float> elements) {
    auto storage = std::make_shared<Storage>();
    auto bytes = std::make_shared<std::vector<float>>(std::move(elements));
    storage->name = name;
    storage->extents = std::move(extents);
    storage->data = reinterpret_cast<std::byte*>(bytes->data());
    storage->owner = bytes;
    const ValueId id = add(std::move(name), ValueKind::weight, Format::f32, std::move(axes));
    graph.values[id].storage = std::move(storage);
    return id;
  }
  // Uniform in [-scale, scale].
  ValueId random_weight(std::string name, std::vector<AxisId> axes, std::vector<int64_t> extents, float scale = 1) {
    size_t count = 1;
    for (const int64_t extent : extents) count *= static_cast<size_t>(extent);
    std::uniform_real_distribution<float> uniform(-scale, scale);
    std::vector<float> elements(count);
    for (float& element : elements) element = uniform(random_);
    return weight(std::move(name), std::move(axes), std::move(extents), std::move(elements));
  }

  Operand whole(ValueId value) const {
    Operand operand;
    operand.value = value;
    for (const AxisId axis : graph.values[value].axes) operand.view.push_back({axis, axis, 0, -1});
    return operand;
  }

  // A step of one region that writes one new value; its region's `axes` are the value's.
  ValueId step(StepKind kind, std::string name, Region region, Element type = Element::f32) {
    const Format format = type == Element::i32 ? Format::i32 : type == Element::bool8 ? Format::bool8 : Format::f32;
    const ValueId result = value(name, region.axes, format);
    graph.steps.push_back({kind, std::move(name), {std::move(region)}, {result}, -1});
    return result;
  }

  // out = program over `axes`; operand i is operands[i] as it is.
  ValueId map(std::string name, std::vector<AxisId> axes, const std::vector<ValueId>& operands, ScalarProgram program) {
    Region region;
    region.axes = axes;
    region.body.axes = std::move(axes);
    for (const ValueId operand : operands) region.operands.push_back(whole(operand));
    const Element type = program.type();
    region.body.program = std::move(program);
    return step(StepKind::map, std::move(name), std::move(region), type);
  }

  // Rows of `table` (its first axis) by i32 ids.
  ValueId gather(std::string name, ValueId table, ValueId ids) {
    Region region;
    Operand rows = whole(table);
    rows.view[0] = {kNoAxis, rows.view[0].stored, 0, 0};  // by operand 0
    region.axes = graph.values[ids].axes;
    for (size_t i = 1; i < rows.view.size(); ++i) region.axes.push_back(rows.view[i].axis);
    region.operands = {whole(ids), std::move(rows)};
    region.body.axes = region.axes;
    region.body.program = load_only(1);
    return step(StepKind::map, std::move(name), std::move(region));
  }

  // The region of sum over `over` of x * w: axes of x, then those of w.
  Region contraction(ValueId x, ValueId w, std::vector<AxisId> over) const {
    Region region;
    region.operands = {whole(x), whole(w)};
    region.lhs.push_back({graph.values[x].axes, kNoAxis, {}, load_only(0)});
    region.contractions.push_back({0, 1, over});
    region.axes = contraction_axes(region, region.contractions[0]);
    region.body.axes = region.axes;
    ScalarBuilder s;
    region.body.program = s.finish(s.contraction(0));
    return region;
  }
  ValueId contract(std::string name, ValueId x, ValueId w, std::vector<AxisId> over) {
    return step(StepKind::contract, std::move(name), contraction(x, w, std::move(over)));
  }

  // A cache with two fields of [key, axes...].
  int cache(const std::string& name, AxisId key, AxisId pos, const std::vector<AxisId>& row, ValueId positions,
            ValueId slots, ValueId seq) {
    const auto index = static_cast<int>(graph.caches.size());
    std::vector<AxisId> axes = {key};
    axes.insert(axes.end(), row.begin(), row.end());
    CacheRecord record;
    record.name = name;
    record.key = key;
    record.pos = pos;
    record.fields = {add(name + ".k", ValueKind::cache_field, Format::f32, axes),
                     add(name + ".v", ValueKind::cache_field, Format::f32, axes)};
    record.positions = add(name + ".pos", ValueKind::cache_position, Format::i32, {key});
    for (const ValueId value : {record.fields[0], record.fields[1], record.positions}) {
      graph.values[value].cache = index;
    }
    record.pos_values = positions;
    record.slots = slots;
    record.seq = seq;
    graph.caches.push_back(std::move(record));
    return index;
  }

  std::shared_ptr<const GraphRecord> build(std::vector<ValueId> results) {
    graph.results = std::move(results);
    return std::make_shared<const GraphRecord>(graph);
  }

 private:
  ValueId add(std::string name, ValueKind kind, Format format, std::vector<AxisId> axes) {
    ValueRecord record;
    record.name = std::move(name);
    record.kind = kind;
    record.format = format;
    record.axes = std::move(axes);
    graph.values.push_back(std::move(record));
    return static_cast<ValueId>(graph.values.size() - 1);
  }

  std::mt19937_64 random_;
};

}  // namespace weft::test
