#include "tools/op_work.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "core/error.h"
#include "ops/attention/cases.h"
#include "ops/contract/cases.h"
#include "ops/plugin/cases.h"
#include "runtime/plan/explain.h"

namespace weft::tools {
namespace {

double number(int64_t extent) { return static_cast<double>(extent); }

double operations(const ScalarProgram& program) {
  return number(
      std::ranges::count_if(program.code, [](const ScalarInstr& instr) { return argument_count(instr.op) > 0; }));
}

unsigned parse_score(const std::string& text) {
  static constexpr std::pair<const char*, unsigned> kNames[] = {
      {"causal", kCausal}, {"window", kWindow}, {"alibi", kAlibi}, {"softcap", kSoftCap}, {"prefix", kPrefix}};
  unsigned score = 0;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, '+');) {
    const auto found = std::ranges::find_if(kNames, [&](const auto& name) { return name.first == word; });
    if (found == std::end(kNames)) {
      throw Error("--score: there is no '" + word + "'; there are causal, window, alibi, softcap and prefix");
    }
    score |= found->second;
  }
  return score;
}

}  // namespace

std::vector<int64_t> parse_extents(const std::string& text, const std::string& flag, const std::string& form) {
  const auto count = static_cast<size_t>(std::ranges::count(form, 'x')) + 1;
  constexpr double kMost = 1e10;
  std::vector<int64_t> extents;
  double product = 1;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc() || extent < 1 || (next < end && (*next != 'x' || next + 1 == end))) break;
    extents.push_back(extent);
    product *= number(extent);
    at = next < end ? next + 1 : next;
  }
  if (at != end || extents.size() != count || product > kMost) {
    throw Error(flag + " '" + text + "': " + form + " is wanted, each at least 1, at most 10^10 together");
  }
  return extents;
}

OpWork formula_work(const Formula& formula, int64_t rows, int64_t width) {
  const OtherInputs others = formula.kind() == StepKind::reduce ? OtherInputs::one_row : OtherInputs::all_rows;
  OpWork work{std::to_string(rows) + "x" + std::to_string(width), formula_case(formula, rows, 1, width, others)};
  const double results = number(rows) * (formula.reduces_row ? 1 : number(width));
  if (formula.op.empty()) {
    const Source& source = formula.source();
    work.flops = results * operations(source.program);
    for (const Reduction& reduction : source.reductions) {
      work.flops += number(rows) * number(width) * (operations(reduction.program) + 1);
    }
  }
  const double rows_of_others = others == OtherInputs::one_row ? 1 : number(rows);
  const auto count = static_cast<double>(formula.inputs.size() - 1);
  work.bytes = 4 * (number(width) * (number(rows) + count * rows_of_others) + results);
  return work;
}

OpWork contract_work(Format format, int64_t rows, int64_t outputs, int64_t k) {
  const auto block = static_cast<int64_t>(info(format).block_elements);
  if (k % block != 0) {
    throw Error("K " + std::to_string(k) + " is no multiple of " + std::to_string(block) + ", the block of " +
                std::string(name(format)));
  }
  const std::string shape = std::to_string(rows) + "x" + std::to_string(outputs) + "x" + std::to_string(k);
  return {std::string(name(format)) + " " + shape,
          linear_case(rows, outputs, k, format),
          2 * number(rows) * number(outputs) * number(k),
          static_cast<double>(row_bytes(format, static_cast<size_t>(k))) * number(outputs),
          rows,
          MatrixShape{rows, outputs, k}};
}

OpWork attention_work(const AttentionWork& of) {
  AttentionShape shape;
  shape.sequences = {{.length = static_cast<int32_t>(of.keys), .rows = static_cast<int32_t>(of.rows)}};
  shape.heads = of.heads;
  shape.group = of.group;
  shape.head_dim = shape.value_dim = of.dim;
  shape.score = parse_score(of.score);
  shape.keys = shape.value = of.cache;
  shape.page_size = 64;
  if (of.rows > of.keys) throw Error("attention: --rows is more than --keys");
  const std::string text = std::to_string(of.rows) + " of " + std::to_string(of.keys) + ", " +
                           std::to_string(of.heads) + "x" + std::to_string(of.group) + " heads of " +
                           std::to_string(of.dim) + ", " + of.score + ", " + std::string(name(of.cache));
  // What a causal mask leaves, where there is one.
  const bool masks = (shape.score & kCausal) != 0;
  const double seen = masks ? number(of.keys) - (number(of.rows) - 1) / 2 : number(of.keys);
  const double bytes = static_cast<double>(row_bytes(of.cache, static_cast<size_t>(of.dim)));
  return {text, attention_case(shape), 4 * number(of.rows) * number(of.heads * of.group) * seen * number(of.dim),
          2 * number(of.keys) * number(of.heads) * bytes};
}

OpWork case_work(StepCase step_case) {
  OpWork work{step_case.name(), std::move(step_case)};
  const GraphRecord& graph = work.step_case.graph;
  const Step& step = work.step_case.step();
  std::vector<int64_t> extents = work.step_case.extents;
  for (size_t axis = 0; axis < extents.size(); ++axis)
    extents[axis] = std::max(extents[axis], work.step_case.max_extents[axis]);
  const StepCost cost = step_cost(graph, step, extents);
  const double read = cost.weight_bytes + cost.key_bytes;
  work.flops = cost.product_flops > 0 ? cost.product_flops : cost.flops;
  work.bytes = cost.product_flops > 0 && read > 0 ? read : cost.bytes;
  const Region& region = step.regions.front();
  if (step.kind == StepKind::contract || step.kind == StepKind::append) {
    if (region.contractions.empty()) return work;
    const Contraction& contraction = region.contractions.front();
    const std::vector<AxisId> of_weight = loop_axes(region, region.operands[static_cast<size_t>(contraction.rhs)]);
    for (const AxisId axis : region.lhs[static_cast<size_t>(contraction.lhs)].axes) {
      if (std::ranges::find(of_weight, axis) == of_weight.end()) work.rows *= extents[axis];
    }
  }
  return work;
}

}  // namespace weft::tools
