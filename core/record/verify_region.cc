#include "core/record/verify_region.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/record/axis_list.h"
#include "core/record/verify_program.h"

namespace weft {
namespace {

constexpr int kMaxGathers = 2;

// The checks of one region; `where` names it in errors.
class RegionChecker {
 public:
  RegionChecker(const GraphRecord& graph, const Step& step, size_t index)
      : graph_(graph),
        step_(step),
        region_(step.regions[index]),
        where_("step '" + step.name + "'" +
               (step.regions.size() > 1 ? ", region " + std::to_string(index) : std::string())) {}

  void check() {
    check_axes("result", region_.axes);
    for (size_t i = 0; i < region_.operands.size(); ++i) check_operand(i);
    check_cached_operands();
    for (size_t i = 0; i < region_.lhs.size(); ++i) {
      check_source("lhs " + std::to_string(i), region_.lhs[i], {}, false);
    }
    for (size_t i = 0; i < region_.contractions.size(); ++i) check_contraction(i);
    if (region_.scan && region_.contractions.empty()) {
      check_scan();
      contraction_axes_.push_back(region_.axes);
    }
    check_source("body", region_.body, contraction_axes_, region_.attention.has_value());
    check_kind();
    if (region_.attention) {
      check_weighting();
    } else if (region_.body.axes != region_.axes) {
      fail("body has axes " + list(region_.body.axes) + ", the result " + list(region_.axes));
    }
    if (region_.rotation) check_rotation();
    if (!region_.post.empty()) {
      if (!region_.rotation) fail("post: a program after a rotation, without a rotation");
      verify_program({graph_, region_, region_.axes, {}, {}, true, false}, region_.post,
                     [this](const std::string& text) { fail("post: " + text); });
    }
    if (region_.selection) check_selection();
  }

  [[noreturn]] void fail(const std::string& text) const { throw Error(where_ + ": " + text); }
  std::string list(const std::vector<AxisId>& axes) const {
    std::string text = "<";
    for (const AxisId axis : axes) text += (text.size() > 1 ? ", " : "") + axis_name(axis);
    return text + ">";
  }

 private:
  std::string axis_name(AxisId axis) const {
    return axis < graph_.axes.size() ? graph_.axes[axis].name : "#" + std::to_string(axis);
  }
  std::string quoted(AxisId axis) const { return "axis '" + axis_name(axis) + "'"; }
  std::string operand_name(int index) const {
    return "operand " + std::to_string(index) + " ('" + value(index).name + "')";
  }
  const Operand& operand(int index) const { return region_.operands[static_cast<size_t>(index)]; }
  const ValueRecord& value(int index) const { return graph_.values[operand(index).value]; }
  bool has_operand(int index) const { return index >= 0 && static_cast<size_t>(index) < region_.operands.size(); }
  std::vector<AxisId> loops(int index) const { return loop_axes(region_, operand(index)); }
  // The cache that has this axis as its key, if any.
  const CacheRecord* cache_of_key(AxisId axis) const {
    for (const CacheRecord& cache : graph_.caches) {
      if (cache.key == axis) return &cache;
    }
    return nullptr;
  }

  void check_axes(const std::string& what, const std::vector<AxisId>& axes) const {
    if (axes.size() > kMaxRank) {
      fail(what + ": " + std::to_string(axes.size()) + " axes, at most " + std::to_string(kMaxRank));
    }
    for (size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] >= graph_.axes.size()) fail(what + ": unknown " + quoted(axes[i]));
      if (contains(std::span(axes).first(i), axes[i])) fail(what + ": " + quoted(axes[i]) + " occurs twice");
    }
  }

