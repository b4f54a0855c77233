#include "ops/harness/reference.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "ops/append/reference.h"
#include "ops/attention/reference.h"
#include "ops/contract/reference.h"
#include "ops/custom/reference.h"
#include "ops/gather/reference.h"
#include "ops/map/reference.h"
#include "ops/reduce/reference.h"
#include "ops/rope/reference.h"
#include "ops/select/reference.h"

namespace weft {
namespace {

using namespace reference;

template <class From, class To, class Convert>
Table<To> converted(const Table<From>& from, const Convert& convert) {
  Table<To> to;
  to.axes = from.axes;
  to.extents = from.extents;
  for (const From& element : from.elements) to.elements.push_back(convert(element));
  return to;
}

Table<double> floats(const Table<ScalarValue>& from) {
  return converted<ScalarValue, double>(from, [](const ScalarValue& x) { return x.f; });
}

Table<ScalarValue> scalars(const Table<double>& from) {
  return converted<double, ScalarValue>(from, [](double x) { return ScalarValue{x, 0}; });
}

// The same elements in another order of axes.
Table<ScalarValue> ordered(StepScope& scope, const Table<ScalarValue>& from, const std::vector<AxisId>& axes) {
  Table<ScalarValue> to(scope, axes);
  for_each(scope, axes, [&] { to.at(scope) = from.at(scope); });
  return to;
}

// Tells a visitor, if there is one, of the parts of one region.
class Parts {
 public:
  Parts() = default;
  Parts(ValueId value, const VisitPart& visit) : value_(value), visit_(&visit) {}

  void operator()(const std::string& name, const Table<double>& table) const {
    if (visit_ != nullptr && *visit_) (*visit_)({value_, name, table.axes, table.extents, table.elements});
  }
  void operator()(const std::string& name, const Table<ScalarValue>& table, Element element) const {
    if (visit_ == nullptr || !*visit_) return;
    const auto number = [element](const ScalarValue& x) { return element == Element::f32 ? x.f : x.i; };
    (*this)(name, converted<ScalarValue, double>(table, number));
  }
  void reductions(const std::string& prefix, const Source& source,
                  const std::vector<Table<ScalarValue>>& tables) const {
    for (size_t i = 0; i < tables.size(); ++i) {
      const Reduction& reduction = source.reductions[i];
      const bool ids = reduction.op == ReduceOp::argmax;
      (*this)(prefix + "reduction." + std::to_string(i), tables[i], ids ? Element::i32 : reduction.program.type());
    }
  }

