#include "ops/harness/case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/record/axis_list.h"
#include "ops/harness/random_blocks.h"

namespace weft {
namespace {

// splitmix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators"): the same on every compiler.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  int64_t below(int64_t bound) { return static_cast<int64_t>(next() % static_cast<uint64_t>(bound)); }

 private:
  uint64_t state_;
};

template <class T>
void shuffle(std::vector<T>& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  }
}

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& elements) {
  std::vector<std::byte> bytes(elements.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), elements.data(), bytes.size());
  return bytes;
}

std::vector<std::byte> random_bytes(Format format, int64_t elements, const Fill& fill, Random& random) {
  const auto count = static_cast<size_t>(elements);
  if (format == Format::i32) {
    std::vector<int32_t> ints(count);
    const auto low = static_cast<int64_t>(fill.low), high = static_cast<int64_t>(fill.high);
    for (int32_t& x : ints) x = static_cast<int32_t>(low + random.below(std::max<int64_t>(high - low, 1)));
    return bytes_of(ints);
  }
  // Whole blocks, also where the elements cut one: that is for the step to refuse.
  const size_t block = info(format).block_elements;
  std::vector<std::byte> bytes(row_bytes(format, (count + block - 1) / block * block));
  if (format == Format::bool8) {
    for (std::byte& x : bytes) x = static_cast<std::byte>(random.next() & 1);
    return bytes;
  }
  if (block > 1) {
    const double magnitude = std::max(std::fabs(fill.low), std::fabs(fill.high));
    random_blocks(
        format, count, static_cast<float>(magnitude), fill.nonfinite, [&] { return random.next(); }, bytes.data());
    return bytes;
  }
  std::vector<float> floats(count);
  for (float& x : floats) {
    x = static_cast<float>(fill.low + (fill.high - fill.low) * random.uniform());
    if (fill.nonfinite > 0 && random.uniform() < fill.nonfinite) {
      constexpr float kInf = std::numeric_limits<float>::infinity();
      constexpr float kNonFinite[] = {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf};
      x = kNonFinite[random.below(3)];
    }
  }
  encode_row(format, floats.data(), count, bytes.data());
  return bytes;
}

}  // namespace

CaseBytes::CaseBytes(size_t size) : size_(size) {
  constexpr auto kAlignment = std::align_val_t{64};
  data_ = std::shared_ptr<std::byte>(static_cast<std::byte*>(::operator new(size, kAlignment)),
                                     [](std::byte* bytes) { ::operator delete(bytes, kAlignment); });
}

StepArgs StepCase::args() const { return {.extents = extents.data(), .data = data.data(), .pages = pages.data()}; }

int64_t StepCase::element_count(ValueId value) const {
  const FormatInfo& format = info(graph.values[value].format);
  return static_cast<int64_t>(bytes[value].size() / format.block_bytes * format.block_elements);
}

std::vector<ValueId> StepCase::written() const {
  std::vector<ValueId> values = step().outputs;
  if (step().kind == StepKind::append) {
    values.push_back(graph.caches[static_cast<size_t>(step().cache)].positions);
  }
  return values;
}

void StepCase::reset() const {
  for (size_t v = 0; v < bytes.size(); ++v) {
    if (bytes[v].size() != 0) std::memcpy(bytes[v].data(), initial[v].data(), bytes[v].size());
  }
}

Outputs StepCase::outputs() const {
  Outputs result;
  for (const ValueId value : written()) {
    const std::byte* first = bytes[value].data();
    result.emplace_back(first, first + bytes[value].size());
  }
  return result;
}

CaseBuilder::CaseBuilder(StepKind kind, std::string name, uint64_t seed) : seed_(seed) {
  step_.kind = kind;
  step_.name = std::move(name);
}

AxisId CaseBuilder::axis(std::string name, int64_t extent) {
  graph_.axes.push_back({.name = std::move(name)});
  extents_.push_back(extent);
  return static_cast<AxisId>(extents_.size() - 1);
}

AxisId CaseBuilder::key_axis(std::string name) { return axis(std::move(name), -1); }