  void check_operand(size_t index) const {
    const Operand& leaf = region_.operands[index];
    if (leaf.value >= graph_.values.size()) {
      fail("operand " + std::to_string(index) + ": unknown value #" + std::to_string(leaf.value));
    }
    const std::string what = operand_name(static_cast<int>(index));
    if (graph_.values[leaf.value].kind == ValueKind::state) fail(what + " is a state; only its scan reads it");
    if (leaf.view.size() > kMaxRank) fail(what + ": a view of more than " + std::to_string(kMaxRank) + " axes");
    int gathers = 0, looked_up = 0;
    for (size_t i = 0; i < leaf.view.size(); ++i) {
      const ViewAxis& axis = leaf.view[i];
      if (axis.stored >= graph_.axes.size()) fail(what + ": unknown stored " + quoted(axis.stored));
      if (axis.gather >= 0) {
        ++gathers;
        check_gather(what, axis, index);
        continue;
      }
      if (axis.is_looked_up()) {
        ++looked_up;
        if (axis.begin != 0) fail(what + ": " + quoted(axis.stored) + ", which is looked up, is also sliced");
        continue;
      }
      if (axis.axis >= graph_.axes.size()) fail(what + ": unknown " + quoted(axis.axis));
      for (size_t j = 0; j < i; ++j) {
        if (leaf.view[j].gather < 0 && leaf.view[j].axis == axis.axis) {
          fail(what + ": " + quoted(axis.axis) + " occurs twice in its view");
        }
      }
      check_slice(what, axis);
    }
    if (looked_up > 1 || (looked_up > 0 && gathers > 0)) {
      fail(what + ": of the axes of its view, one may be looked up, and no other gathered");
    }
    if (gathers > kMaxGathers) fail(what + ": more than " + std::to_string(kMaxGathers) + " gathered axes");
    if (loops(static_cast<int>(index)).size() > kMaxRank) {
      fail(what + ": varies over more than " + std::to_string(kMaxRank) + " axes");
    }
  }

  void check_gather(const std::string& what, const ViewAxis& axis, size_t index) const {
    if (axis.axis != kNoAxis) fail(what + ": " + quoted(axis.axis) + " is both a loop axis and gathered");
    if (axis.begin != 0) fail(what + ": gathered " + quoted(axis.stored) + " is also sliced");
    if (static_cast<size_t>(axis.gather) >= index) {
      fail(what + ": ids of gathered " + quoted(axis.stored) + " are operand " + std::to_string(axis.gather) +
           ", which is not an earlier one");
    }
    if (value(axis.gather).format != Format::i32) {
      fail(what + ": ids of gathered " + quoted(axis.stored) + " are " + operand_name(axis.gather) + ", which is " +
           std::string(name(value(axis.gather).element())) + ", not i32");
    }
    refuse_looked_up(what + ": ids of gathered " + quoted(axis.stored) + ": ", axis.gather);
  }

  // What is read otherwise than by a program has all its axes.
  void refuse_looked_up(const std::string& what, int index) const {
    if (operand(index).is_looked_up()) fail(what + operand_name(index) + " has an axis that is looked up");
  }

  void check_slice(const std::string& what, const ViewAxis& axis) const {
    if (axis.axis == axis.stored && axis.begin != 0) {
      fail(what + ": " + quoted(axis.axis) + " is stored whole, but begins at " + std::to_string(axis.begin));
    }
    if (axis.begin < 0) fail(what + ": slice of " + quoted(axis.stored) + " begins before the storage");
    const int64_t count = graph_.axes[axis.axis].fixed_extent, stored = graph_.axes[axis.stored].fixed_extent;
    if (stored >= 0 && axis.begin + std::max<int64_t>(count, 0) > stored) {
      fail(what + ": slice " + quoted(axis.axis) + " ends at " +
           std::to_string(axis.begin + std::max<int64_t>(count, 0)) + ", beyond the " + std::to_string(stored) +
           " of " + quoted(axis.stored));
    }
  }

  void check_cached_operands() {
    for (int i = 0; has_operand(i); ++i) {
      const std::vector<AxisId> axes = loops(i);
      if (!value(i).is_cached()) {
        for (const AxisId axis : axes) {
          if (const CacheRecord* cache = cache_of_key(axis)) {
            fail(operand_name(i) + ": " + quoted(axis) + " is the key of cache '" + cache->name +
                 "'; only cached values have it");
          }
        }
        continue;
      }
      if (step_.kind != StepKind::attention) fail(operand_name(i) + " lies in a cache; only attention reads it");
      if (cache_ >= 0 && value(i).cache != cache_) {
        fail(operand_name(i) + " lies in a different cache from an earlier operand");
      }
      cache_ = value(i).cache;
      const AxisId key = graph_.caches[static_cast<size_t>(cache_)].key;
      const ViewAxis* first = operand(i).view.empty() ? nullptr : &operand(i).view[0];
      if (first == nullptr || *first != ViewAxis{key, key, 0, -1}) {
        fail(operand_name(i) + ": the view of a cached value leads with its key, " + quoted(key) + ", whole");
      }
    }
  }

