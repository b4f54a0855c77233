#include "runtime/trace/case_file.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "core/error.h"
#include "core/format/format.h"
#include "core/record/verify.h"
#include "core/record/visit.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/gguf.h"
#include "runtime/files/gguf_writer.h"
#include "runtime/plan/device.h"
#include "runtime/plan/extents.h"
#include "runtime/trace/step_json.h"

namespace weft {

namespace {

using nlohmann::ordered_json;

constexpr const char* kKey = "weft.case";
constexpr int64_t kVersion = 1;

// What a case reads; the rest is written by it.
bool is_kept(const ValueRecord& value) { return value.kind != ValueKind::intermediate; }

bool is_output(const Step& step, ValueId value) { return std::ranges::find(step.outputs, value) != step.outputs.end(); }

ordered_json table_json(const PageTable& table) {
  const auto list = [](const int32_t* from, int64_t count) { return std::vector<int32_t>(from, from + count); };
  return {{"page_size", table.page_size},
          {"max_pages", table.max_pages},
          {"pages", list(table.pages, int64_t{table.sequences} * table.max_pages)},
          {"length", list(table.length, table.sequences)},
          {"first", table.first == nullptr ? std::vector<int32_t>(static_cast<size_t>(table.sequences), 0)
                                           : list(table.first, table.sequences)}};
}

// Room for a value, and its address.
void add_bytes(StepCase& step_case, std::vector<std::byte> initial) {
  step_case.bytes.emplace_back(initial.size());
  if (!initial.empty()) std::memcpy(step_case.bytes.back().data(), initial.data(), initial.size());
  step_case.initial.push_back(std::move(initial));
  step_case.data.push_back(step_case.bytes.back().data());
}

// A weight's elements are where the case has its bytes.
void add_storage(StepCase& step_case, ValueId id) {
  ValueRecord& value = step_case.graph.values[id];
  auto storage = std::make_shared<Storage>();
  storage->name = value.name, storage->format = value.format;
  for (const AxisId axis : value.axes) storage->extents.push_back(step_case.extents[axis]);
  storage->data = step_case.bytes[id].data();
  storage->owner = std::make_shared<CaseBytes>(step_case.bytes[id]);
  value.storage = std::move(storage);
}

}  // namespace

void write_case(const StepCase& step_case, const std::filesystem::path& path) {
  ordered_json json = {{"version", kVersion}};
  json.update(step_json(step_case.graph));
  json["extents"] = step_case.extents;
  json["max_extents"] = step_case.max_extents;
  json["pages"] = ordered_json::array();
  for (const PageTable& table : step_case.pages) json["pages"].push_back(table_json(table));
  GgufMetadata metadata;
  metadata.set("general.type", "case");
  metadata.set(kKey, json.dump());
  std::vector<GgufTensorPlan> tensors;
  std::vector<ValueId> kept;
  for (size_t i = 0; i < step_case.graph.values.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (!is_kept(step_case.graph.values[i])) continue;
    kept.push_back(id);
    tensors.push_back({std::to_string(id),
                       {static_cast<size_t>(step_case.element_count(id))},
                       ggml_type_id(step_case.graph.values[i].format)});
  }
  GgufWriter writer(path, std::move(metadata), tensors);
  for (const ValueId id : kept) {
    const std::vector<std::byte>& bytes = step_case.initial[id];
    writer.write({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  }
  writer.finish();
}

namespace {

// What a file says, before anything of it is believed.
class CaseReader {
 public:
  explicit CaseReader(const std::filesystem::path& path)
      : file_(GgufFile::open(path)), source_(file_.path() + ": " + kKey) {}

  StepCase read() {
    const std::string_view text = file_.get_string(kKey, "");
    if (text.empty()) throw Error(file_.path() + ": is no case of a step: it has no " + kKey);
    const Json json = parse_json(text, source_);
    const JsonNode node(json, source_);
    if (const int32_t version = node.at("version").id(); version != kVersion) {
      node.at("version").fail("is " + std::to_string(version) + ", wanted " + std::to_string(kVersion));
    }
    case_.graph = step_of(node);
    case_.extents = extents(node.at("extents"));
    case_.max_extents = extents(node.at("max_extents"));
    node.at("pages").each([&](const JsonNode& table) { read_pages(table); });
    if (case_.pages.size() != case_.graph.caches.size()) node.at("pages").fail("is not one table for each cache");
    try {
      check_axes();
      for (size_t i = 0; i < case_.graph.values.size(); ++i) read_value(static_cast<ValueId>(i));
      case_.graph.results = case_.graph.steps.front().outputs;
      std::erase_if(case_.graph.results, [&](ValueId id) { return case_.graph.values[id].has_slots(); });
      verify(case_.graph);
      check_views();
      run_once();
      add_outputs();
    } catch (const Error& error) {
      const std::string what = error.what();
      throw Error(what.starts_with(file_.path()) ? what : file_.path() + ": " + what);
    }
    return std::move(case_);
  }

 private:
  std::vector<int64_t> extents(const JsonNode& json) const {
    std::vector<int64_t> list;
    json.each([&](const JsonNode& one) { list.push_back(one.whole(-1, INT32_MAX)); });
    if (list.size() != case_.graph.axes.size()) json.fail("is not one extent for each axis");
    return list;
  }

  void read_pages(const JsonNode& json) {
    const auto list = [](const JsonNode& numbers) {
      std::vector<int32_t> all;
      // -1: a page that is not there.
      numbers.each([&](const JsonNode& one) { all.push_back(static_cast<int32_t>(one.whole(-1, INT32_MAX))); });
      return all;
    };
    std::vector<int32_t> pages = list(json.at("pages")), length = list(json.at("length")),
                         first = list(json.at("first"));
    const int32_t max_pages = json.at("max_pages").id(), page_size = json.at("page_size").id();
    if (pages.size() != length.size() * static_cast<size_t>(max_pages) || first.size() != length.size()) {
      json.fail("has lists that do not agree in length");
    }
    case_.add_pages(std::move(pages), std::move(length), std::move(first), max_pages, page_size);
  }

  // So that extents of values may be looked up.
  void check_axes() const {
    for (const ValueRecord& value : case_.graph.values) {
      for (const AxisId axis : value.axes) {
        if (axis >= case_.graph.axes.size()) throw Error("value '" + value.name + "' has an axis that there is not");
      }
    }
    for (const CacheRecord& cache : case_.graph.caches) {
      if (cache.group != 0) throw Error("cache '" + cache.name + "': its group is not 0");
    }
    for (const ValueId output : case_.graph.steps.front().outputs) {
      if (output >= case_.graph.values.size()) throw Error("the step writes a value that there is not");
    }
  }

  // Elements of a value; of a cached one, of one slot. Throws Error where they are too many, or cut a block.
  size_t elements(const ValueRecord& value) const {
    size_t count = 1;
    for (size_t i = value.is_cached() ? 1 : 0; i < value.axes.size(); ++i) {
      const int64_t extent = case_.extents[value.axes[i]];
      if (extent < 0) throw Error("value '" + value.name + "': its axis has no extent");
      if (__builtin_mul_overflow(count, static_cast<size_t>(extent), &count) || count > size_t{1} << 40) {
        throw Error("value '" + value.name + "' is too large");
      }
    }
    if (count % info(value.format).block_elements != 0) throw Error("value '" + value.name + "' cuts a block");
    return count;
  }

  void read_value(ValueId id) {
    const ValueRecord& value = case_.graph.values[id];
    std::vector<std::byte> bytes;
    if (is_kept(value)) {
      const std::string name = std::to_string(id);
      const GgufTensor* tensor = file_.find_tensor(name);
      const std::string what = file_.path() + ": tensor '" + name + "' (" + value.name + "): ";
      if (tensor == nullptr) throw Error(what + "is absent");
      if (tensor->type != ggml_type_id(value.format)) {
        throw Error(what + "is " + std::string(tensor->type_name) + ", wanted " +
                    std::string(weft::name(value.format)));
      }
      const size_t row = row_bytes(value.format, elements(value));
      if (value.has_slots() ? row == 0 || tensor->bytes % row != 0 : tensor->bytes != row) {
        throw Error(what + "has " + std::to_string(tensor->bytes) + " bytes, wanted " +
                    (value.has_slots() ? "rows of " : "") + std::to_string(row));
      }
      if (value.has_slots()) {
        const auto slots = static_cast<int64_t>(tensor->bytes / row);
        int64_t& known = value.is_cached() ? slots_ : state_slots_;
        if (known >= 0 && known != slots) throw Error(what + "has another number of slots than the field before");
        known = slots;
      }
      const auto* data = reinterpret_cast<const std::byte*>(tensor->data);
      bytes.assign(data, data + tensor->bytes);
    }
    add_bytes(case_, std::move(bytes));
    if (value.kind == ValueKind::weight) add_storage(case_, id);
  }

  // What an expression's rules about extents say of views: that these lie within their values.
  void check_views() const {
    for_each_operand(case_.graph.steps.front(), [&](const Operand& operand) {
      const ValueRecord& value = case_.graph.values[operand.value];
      const auto fail = [&] { throw Error("a view of '" + value.name + "' lies outside of it"); };
      size_t stored = 1;
      for (size_t i = 0; i < operand.view.size(); ++i) {
        const ViewAxis& view = operand.view[i];
        if (value.is_cached() && i == 0) {  // the key, which has no extent of its own
          if (view.stored != value.axes.front() || view.axis != view.stored || view.begin != 0) fail();
          continue;
        }
        const int64_t extent = case_.extents[view.stored];
        if (extent < 0 || __builtin_mul_overflow(stored, static_cast<size_t>(extent), &stored)) fail();
        if (view.axis != kNoAxis && (case_.extents[view.axis] < 0 || view.begin > extent - case_.extents[view.axis]))
          fail();
      }
      if (stored != elements(value)) fail();
    });
  }

  // The plan checks what else kernels rely on: extents, pages, slots.
  void run_once() {
    const auto graph = std::make_shared<const GraphRecord>(case_.graph);
    Limits limits;
    for (size_t axis = 0; axis < graph->axes.size(); ++axis) {
      if (graph->axes[axis].fixed_extent < 0 && case_.max_extents[axis] >= 0) {
        limits.set(static_cast<AxisId>(axis), case_.max_extents[axis]);
      }
    }
    Plan plan = compile(Device::cpu(1), graph, limits, {.precision = Precision::exact});
    Bindings bindings = plan.bindings();
    for (size_t i = 0; i < graph->values.size(); ++i) {
      const ValueRecord& value = graph->values[i];
      if (value.kind != ValueKind::input) continue;
      std::vector<int64_t> extents;
      for (const AxisId axis : value.axes) extents.push_back(case_.extents[axis]);
      bindings.input(static_cast<ValueId>(i), case_.data[i], extents);
    }
    std::shared_ptr<CachePool> pool;
    if (!graph->caches.empty() || !graph->states.empty()) {
      pool =
          plan.make_cache_pool(std::vector<int64_t>{std::max<int64_t>(slots_, 0)}, std::max<int64_t>(state_slots_, 0));
      bindings.caches(pool.get());
      for (size_t c = 0; c < graph->caches.size(); ++c) bindings.pages(static_cast<int>(c), case_.pages[c]);
    }
    plan.run(bindings);
  }

  void add_outputs() {
    for (const ValueId id : case_.graph.steps.front().outputs) {
      const ValueRecord& value = case_.graph.values[id];
      if (is_kept(value)) continue;
      std::vector<std::byte> bytes(row_bytes(value.format, elements(value)), std::byte{0xa5});
      case_.bytes[id] = CaseBytes(bytes.size());
      case_.data[id] = case_.bytes[id].data();
      case_.initial[id] = std::move(bytes);
    }
    case_.reset();
  }

  GgufFile file_;
  std::string source_;
  StepCase case_;
  int64_t slots_ = -1, state_slots_ = -1;  // -1: nothing has any
};

}  // namespace

StepCase read_case(const std::filesystem::path& path) { return CaseReader(path).read(); }

namespace {

size_t step_index(const GraphRecord& graph, const std::string& name) {
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    if (graph.steps[i].name == name) return i;
  }
  throw Error("no step is called '" + name + "': 'weft explain --all' lists them");
}

// Null: it has none.
const StateRecord* state_of_step(const GraphRecord& graph, const Step& step) {
  const std::optional<Scan>& scan = step.regions.front().scan;
  return scan ? &graph.states[static_cast<size_t>(scan->state)] : nullptr;
}

// What a case of the step has: all that it reads and writes, and with a cache the rest of that.
std::set<ValueId> values_of_case(const GraphRecord& graph, const Step& step, int cache) {
  std::set<ValueId> used(step.outputs.begin(), step.outputs.end());
  for (const ValueId value : values_read(graph, step)) used.insert(value);
  if (const StateRecord* state = state_of_step(graph, step)) used.insert(state->value);
  if (cache >= 0) {
    const CacheRecord& record = graph.caches[static_cast<size_t>(cache)];
    used.insert(record.fields.begin(), record.fields.end());
    used.insert({record.positions, record.pos_values, record.slots, record.seq});
  }
  return used;
}

// -1: the step has to do with none.
int cache_of_step(const GraphRecord& graph, const Step& step) {
  int cache = step.cache;
  for (const Region& region : step.regions) cache = std::max(cache, cache_of(graph, region));
  return cache;
}

}  // namespace

LanguageModel with_operands(LanguageModel model, const std::string& name) {
  auto graph = std::make_shared<GraphRecord>(*model.graph);
  const Step& step = graph->steps[step_index(*graph, name)];
  for (const ValueId value : values_of_case(*graph, step, cache_of_step(*graph, step))) {
    const ValueKind kind = graph->values[value].kind;
    const bool is_read = kind == ValueKind::input || (kind == ValueKind::intermediate && !is_output(step, value));
    if (is_read && std::ranges::find(graph->results, value) == graph->results.end()) graph->results.push_back(value);
  }
  model.graph = std::move(graph);
  return model;
}

StepCase case_of_step(Engine& engine, const std::string& name, const std::vector<int64_t>& extents) {
  Plan& plan = engine.plan();
  const GraphRecord& whole = plan.graph();
  StepCase step_case;
  GraphRecord& graph = step_case.graph;
  graph.axes = whole.axes;
  graph.steps.push_back(whole.steps[step_index(whole, name)]);
  Step& step = graph.steps.front();
  step_case.extents = step_case.max_extents = extents;
  for (size_t axis = 0; axis < graph.axes.size(); ++axis) {
    graph.axes[axis].identity = nullptr;
    const auto id = static_cast<AxisId>(axis);
    if (plan.known_extents().known(id)) graph.axes[axis].fixed_extent = plan.known_extents()[id];
  }

  // Values of the step alone, numbered anew.
  const int cache = cache_of_step(whole, step);
  const std::set<ValueId> used = values_of_case(whole, step, cache);
  std::map<ValueId, ValueId> number;
  const auto renumber = [&](ValueId& value) { value = number.at(value); };
  for (const ValueId value : used) {
    number[value] = static_cast<ValueId>(graph.values.size());
    ValueRecord& record = graph.values.emplace_back(whole.values[value]);
    if (record.kind == ValueKind::intermediate && !is_output(step, value)) record.kind = ValueKind::input;
    if (record.cache >= 0) record.cache = 0;
  }
  for (const ValueId value : used) {
    const ValueRecord& record = whole.values[value];
    std::vector<std::byte> bytes;
    const auto copy = [&](const void* from, size_t size) {
      const auto* first = static_cast<const std::byte*>(from);
      bytes.assign(first, first + size);
    };
    if (record.kind == ValueKind::weight) {
      copy(record.storage->stored(), record.storage->bytes());
    } else if (record.is_cached()) {
      const CachePool& pool = engine.cache().pool();
      const int64_t slots = pool.slots(whole.caches[static_cast<size_t>(cache)].group);
      const std::vector<AxisId> axes(record.axes.begin() + 1, record.axes.end());
      size_t row = 1;
      for (const AxisId axis : axes) row *= static_cast<size_t>(extents[axis]);
      bytes.resize(row_bytes(record.format, row) * static_cast<size_t>(slots));
      pool.read_slots(value, 0, slots, bytes.data());
    } else if (record.kind == ValueKind::state) {
      const CachePool& pool = engine.cache().pool();
      bytes.resize(value_bytes(whole, value, extents.data()) * static_cast<size_t>(pool.state_slots()));
      pool.read_slots(value, 0, pool.state_slots(), bytes.data());
    } else if (is_output(step, value)) {
      bytes.assign(value_bytes(whole, value, extents.data()), std::byte{0xa5});
    } else {
      copy(plan.output(value).data, value_bytes(whole, value, extents.data()));
    }
    add_bytes(step_case, std::move(bytes));
    if (record.kind == ValueKind::weight) add_storage(step_case, number.at(value));
  }
  if (cache >= 0) {
    CacheRecord& record = graph.caches.emplace_back(whole.caches[static_cast<size_t>(cache)]);
    const BlockTables& tables = engine.cache().block_tables(record.group);
    for (ValueId& field : record.fields) renumber(field);
    for (ValueId* value : {&record.positions, &record.pos_values, &record.slots, &record.seq}) renumber(*value);
    record.group = 0;
    if (step.cache >= 0) step.cache = 0;
    const PageTable table = tables.view();
    const auto list = [](const int32_t* from, int64_t count) { return std::vector<int32_t>(from, from + count); };
    step_case.add_pages(list(table.pages, int64_t{table.sequences} * table.max_pages),
                        list(table.length, table.sequences),
                        table.first != nullptr ? list(table.first, table.sequences)
                                               : std::vector<int32_t>(static_cast<size_t>(table.sequences), 0),
                        table.max_pages, table.page_size);
    step_case.max_extents[record.key] = *std::ranges::max_element(*step_case.page_storage[1]);
  }
  if (const StateRecord* state = state_of_step(whole, step)) {
    StateRecord& record = graph.states.emplace_back(*state);
    for (ValueId* value : {&record.value, &record.from, &record.to}) renumber(*value);
    step.regions.front().scan->state = 0;
  }
  for_each_operand(step, [&](Operand& operand) { renumber(operand.value); });
  for (ValueId& output : step.outputs) renumber(output);
  return step_case;
}

}  // namespace weft