ValueId CaseBuilder::add(std::string name, ValueKind kind, Format format, std::vector<AxisId> axes, Fill fill,
                         int cache) {
  ValueRecord record;
  record.name = std::move(name);
  record.kind = kind;
  record.format = format;
  record.axes = std::move(axes);
  record.cache = cache;
  graph_.values.push_back(std::move(record));
  contents_.push_back({.fill = fill});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId CaseBuilder::input(std::string name, std::vector<AxisId> axes, Format format, Fill fill) {
  return add(std::move(name), ValueKind::input, format, std::move(axes), fill);
}

ValueId CaseBuilder::ids(std::string name, std::vector<AxisId> axes, int32_t low, int32_t high) {
  return input(std::move(name), std::move(axes), Format::i32,
               {.low = static_cast<double>(low), .high = static_cast<double>(high)});
}

ValueId CaseBuilder::weight(std::string name, std::vector<AxisId> axes, Format format, Fill fill) {
  return add(std::move(name), ValueKind::weight, format, std::move(axes), fill);
}

void CaseBuilder::set(ValueId value, std::vector<float> elements) { contents_[value].floats = std::move(elements); }
void CaseBuilder::set(ValueId value, std::vector<int32_t> elements) { contents_[value].ints = std::move(elements); }

int32_t CaseBuilder::Pool::slot(int32_t sequence, int32_t token) const {
  const int32_t page = table[static_cast<size_t>(sequence * max_pages + token / spec.page_size)];
  return page * spec.page_size + token % spec.page_size;
}

CaseCache CaseBuilder::cache(const CacheSpec& spec) {
  Pool pool;
  pool.spec = spec;
  const auto pages_of = [&spec](const CaseSequence& sequence) {
    return (sequence.length + spec.page_size - 1) / spec.page_size;
  };
  int32_t pages = 0;
  for (const CaseSequence& sequence : spec.sequences) {
    if (sequence.rows > sequence.length || sequence.shared_pages > pages_of(sequence) ||
        sequence.shared_pages > pages_of(spec.sequences.front()) ||
        sequence.gone_pages * spec.page_size > sequence.length - sequence.rows ||
        (sequence.shared_pages > sequence.gone_pages && spec.sequences.front().gone_pages > sequence.gone_pages)) {
      throw Error("case '" + step_.name + "', cache '" + spec.name + "': rows, shared or gone pages that cannot be");
    }
    pool.max_pages = std::max(pool.max_pages, pages_of(sequence) + 1);
    pages += pages_of(sequence);
  }
  pool.pool_pages = pages + 2;
  Random random(seed_ + 77 * (pools_.size() + 1));
  std::vector<int32_t> order(static_cast<size_t>(pool.pool_pages));
  std::iota(order.begin(), order.end(), 0);
  shuffle(order, random);
  const auto sequences = static_cast<int32_t>(spec.sequences.size());
  pool.table.assign(static_cast<size_t>(sequences * pool.max_pages), -1);
  size_t taken = 0;
  std::vector<std::pair<int32_t, int32_t>> rows;  // sequence and token of each row
  for (int32_t s = 0; s < sequences; ++s) {
    const CaseSequence& sequence = spec.sequences[static_cast<size_t>(s)];
    pool.lengths.push_back(sequence.length);
    pool.first.push_back(sequence.gone_pages * spec.page_size);
    for (int32_t p = sequence.gone_pages; p < pages_of(sequence); ++p) {
      const bool shared = s > 0 && p < sequence.shared_pages;
      pool.table[static_cast<size_t>(s * pool.max_pages + p)] =
          shared ? pool.table[static_cast<size_t>(p)] : order[taken++];
    }
    for (int32_t r = 0; r < sequence.rows; ++r) rows.emplace_back(s, sequence.length - sequence.rows + r);
  }
  if (static_cast<int64_t>(rows.size()) != extents_[spec.pos]) {
    throw Error("case '" + step_.name + "', cache '" + spec.name + "': " + std::to_string(rows.size()) +
                " rows, but '" + graph_.axes[spec.pos].name + "' has extent " + std::to_string(extents_[spec.pos]));
  }
  if (spec.shuffled_rows) shuffle(rows, random);

  std::vector<int32_t> seq, slots, positions;
  for (const auto& [sequence, token] : rows) {
    const bool skipped = spec.skip_every > 0 && static_cast<int32_t>(seq.size()) % spec.skip_every == 0;
    seq.push_back(sequence);
    slots.push_back(skipped ? -1 : pool.slot(sequence, token));
    positions.push_back(spec.first_position + token);
  }
  CaseCache result;
  result.cache = static_cast<int>(pools_.size());
  result.pos_values = ids(spec.name + ".pos_values", {spec.pos}, 0, 1);
  result.slots = ids(spec.name + ".slots", {spec.pos}, 0, 1);
  result.seq = ids(spec.name + ".seq", {spec.pos}, 0, 1);
  set(result.pos_values, std::move(positions));
  set(result.slots, std::move(slots));
  set(result.seq, std::move(seq));
  for (size_t f = 0; f < spec.fields.size(); ++f) {
    std::vector<AxisId> axes = {spec.key};
    axes.insert(axes.end(), spec.fields[f].begin(), spec.fields[f].end());
    result.fields.push_back(add(spec.name + ".field" + std::to_string(f), ValueKind::cache_field,
                                f < spec.formats.size() ? spec.formats[f] : Format::f32, std::move(axes), spec.fill,
                                result.cache));
  }
  result.positions =
      add(spec.name + ".positions", ValueKind::cache_position, Format::i32, {spec.key}, {}, result.cache);
  graph_.caches.push_back({.name = spec.name,
                           .key = spec.key,
                           .pos = spec.pos,
                           .fields = result.fields,
                           .positions = result.positions,
                           .pos_values = result.pos_values,
                           .slots = result.slots,
                           .seq = result.seq});
  pools_.push_back(std::move(pool));
  return result;
}

int CaseBuilder::operand(ValueId value) {
  std::vector<ViewAxis> view;
  for (const AxisId axis : graph_.values[value].axes) view.push_back(whole(axis));
  return operand(value, std::move(view));
}

int CaseBuilder::operand(ValueId value, std::vector<ViewAxis> view) {
  region_.operands.push_back({value, std::move(view)});
  return static_cast<int>(region_.operands.size() - 1);
}

Element CaseBuilder::element(int operand) const {
  return graph_.values[region_.operands[static_cast<size_t>(operand)].value].element();
}

int CaseBuilder::lhs(std::vector<AxisId> axes, ScalarProgram program, AxisId reduced,
                     std::vector<Reduction> reductions) {
  region_.lhs.push_back({std::move(axes), reduced, std::move(reductions), std::move(program)});
  return static_cast<int>(region_.lhs.size() - 1);
}

int CaseBuilder::lhs(int operand) {
  ScalarBuilder s;
  return lhs(loop_axes(region_, region_.operands[static_cast<size_t>(operand)]), s.finish(s.load(operand)));
}

int CaseBuilder::contraction(int lhs, int rhs, std::vector<AxisId> over) {
  region_.contractions.push_back({lhs, rhs, std::move(over)});
  return static_cast<int>(region_.contractions.size() - 1);
}

void CaseBuilder::body(std::vector<AxisId> axes, ScalarProgram program, AxisId reduced,
                       std::vector<Reduction> reductions) {
  region_.body = {std::move(axes), reduced, std::move(reductions), std::move(program)};
}

void CaseBuilder::attention(AxisId key, int value, bool statistics, ScalarProgram sink) {
  region_.attention = {key, value, statistics, std::move(sink)};
}

void CaseBuilder::append_to(const CaseCache& cache) {
  step_.cache = cache.cache;
  step_.outputs = cache.fields;
}

void CaseBuilder::finish_region() {
  if (!region_open_) return;
  region_open_ = false;
  if (region_.axes.empty()) {
    region_.axes = region_.body.axes;
    if (region_.attention) {
      const AxisId key = region_.attention->key;
      std::erase(region_.axes, key);
      const Operand& value = region_.operands[static_cast<size_t>(region_.attention->value)];
      add_axes(region_.axes, without(loop_axes(region_, value), key));
    }
  }
  step_.regions.push_back(std::move(region_));
  region_ = {};
}

void CaseBuilder::next_region() {
  finish_region();
  region_open_ = true;
}

void CaseBuilder::add_output(std::vector<AxisId> axes, Element element, std::string name) {
  step_.outputs.push_back(add(std::move(name), ValueKind::intermediate, plain_format(element), std::move(axes), {}));
}

int64_t CaseBuilder::element_count(ValueId value) const {
  int64_t count = 1;
  for (const AxisId axis : graph_.values[value].axes) {
    if (extents_[axis] >= 0) {
      count *= extents_[axis];
    } else {
      const Pool& pool = pools_[static_cast<size_t>(graph_.values[value].cache)];
      count *= int64_t{pool.pool_pages} * pool.spec.page_size;
    }
  }
  return count;
}

std::vector<std::byte> CaseBuilder::filled(ValueId value) const {
  const ValueRecord& record = graph_.values[value];
  const Content& content = contents_[value];
  const int64_t elements = element_count(value);
  const auto check = [&](size_t given) {
    if (static_cast<int64_t>(given) != elements) {
      throw Error("case '" + step_.name + "', value '" + record.name + "': " + std::to_string(given) +
                  " elements set, the axes have " + std::to_string(elements));
    }
  };
  if (content.ints) {
    check(content.ints->size());
    return bytes_of(*content.ints);
  }
  if (content.floats) {
    check(content.floats->size());
    std::vector<std::byte> bytes(row_bytes(record.format, content.floats->size()));
    encode_row(record.format, content.floats->data(), content.floats->size(), bytes.data());
    return bytes;
  }
  if (record.kind == ValueKind::intermediate) {
    return std::vector<std::byte>(row_bytes(record.format, static_cast<size_t>(elements)), std::byte{0xa5});
  }
  Random random(seed_ * 1000003 + value);
  return random_bytes(record.format, elements, content.fill, random);
}

std::vector<std::byte> CaseBuilder::filled_cache(ValueId value) const {
  const ValueRecord& record = graph_.values[value];
  const Pool& pool = pools_[static_cast<size_t>(record.cache)];
  const size_t slots = static_cast<size_t>(pool.pool_pages * pool.spec.page_size);
  const size_t width = slots == 0 ? 0 : static_cast<size_t>(element_count(value)) / slots;
  Random random(seed_ * 1000003 + value);
  std::vector<float> floats(slots * width, std::numeric_limits<float>::quiet_NaN());
  std::vector<int32_t> positions(slots, std::numeric_limits<int32_t>::min());
  for (int32_t s = 0; s < static_cast<int32_t>(pool.spec.sequences.size()); ++s) {
    const CaseSequence& sequence = pool.spec.sequences[static_cast<size_t>(s)];
    const int32_t present = sequence.length - (step_.kind == StepKind::append ? sequence.rows : 0);
    for (int32_t token = pool.first[static_cast<size_t>(s)]; token < present; ++token) {
      const auto slot = static_cast<size_t>(pool.slot(s, token));
      positions[slot] = pool.spec.first_position + token;
      const std::vector<std::byte> row = random_bytes(Format::f32, static_cast<int64_t>(width), pool.spec.fill, random);
      if (width != 0) std::memcpy(&floats[slot * width], row.data(), row.size());
    }
  }
  if (record.kind == ValueKind::cache_position) return bytes_of(positions);
  std::vector<std::byte> bytes(row_bytes(record.format, floats.size()));
  encode_row_or_nan(record.format, floats.data(), floats.size(), bytes.data());
  return bytes;
}

StepCase CaseBuilder::build() {
  finish_region();
  if (step_.kind != StepKind::append) {
    const Region& region = step_.regions.front();
    if (region.selection) {
      std::vector<AxisId> axes = region.axes;
      const auto at = std::find(axes.begin(), axes.end(), region.selection->axis);
      if (at != axes.end()) {
        if (region.selection->choice == kNoAxis) axes.erase(at);
        else *at = region.selection->choice;
      }
      if (region.selection->values) add_output(axes, Element::f32, "values");
      add_output(axes, Element::i32, "ids");
    } else {
      add_output(region.axes, result_element(region), "out");
      if (region.attention && region.attention->statistics) {
        for (const std::string_view name : kStatistics) add_output(query_axes(region), Element::f32, std::string(name));
      }
    }
  }
  graph_.results = step_.outputs;
  graph_.steps = {step_};

  StepCase result;
  result.graph = graph_;
  result.extents = extents_;
  result.max_extents = extents_;
  for (const Pool& pool : pools_) {
    const int32_t longest = pool.lengths.empty() ? 0 : *std::max_element(pool.lengths.begin(), pool.lengths.end());
    int64_t& key = result.max_extents[pool.spec.key];
    key = std::max<int64_t>(key, longest);
    result.page_storage.push_back(std::make_shared<std::vector<int32_t>>(pool.table));
    result.page_storage.push_back(std::make_shared<std::vector<int32_t>>(pool.lengths));
    result.page_storage.push_back(std::make_shared<std::vector<int32_t>>(pool.first));
    result.pages.push_back({.pages = result.page_storage[result.page_storage.size() - 3]->data(),
                            .length = result.page_storage[result.page_storage.size() - 2]->data(),
                            .sequences = static_cast<int32_t>(pool.lengths.size()),
                            .max_pages = pool.max_pages,
                            .page_size = pool.spec.page_size,
                            .first = result.page_storage.back()->data()});
  }
  for (ValueId v = 0; v < graph_.values.size(); ++v) {
    ValueRecord& record = result.graph.values[v];
    result.initial.push_back(record.is_cached() ? filled_cache(v) : filled(v));
    result.bytes.emplace_back(result.initial.back().size());
    result.data.push_back(result.bytes.back().data());
    if (record.kind == ValueKind::weight) {
      auto storage = std::make_shared<Storage>();
      storage->name = record.name;
      storage->format = record.format;
      for (const AxisId axis : record.axes) storage->extents.push_back(extents_[axis]);
      storage->data = result.bytes.back().data();
      storage->owner = std::make_shared<CaseBytes>(result.bytes.back());
      record.storage = std::move(storage);
    }
  }
  result.reset();
  return result;
}

}  // namespace weft