  void check_source(const std::string& what, const Source& source, const std::vector<std::vector<AxisId>>& contractions,
                    bool cached) const {
    check_axes(what, source.axes);
    if (!cached) {
      for (const AxisId axis : source.axes) {
        if (cache_of_key(axis) != nullptr) {
          fail(what + ": " + quoted(axis) + " is the key of a cache; only the score of an attention has it");
        }
      }
    }
    if (source.reduced == kNoAxis && !source.reductions.empty()) fail(what + ": reductions without a reduced axis");
    if (source.reduced != kNoAxis && source.reductions.empty()) fail(what + ": a reduced axis without reductions");
    ProgramScope scope{graph_, region_, source.axes, {}, contractions, false, cached};
    if (source.reduced != kNoAxis) {
      if (source.reduced >= graph_.axes.size()) fail(what + ": unknown reduced " + quoted(source.reduced));
      add_axis(scope.axes, source.reduced);
    }
    for (size_t i = 0; i < source.reductions.size(); ++i) {
      const Reduction& reduction = source.reductions[i];
      const std::string which = what + ", reduction " + std::to_string(i) + ": ";
      scope.reductions = std::span(source.reductions).first(i);
      verify_program(scope, reduction.program, [&](const std::string& text) { fail(which + text); });
      const Element type = reduction.program.type();
      if (type == Element::bool8) fail(which + "reduces f32 or i32, not bool");
      if (reduction.op == ReduceOp::mean && type != Element::f32) fail(which + "a mean is of f32");
    }
    scope.reductions = source.reductions;
    scope.axes = source.axes;
    verify_program(scope, source.program, [&](const std::string& text) { fail(what + ": " + text); });
  }

  void check_contraction(size_t index) {
    const Contraction& contraction = region_.contractions[index];
    const std::string what = "contraction " + std::to_string(index) + ": ";
    if (contraction.lhs < 0 || static_cast<size_t>(contraction.lhs) >= region_.lhs.size()) {
      fail(what + "unknown lhs " + std::to_string(contraction.lhs));
    }
    if (!has_operand(contraction.rhs)) fail(what + "unknown operand " + std::to_string(contraction.rhs));
    const Source& lhs = region_.lhs[static_cast<size_t>(contraction.lhs)];
    const std::string rhs_name = operand_name(contraction.rhs);
    if (lhs.program.type() != Element::f32)
      fail(what + "lhs is " + std::string(name(lhs.program.type())) + ", not f32");
    if (!info(value(contraction.rhs).format).is_float) fail(what + rhs_name + " holds no floats");
    refuse_looked_up(what, contraction.rhs);
    if (contraction.over.empty()) fail(what + "over no axis");
    check_axes("contraction " + std::to_string(index), contraction.over);
    const std::vector<AxisId> rhs = loops(contraction.rhs);
    size_t last = 0;
    for (const AxisId axis : contraction.over) {
      if (!contains(lhs.axes, axis)) fail(what + "lhs lacks contracted " + quoted(axis));
      const size_t at = find_axis(rhs, axis);
      if (at == rhs.size()) fail(what + rhs_name + " lacks contracted " + quoted(axis));
      if (at < last) fail(what + "contracts " + list(contraction.over) + ", but " + rhs_name + " stores " + list(rhs));
      last = at;
      if (cache_of_key(axis) != nullptr) fail(what + "contracts " + quoted(axis) + ", the key of a cache");
    }
    std::vector<AxisId> result = contraction_axes(region_, contraction);
    for (const AxisId axis : result) {
      if (!contains(region_.body.axes, axis)) {
        fail(what + (contains(lhs.axes, axis) ? "lhs" : rhs_name) + " has " + quoted(axis) + ", which the body lacks");
      }
    }
    if (result.size() + contraction.over.size() > kMaxRank + 1) {
      fail(what + "loops over more than " + std::to_string(kMaxRank + 1) + " axes");
    }
    if (value(contraction.rhs).is_cached() && !contains(lhs.axes, graph_.caches[static_cast<size_t>(cache_)].pos)) {
      fail(what + "lhs lacks " + quoted(graph_.caches[static_cast<size_t>(cache_)].pos) + ", by which the cache of " +
           rhs_name + " is addressed");
    }
    contraction_axes_.push_back(std::move(result));
  }

