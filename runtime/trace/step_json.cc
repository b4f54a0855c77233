#include "runtime/trace/step_json.h"

#include <bit>
#include <limits>
#include <string>
#include <type_traits>

#include "core/format/format.h"

namespace weft {

namespace {

using nlohmann::ordered_json;

// --- names of enumerators ---

template <class Enum>
constexpr int count_of();
template <>
constexpr int count_of<ScalarOp>() {
  return kScalarOpCount;
}
template <>
constexpr int count_of<StepKind>() {
  return kStepKindCount;
}
template <>
constexpr int count_of<Element>() {
  return static_cast<int>(Element::bool8) + 1;
}
template <>
constexpr int count_of<Format>() {
  return kFormatCount;
}
template <>
constexpr int count_of<ReduceOp>() {
  return static_cast<int>(ReduceOp::argmax) + 1;
}
template <>
constexpr int count_of<ValueKind>() {
  return static_cast<int>(ValueKind::state) + 1;
}
template <>
constexpr int count_of<Scan::Kind>() {
  return static_cast<int>(Scan::Kind::convolution) + 1;
}
template <>
constexpr int count_of<RopePairs>() {
  return static_cast<int>(RopePairs::interleaved) + 1;
}

std::string_view name(ReduceOp op) {
  constexpr std::string_view kNames[] = {"sum", "mean", "max", "argmax"};
  return kNames[static_cast<size_t>(op)];
}
std::string_view name(ValueKind kind) {
  constexpr std::string_view kNames[] = {"input", "weight", "intermediate", "cache_field", "cache_position", "state"};
  return kNames[static_cast<size_t>(kind)];
}
std::string_view name(Scan::Kind kind) { return kind == Scan::Kind::recurrence ? "recurrence" : "convolution"; }
std::string_view name(RopePairs pairs) { return pairs == RopePairs::half_split ? "half_split" : "interleaved"; }

template <class Enum>
Enum enumerator(const JsonNode& json) {
  for (int i = 0; i < count_of<Enum>(); ++i) {
    if (name(static_cast<Enum>(i)) == json.text()) return static_cast<Enum>(i);
  }
  json.fail("is '" + json.text() + "', which is no such name");
}

// --- numbers ---

template <class Int>
Int whole(const JsonNode& json, int64_t least = std::numeric_limits<Int>::min()) {
  return static_cast<Int>(json.whole(least, std::numeric_limits<Int>::max()));
}

// Floats as their bits: JSON has no infinities, and decimal digits would be rounded.
uint32_t bits(float number) { return std::bit_cast<uint32_t>(number); }
float real(const JsonNode& json) { return std::bit_cast<float>(whole<uint32_t>(json, 0)); }

// Identifiers: indices, or -1 for none.
template <class Id>
int64_t id_number(Id id) {
  return id == std::numeric_limits<Id>::max() ? -1 : static_cast<int64_t>(id);
}
AxisId axis(const JsonNode& json) {
  const auto id = whole<int32_t>(json, -1);
  if (id >= kNoAxis) json.fail("is no axis");
  return id < 0 ? kNoAxis : static_cast<AxisId>(id);
}
ValueId value(const JsonNode& json) { return static_cast<ValueId>(whole<int32_t>(json, -1)); }

ordered_json axes_json(const std::vector<AxisId>& axes) {
  ordered_json json = ordered_json::array();
  for (const AxisId one : axes) json.push_back(id_number(one));
  return json;
}
std::vector<AxisId> axes_of(const JsonNode& json) {
  std::vector<AxisId> axes;
  if (json.is_null()) json.fail("is absent");
  json.each([&](const JsonNode& one) { axes.push_back(axis(one)); });
  return axes;
}

template <class T, class ToJson>
ordered_json list_json(const std::vector<T>& items, ToJson to_json) {
  ordered_json json = ordered_json::array();
  for (const T& item : items) json.push_back(to_json(item));
  return json;
}
template <class T, class Read>
std::vector<T> list_of(const JsonNode& json, Read read) {
  std::vector<T> items;
  if (json.is_null()) json.fail("is absent");
  json.each([&](const JsonNode& one) { items.push_back(read(one)); });
  return items;
}

// --- programs and sources ---

ordered_json program_json(const ScalarProgram& program) {
  return list_json(program.code, [](const ScalarInstr& instr) {
    return ordered_json::array(
        {name(instr.op), name(instr.type), instr.a, instr.b, instr.c, instr.imm, bits(instr.imm_f)});
  });
}

ScalarProgram program_of(const JsonNode& json) {
  ScalarProgram program;
  if (json.is_null()) json.fail("is absent");
  json.each([&](const JsonNode& node) {
    std::vector<JsonNode> parts;
    node.each([&](const JsonNode& part) { parts.push_back(part); });
    if (parts.size() != 7) node.fail("has " + std::to_string(parts.size()) + " members, not 7");
    program.code.push_back({enumerator<ScalarOp>(parts[0]), enumerator<Element>(parts[1]), whole<uint16_t>(parts[2]),
                            whole<uint16_t>(parts[3]), whole<uint16_t>(parts[4]), whole<int32_t>(parts[5]),
                            real(parts[6])});
    // Those that an operation does not take are 0 in every record: what reads a program may look at them.
    const ScalarInstr& instr = program.code.back();
    const uint16_t arguments[] = {instr.a, instr.b, instr.c};
    for (int a = argument_count(instr.op); a < 3; ++a) {
      if (arguments[a] != 0) node.fail("has an argument that '" + std::string(name(instr.op)) + "' does not take");
    }
  });
  return program;
}

ordered_json source_json(const Source& source) {
  return {{"axes", axes_json(source.axes)},
          {"reduced", id_number(source.reduced)},
          {"reductions", list_json(source.reductions,
                                   [](const Reduction& one) {
                                     return ordered_json{{"op", name(one.op)}, {"program", program_json(one.program)}};
                                   })},
          {"program", program_json(source.program)}};
}

Source source_of(const JsonNode& json) {
  return {axes_of(json.at("axes")), axis(json.at("reduced")),
          list_of<Reduction>(json.at("reductions"),
                             [](const JsonNode& one) {
                               return Reduction{enumerator<ReduceOp>(one.at("op")), program_of(one.at("program"))};
                             }),
          program_of(json.at("program"))};
}

// --- regions ---

ordered_json region_json(const Region& region) {
  ordered_json json;
  json["axes"] = axes_json(region.axes);
  json["operands"] = list_json(region.operands, [](const Operand& operand) {
    return ordered_json{{"value", id_number(operand.value)}, {"view", list_json(operand.view, [](const ViewAxis& view) {
                                                                return ordered_json{{"axis", id_number(view.axis)},
                                                                                    {"stored", id_number(view.stored)},
                                                                                    {"begin", view.begin},
                                                                                    {"gather", view.gather}};
                                                              })}};
  });
  json["lhs"] = list_json(region.lhs, source_json);
  json["contractions"] = list_json(region.contractions, [](const Contraction& one) {
    return ordered_json{{"lhs", one.lhs}, {"rhs", one.rhs}, {"over", axes_json(one.over)}};
  });
  json["body"] = source_json(region.body);
  if (region.attention) {
    json["attention"] = {{"key", id_number(region.attention->key)},
                         {"value", region.attention->value},
                         {"statistics", region.attention->statistics},
                         {"sink", program_json(region.attention->sink)}};
  }
  if (const std::optional<Rotation>& rotation = region.rotation) {
    json["rotation"] = {{"axis", id_number(rotation->axis)},
                        {"pairs", name(rotation->pairs)},
                        {"position", rotation->position},
                        {"base", bits(rotation->base)},
                        {"scale", bits(rotation->scale)}};
    if (!rotation->sections.empty()) {
      json["rotation"]["sections"] = list_json(rotation->sections, [](const RotationSection& one) {
        return ordered_json{{"first", one.first}, {"position", one.position}};
      });
    }
    if (rotation->frequencies != nullptr) json["rotation"]["frequencies"] = list_json(*rotation->frequencies, bits);
  }
  json["post"] = program_json(region.post);
  if (region.selection) {
    json["selection"] = {{"axis", id_number(region.selection->axis)},
                         {"choice", id_number(region.selection->choice)},
                         {"values", region.selection->values}};
  }
  if (region.scan) {
    const ScanRoles& roles = region.scan->roles;
    json["scan"] = {{"kind", name(region.scan->kind)},
                    {"state", region.scan->state},
                    {"query", roles.query},
                    {"key", roles.key},
                    {"value", roles.value},
                    {"decay", roles.decay},
                    {"erase", roles.erase},
                    {"read", roles.read},
                    {"bonus", roles.bonus}};
  }
  if (region.custom) {
    json["custom"] = {{"name", region.custom->name},
                      {"along", id_number(region.custom->along)},
                      {"operands", region.custom->operands},
                      {"constants", list_json(region.custom->constants, bits)}};
  }
  return json;
}

Region region_of(const JsonNode& json) {
  Region region;
  region.axes = axes_of(json.at("axes"));
  region.operands = list_of<Operand>(json.at("operands"), [](const JsonNode& one) {
    return Operand{value(one.at("value")), list_of<ViewAxis>(one.at("view"), [](const JsonNode& view) {
                     return ViewAxis{axis(view.at("axis")), axis(view.at("stored")),
                                     whole<int64_t>(view.at("begin"), 0), whole<int32_t>(view.at("gather"), -1)};
                   })};
  });
  region.lhs = list_of<Source>(json.at("lhs"), source_of);
  region.contractions = list_of<Contraction>(json.at("contractions"), [](const JsonNode& one) {
    return Contraction{whole<int32_t>(one.at("lhs"), 0), whole<int32_t>(one.at("rhs"), 0), axes_of(one.at("over"))};
  });
  region.body = source_of(json.at("body"));
  if (const JsonNode one = json.at("attention"); !one.is_null()) {
    region.attention = {axis(one.at("key")), whole<int32_t>(one.at("value"), 0), one.at("statistics").flag(false)};
    // Traces of before there were sinks have none.
    if (const JsonNode sink = one.at("sink"); !sink.is_null()) region.attention->sink = program_of(sink);
  }
  if (const JsonNode one = json.at("rotation"); !one.is_null()) {
    Rotation& rotation = region.rotation.emplace();
    rotation.axis = axis(one.at("axis")), rotation.pairs = enumerator<RopePairs>(one.at("pairs"));
    rotation.position = whole<int32_t>(one.at("position"), 0);
    rotation.base = real(one.at("base")), rotation.scale = real(one.at("scale"));
    if (const JsonNode list = one.at("sections"); !list.is_null()) {
      rotation.sections = list_of<RotationSection>(list, [](const JsonNode& section) {
        return RotationSection{whole<int64_t>(section.at("first"), 0), whole<int32_t>(section.at("position"), 0)};
      });
    }
    if (const JsonNode list = one.at("frequencies"); !list.is_null()) {
      rotation.frequencies = std::make_shared<const std::vector<float>>(list_of<float>(list, real));
    }
  }
  region.post = program_of(json.at("post"));
  if (const JsonNode one = json.at("selection"); !one.is_null()) {
    region.selection = {axis(one.at("axis")), axis(one.at("choice")), one.at("values").flag(true)};
  }
  if (const JsonNode one = json.at("scan"); !one.is_null()) {
    const auto role = [&](const char* key) { return whole<int32_t>(one.at(key), -1); };
    region.scan = {
        enumerator<Scan::Kind>(one.at("kind")),
        whole<int32_t>(one.at("state"), 0),
        {role("query"), role("key"), role("value"), role("decay"), role("erase"), role("read"), role("bonus")}};
  }
  if (const JsonNode one = json.at("custom"); !one.is_null()) {
    const auto index = [](const JsonNode& operand) { return whole<int32_t>(operand, 0); };
    region.custom = {one.at("name").text(), axis(one.at("along")), list_of<int>(one.at("operands"), index),
                     list_of<float>(one.at("constants"), real)};
  }
  return region;
}

}  // namespace

nlohmann::ordered_json step_json(const GraphRecord& graph) {
  const Step& step = graph.steps.front();
  ordered_json json;
  json["axes"] = list_json(graph.axes, [](const AxisRecord& one) {
    return ordered_json{{"name", one.name}, {"fixed_extent", one.fixed_extent}};
  });
  json["values"] = list_json(graph.values, [](const ValueRecord& one) {
    return ordered_json{{"name", one.name},
                        {"kind", name(one.kind)},
                        {"format", name(one.format)},
                        {"axes", axes_json(one.axes)},
                        {"cache", one.cache}};
  });
  json["caches"] = list_json(graph.caches, [](const CacheRecord& one) {
    return ordered_json{{"name", one.name},
                        {"key", id_number(one.key)},
                        {"pos", id_number(one.pos)},
                        {"fields", list_json(one.fields, id_number<ValueId>)},
                        {"positions", id_number(one.positions)},
                        {"pos_values", id_number(one.pos_values)},
                        {"slots", id_number(one.slots)},
                        {"seq", id_number(one.seq)},
                        {"group", one.group}};
  });
  json["states"] = list_json(graph.states, [](const StateRecord& one) {
    return ordered_json{{"name", one.name},
                        {"pos", id_number(one.pos)},
                        {"value", id_number(one.value)},
                        {"from", id_number(one.from)},
                        {"to", id_number(one.to)}};
  });
  json["step"] = {{"kind", name(step.kind)},
                  {"name", step.name},
                  {"regions", list_json(step.regions, region_json)},
                  {"outputs", list_json(step.outputs, id_number<ValueId>)},
                  {"cache", step.cache}};
  return json;
}

GraphRecord step_of(const JsonNode& json) {
  GraphRecord graph;
  graph.axes = list_of<AxisRecord>(json.at("axes"), [](const JsonNode& one) {
    return AxisRecord{one.at("name").text(), whole<int64_t>(one.at("fixed_extent"), -1), nullptr, 0};
  });
  graph.values = list_of<ValueRecord>(json.at("values"), [](const JsonNode& one) {
    return ValueRecord{one.at("name").text(),
                       enumerator<ValueKind>(one.at("kind")),
                       enumerator<Format>(one.at("format")),
                       axes_of(one.at("axes")),
                       nullptr,
                       whole<int32_t>(one.at("cache"), -1)};
  });
  graph.caches = list_of<CacheRecord>(json.at("caches"), [](const JsonNode& one) {
    return CacheRecord{one.at("name").text(),
                       axis(one.at("key")),
                       axis(one.at("pos")),
                       list_of<ValueId>(one.at("fields"), value),
                       value(one.at("positions")),
                       value(one.at("pos_values")),
                       value(one.at("slots")),
                       value(one.at("seq")),
                       whole<int32_t>(one.at("group"), 0)};
  });
  graph.states = list_of<StateRecord>(json.at("states"), [](const JsonNode& one) {
    return StateRecord{one.at("name").text(), axis(one.at("pos")), value(one.at("value")), value(one.at("from")),
                       value(one.at("to"))};
  });
  const JsonNode one = json.at("step");
  graph.steps.push_back({enumerator<StepKind>(one.at("kind")), one.at("name").text(),
                         list_of<Region>(one.at("regions"), region_of), list_of<ValueId>(one.at("outputs"), value),
                         whole<int32_t>(one.at("cache"), -1)});
  return graph;
}

}  // namespace weft