 private:
  ValueId value_ = kNoValue;
  const VisitPart* visit_ = nullptr;
};

// Reads one thing and gives it as it is.
bool only_reads(const Source& source) { return source.reductions.empty() && source.program.code.size() == 1; }

Table<ScalarValue> evaluate_source(StepScope& scope, const Source& source, Results& results, const Parts& parts,
                                   const std::string& prefix) {
  return reference::evaluate_source(scope, source, results,
                                    [&](const auto& tables) { parts.reductions(prefix, source, tables); });
}

std::vector<Table<double>> contractions(StepScope& scope, bool absolute, const Parts& parts = {},
                                        const RoundedProducts& rounded = {}) {
  std::vector<Table<ScalarValue>> lhs;
  Results results;
  for (size_t i = 0; i < scope.region.lhs.size(); ++i) {
    const Source& source = scope.region.lhs[i];
    const std::string name = "lhs." + std::to_string(i);
    lhs.push_back(evaluate_source(scope, source, results, parts, name + "."));
    if (!only_reads(source)) parts(name, lhs.back(), source.program.type());
  }
  std::vector<Table<double>> tables;
  for (size_t i = 0; i < scope.region.contractions.size(); ++i) {
    const Contraction& contraction = scope.region.contractions[i];
    const Table<ScalarValue>& left = lhs[static_cast<size_t>(contraction.lhs)];
    const Operand& rhs = scope.region.operands[static_cast<size_t>(contraction.rhs)];
    const auto at = rounded.find(rhs.value);
    tables.push_back(at == rounded.end() ? contract(scope, left, contraction, absolute)
                                         : contract_rounded(scope, left, contraction, absolute, at->second));
    parts("contraction." + std::to_string(i), tables.back());
  }
  return tables;
}

// The region's result before selection, over region.axes in that order; `statistics` become those of an attention.
Table<ScalarValue> evaluate_region(StepScope& scope, SoftmaxStatistics& statistics, const Parts& parts = {},
                                   const RoundedProducts& rounded = {}) {
  const Region& region = scope.region;
  Results results;
  results.contractions = contractions(scope, false, parts, rounded);
  Table<ScalarValue> result = evaluate_source(scope, region.body, results, parts, "");
  const bool ends_here = !region.attention && !region.rotation && !region.selection;
  if (!ends_here) {
    parts(region.attention ? "score" : region.selection ? "candidates" : "body", result, region.body.program.type());
  }
  if (region.attention) {
    Table<double> weights = floats(result);
    Table<double> sink;
    const ScalarProgram& program = region.attention->sink;
    if (!program.empty()) {
      sink = floats(map(scope, query_axes(region), program, results));
      if (program.code.size() > 1) parts("sink", sink);
    }
    const Table<double> weighted =
        attend(scope, weights, program.empty() ? nullptr : &sink, *region.attention, region.axes, statistics);
    parts("softmax", weights);
    if (region.rotation) parts("weighted", weighted);
    result = scalars(weighted);
  }
  if (region.rotation) {
    const Table<double> rotated = rotate(scope, floats(result), *region.rotation);
    result = scalars(rotated);
    if (!region.post.empty()) {
      parts("rotated", rotated);
      results.rotated = &rotated;
      result = map(scope, region.axes, region.post, results);
    }
  }
  return ordered(scope, result, region.axes);
}

void store(const GraphRecord& graph, const StepArgs& args, ValueId value, const Table<ScalarValue>& table) {
  for (size_t i = 0; i < table.elements.size(); ++i) {
    write_element(graph.values[value].format, args.data[value], static_cast<int64_t>(i), table.elements[i]);
  }
}

void run(const GraphRecord& graph, const Step& step, const StepArgs& args, const VisitPart& visit,
         const RoundedProducts& rounded) {
  for (size_t i = 0; i < step.regions.size(); ++i) {
    StepScope scope(graph, step.regions[i], args);
    SoftmaxStatistics statistics;
    const Table<ScalarValue> result = step.kind == StepKind::custom
                                          ? run_custom(scope)
                                          : evaluate_region(scope, statistics, Parts(step.outputs[i], visit), rounded);
    if (step.kind == StepKind::append) {
      append_rows(scope, graph.caches[static_cast<size_t>(step.cache)], result, step.outputs[i]);
    } else if (scope.region.selection) {
      const Selection& selection = *scope.region.selection;
      const Chosen chosen = choose(scope, floats(result), selection);
      if (selection.values) store(graph, args, step.outputs[0], chosen.values);
      store(graph, args, step.outputs.back(), chosen.ids);
    } else {
      store(graph, args, step.outputs[0], result);
      if (!scope.region.attention || !scope.region.attention->statistics) continue;
      store(graph, args, step.outputs[1], scalars(statistics.log_sum_exp));
      store(graph, args, step.outputs[2], scalars(statistics.largest));
      store(graph, args, step.outputs[3], scalars(statistics.entropy));
    }
  }
  if (step.kind == StepKind::append) {
    append_positions(graph, graph.caches[static_cast<size_t>(step.cache)], args);
  }
}

}  // namespace

void run_reference(const GraphRecord& graph, const Step& step, const StepArgs& args) { run(graph, step, args, {}, {}); }

void run_reference(const GraphRecord& graph, const Step& step, const StepArgs& args, const VisitPart& visit) {
  run(graph, step, args, visit, {});
}

std::vector<StepPart> parts_of(const GraphRecord& graph, const Step& step) {
  // A run over axes without extent visits the same parts, and computes and reads nothing.
  const std::vector<int64_t> extents(graph.axes.size(), 0);
  alignas(64) std::byte zeros[1024] = {};  // an operand without axes is still read: one block
  const std::vector<void*> data(graph.values.size(), zeros);
  const int32_t nothing = 0;
  const std::vector<PageTable> pages(graph.caches.size(), PageTable{&nothing, &nothing, 0, 0, 1});
  const StepArgs args{extents.data(), data.data(), pages.data(), nullptr};
  std::vector<StepPart> parts;
  for (size_t i = 0; i < step.regions.size(); ++i) {
    StepScope scope(graph, step.regions[i], args);
    SoftmaxStatistics statistics;
    evaluate_region(scope, statistics, Parts(step.outputs[i], [&](const StepPart& part) {
                      parts.push_back({part.value, part.name, part.axes, {}, {}});
                    }));
  }
  return parts;
}

Outputs run_reference(const StepCase& step_case) { return run_reference(step_case, RoundedProducts{}); }

Outputs run_reference(const StepCase& step_case, const RoundedProducts& rounded) {
  step_case.reset();
  run(step_case.graph, step_case.step(), step_case.args(), {}, rounded);
  return step_case.outputs();
}

double absolute_sum(const StepCase& step_case) {
  const StepArgs args = step_case.args();
  double largest = 1;
  for (const Region& region : step_case.step().regions) {
    StepScope scope(step_case.graph, region, args);
    for (const Table<double>& table : contractions(scope, true)) {
      for (const double x : table.elements) {
        if (std::isfinite(x)) largest = std::max(largest, x);
      }
    }
  }
  return largest;
}

std::vector<double> selection_candidates(const StepCase& step_case) {
  const StepArgs args = step_case.args();
  StepScope scope(step_case.graph, step_case.step().regions.front(), args);
  SoftmaxStatistics statistics;
  return floats(evaluate_region(scope, statistics)).elements;
}

}  // namespace weft