  void check_kind() const {
    const StepKind kind = step_.kind;
    const bool contracts = kind == StepKind::contract || kind == StepKind::attention || kind == StepKind::append;
    const std::string steps = "steps of kind " + std::string(name(kind));
    if (!contracts && !region_.contractions.empty()) fail(steps + " have no contractions");
    if (kind == StepKind::contract && region_.contractions.empty()) fail(steps + " have a contraction");
    if (region_.attention.has_value() != (kind == StepKind::attention)) {
      fail(kind == StepKind::attention ? steps + " have a softmax" : steps + " have no softmax of scores");
    }
    const bool may_reduce = kind == StepKind::reduce || kind == StepKind::contract || kind == StepKind::append;
    if (!may_reduce && !region_.body.reductions.empty()) {
      fail("body: " + steps + " have no reductions; put them into a separate step");
    }
    // A norm may be the epilogue of contractions; what takes an axis from their result takes a step of its own.
    if (!region_.contractions.empty() && !region_.body.reductions.empty() &&
        !contains(region_.body.axes, region_.body.reduced)) {
      fail("body: the result lacks " + quoted(region_.body.reduced) +
           ", along which contractions are reduced; put the reduction into a separate step");
    }
    if (region_.rotation && (kind == StepKind::map || kind == StepKind::attention)) fail(steps + " have no rotation");
    if (region_.selection && kind != StepKind::reduce && kind != StepKind::contract) {
      fail(steps + " have no selection");
    }
    if (region_.custom.has_value() != (kind == StepKind::custom)) {
      fail(kind == StepKind::custom ? steps + " name their op" : steps + " name no op");
    }
    if (region_.scan.has_value() != (kind == StepKind::scan)) {
      fail(kind == StepKind::scan ? steps + " have a recurrence" : steps + " have no recurrence");
    }
    if (region_.custom && (region_.axes.empty() || region_.axes.back() != region_.custom->along)) {
      fail("the result of op '" + region_.custom->name + "' does not end with the axis of its rows");
    }
    if (region_.custom) {
      for (const int operand : region_.custom->operands) {
        if (!has_operand(operand))
          fail("op '" + region_.custom->name + "': unknown operand " + std::to_string(operand));
        refuse_looked_up("op '" + region_.custom->name + "': ", operand);
      }
    }
  }

  void check_weighting() const {
    const KeyAttention& attention = *region_.attention;
    const Source& score = region_.body;
    if (score.axes.empty() || score.axes.back() != attention.key) {
      fail("the score's axes " + list(score.axes) + " do not end with the key, " + quoted(attention.key));
    }
    if (score.program.type() != Element::f32)
      fail("the score is " + std::string(name(score.program.type())) + ", not f32");
    if (!attention.sink.empty()) {
      verify_program({graph_, region_, query_axes(region_), {}, {}, false, false}, attention.sink,
                     [this](const std::string& text) { fail("sink: " + text); });
      const Element type = attention.sink.type();
      if (type != Element::f32) fail("the sink is " + std::string(name(type)) + ", not f32");
    }
    if (!has_operand(attention.value)) fail("unknown operand " + std::to_string(attention.value) + " as value");
    const std::string what = operand_name(attention.value);
    refuse_looked_up("", attention.value);
    if (!info(value(attention.value).format).is_float) fail(what + " holds no floats");
    const std::vector<AxisId> its_axes = loops(attention.value);
    if (!contains(its_axes, attention.key)) fail(what + " lacks the key, " + quoted(attention.key));
    std::vector<AxisId> expected = without(score.axes, attention.key);
    add_axes(expected, without(its_axes, attention.key));
    if (region_.axes != expected) {
      fail("the result has axes " + list(region_.axes) + "; query axes and the value's own are " + list(expected));
    }
    if (cache_of_key(attention.key) == nullptr) return;
    if (cache_ < 0) fail(quoted(attention.key) + " is the key of a cache, but no operand lies in one");
    const CacheRecord& cache = graph_.caches[static_cast<size_t>(cache_)];
    if (cache.key != attention.key) {
      fail("cache '" + cache.name + "' has " + quoted(cache.key) + " as its key, not " + quoted(attention.key));
    }
    if (!contains(region_.axes, cache.pos) || !contains(score.axes, cache.pos)) {
      fail("the score lacks " + quoted(cache.pos) + ", by which cache '" + cache.name + "' is addressed");
    }
  }

  // A source of a scan: over some of the head axes, then pos, both optional, and `own` last.
  void check_role(const std::string& what, const Source& source, const std::vector<AxisId>& heads, AxisId pos,
                  AxisId own, bool may_lack_own) const {
    if (source.program.type() != Element::f32) {
      fail(what + " is " + std::string(name(source.program.type())) + ", not f32");
    }
    std::vector<AxisId> wanted;
    for (const AxisId axis : heads) {
      if (contains(source.axes, axis)) wanted.push_back(axis);
    }
    if (contains(source.axes, pos)) wanted.push_back(pos);
    if (source.reduced != kNoAxis && contains(wanted, source.reduced)) {
      fail(what + " has a reduction along " + quoted(source.reduced) + ", across its rows");
    }
    if (!may_lack_own || contains(source.axes, own)) wanted.push_back(own);
    if (source.axes != wanted) fail(what + " has axes " + list(source.axes) + ", expected " + list(wanted));
  }

  void check_scan() const {
    const Scan& scan = *region_.scan;
    if (scan.state < 0 || static_cast<size_t>(scan.state) >= graph_.states.size()) {
      fail("unknown state " + std::to_string(scan.state));
    }
    const StateRecord& state = graph_.states[static_cast<size_t>(scan.state)];
    const std::vector<AxisId>& axes = graph_.values[state.value].axes;
    const bool recurrence = scan.kind == Scan::Kind::recurrence;
    if (recurrence ? axes.size() < 2 : axes.size() != 2) {
      fail("state '" + state.name + "' has axes " + list(axes) +
           (recurrence ? ", no rows and columns" : ", not taps and channels"));
    }
    const std::vector<AxisId> heads = recurrence ? head_axes(graph_, scan) : std::vector<AxisId>();
    const AxisId rows = axes[axes.size() - 2], columns = axes.back();
    std::vector<AxisId> result = {state.pos};
    result.insert(result.end(), heads.begin(), heads.end());
    result.push_back(columns);
    if (region_.axes != result) fail("the scan's result has axes " + list(region_.axes) + ", not " + list(result));
    const ScanRoles& roles = scan.roles;
    for (const auto& [role, lhs] : roles_of(scan)) {
      if (static_cast<size_t>(lhs) >= region_.lhs.size())
        fail(std::string(role) + ": unknown lhs " + std::to_string(lhs));
      const Source& source = region_.lhs[static_cast<size_t>(lhs)];
      if (lhs == roles.value) check_role(std::string(role), source, heads, state.pos, columns, false);
      else if (recurrence)
        check_role(std::string(role), source, heads, state.pos, rows, lhs == roles.decay || lhs == roles.bonus);
      else check_role(std::string(role), source, {columns}, kNoAxis, rows, false);
    }
    if (roles.key < 0 || roles.value < 0) fail("a scan has keys and values");
    if (recurrence && roles.query < 0) fail("a recurrence has queries");
    if (recurrence && (roles.erase < 0) != (roles.read < 0)) fail("what a recurrence erases takes two vectors");
    if (!recurrence && roles_of(scan).size() != 2) fail("a convolution has taps and an input, and nothing else");
  }

  void check_rotation() const {
    const Rotation& rotation = *region_.rotation;
    if (!contains(region_.axes, rotation.axis)) fail("rotation: the result lacks " + quoted(rotation.axis));
    if (region_.body.program.type() != Element::f32) fail("rotation: the body is not f32");
    check_position(rotation.position);
    if (rotation.sections.size() > kMaxRotationSections) {
      fail("rotation: more than " + std::to_string(kMaxRotationSections + 1) + " sections");
    }
    int64_t first = 0;
    for (const RotationSection& section : rotation.sections) {
      if (section.first < first) fail("rotation: sections do not ascend");
      first = section.first;
      check_position(section.position);
    }
    const int64_t extent = graph_.axes[rotation.axis].fixed_extent;
    const size_t given = rotation.frequencies ? rotation.frequencies->size() : 0;
    if (extent >= 0 && static_cast<int64_t>(2 * given) > extent) {
      fail("rotation: " + std::to_string(given) + " pairs in the " + std::to_string(extent) + " elements of " +
           quoted(rotation.axis));
    }
  }

  void check_position(int position) const {
    if (!has_operand(position)) fail("rotation: unknown operand " + std::to_string(position));
    const std::string what = "rotation: " + operand_name(position);
    if (value(position).format != Format::i32) fail(what + " is not i32");
    refuse_looked_up("rotation: ", position);
    for (const AxisId axis : loops(position)) {
      if (axis == region_.rotation->axis) fail(what + " varies along the rotated " + quoted(axis));
      if (!contains(region_.axes, axis)) fail(what + " varies over " + quoted(axis) + ", which the result lacks");
    }
  }

  void check_selection() const {
    const Selection& selection = *region_.selection;
    if (!contains(region_.axes, selection.axis)) fail("selection: the result lacks " + quoted(selection.axis));
    const Element element = result_element(region_);
    if (element != Element::f32) fail("selection: chooses among f32, not " + std::string(name(element)));
    if (selection.choice == kNoAxis) {
      if (selection.values) fail("selection: without an axis for the choices, ids are the only output");
      return;
    }
    if (selection.choice >= graph_.axes.size()) fail("selection: unknown " + quoted(selection.choice));
    if (contains(region_.axes, selection.choice)) {
      fail("selection: the result has " + quoted(selection.choice) + " already");
    }
  }

  const GraphRecord& graph_;
  const Step& step_;
  const Region& region_;
  std::string where_;
  int cache_ = -1;  // that the operands lie in
  std::vector<std::vector<AxisId>> contraction_axes_;
};

void check_output(const RegionChecker& region, const GraphRecord& graph, ValueId id, const std::vector<AxisId>& axes,
                  Element element, ValueKind kind) {
  if (id >= graph.values.size()) region.fail("unknown output value #" + std::to_string(id));
  const ValueRecord& value = graph.values[id];
  const std::string what = "output '" + value.name + "'";
  if (value.kind != kind) {
    region.fail(what +
                (kind == ValueKind::cache_field ? " is not a field of a cache" : " is not an intermediate value"));
  }
  if (value.axes != axes)
    region.fail(what + " has axes " + region.list(value.axes) + ", the result " + region.list(axes));
  // A field of a cache may hold floats in another format.
  const bool is_stored =
      kind == ValueKind::cache_field ? value.element() == element : value.format == plain_format(element);
  if (!is_stored) {
    region.fail(what + " is stored as " + std::string(name(value.format)) + ", the result is " +
                std::string(name(element)));
  }
}

void check_append(const GraphRecord& graph, const Step& step, const RegionChecker& checker, size_t index) {
  const CacheRecord& cache = graph.caches[static_cast<size_t>(step.cache)];
  const Region& region = step.regions[index];
  const ValueId field = step.outputs[index];
  if (field != cache.fields[index]) {
    checker.fail("writes another value than field " + std::to_string(index) + " of cache '" + cache.name + "'");
  }
  std::vector<AxisId> axes = region.axes;
  if (axes.empty() || axes.front() != cache.pos) {
    checker.fail("the result's axes " + checker.list(axes) + " do not lead with '" + graph.axes[cache.pos].name +
                 "', the rows of cache '" + cache.name + "'");
  }
  axes.front() = cache.key;
  check_output(checker, graph, field, axes, result_element(region), ValueKind::cache_field);
}

}  // namespace

void verify_region(const GraphRecord& graph, const Step& step, size_t index) {
  RegionChecker checker(graph, step, index);
  checker.check();
  if (step.kind == StepKind::append) {
    check_append(graph, step, checker, index);
    return;
  }
  const Region& region = step.regions[index];
  std::vector<AxisId> axes = region.axes;
  const std::optional<Selection>& selection = region.selection;
  if (!selection) {
    check_output(checker, graph, step.outputs[0], axes, result_element(region), ValueKind::intermediate);
    if (!region.attention) return;
    // The step has as many outputs as it should: those after the first are statistics.
    for (size_t i = 1; i < step.outputs.size(); ++i) {
      check_output(checker, graph, step.outputs[i], query_axes(region), Element::f32, ValueKind::intermediate);
    }
    return;
  }
  if (selection->choice == kNoAxis) std::erase(axes, selection->axis);
  else std::replace(axes.begin(), axes.end(), selection->axis, selection->choice);
  if (selection->values) {
    check_output(checker, graph, step.outputs[0], axes, Element::f32, ValueKind::intermediate);
  }
  check_output(checker, graph, step.outputs.back(), axes, Element::i32, ValueKind::intermediate);
}

}  // namespace weft
