#include "ops/plugin/formula.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <span>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/expr/recorder.h"
#include "ops/ops.h"

namespace weft {
namespace {

struct FormulaRow : axis<"row"> {};
struct FormulaAlong : axis<"along"> {};
using Term = Expr<f32, Axes<FormulaRow, FormulaAlong>, Stage::map>;

// What a constant of any value is recorded as: numbers that nobody writes.
constexpr uint32_t kFirstConstant = 0x7f123400u;
float stand_in(size_t constant) { return std::bit_cast<float>(kFirstConstant + static_cast<uint32_t>(constant)); }
size_t constant_of(const ScalarInstr& instr) { return std::bit_cast<uint32_t>(instr.imm_f) - kFirstConstant; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { formula_.text = text; }

  Formula parse() {
    if (text_.starts_with("op ")) return op();
    Number result = sum();
    if (at() != '\0') fail("an operator is missing");
    if (formula_.inputs.empty()) fail("it has no input");
    formula_.reduces_row = !result.is_wide;
    AxisList axes = {&axis_info<FormulaRow>};
    if (result.is_wide) axes.push_back(&axis_info<FormulaAlong>);
    record_step({.regions = {{result.node, std::move(axes)}}, .name = "formula"}, recorder_);
    formula_.graph = *recorder_->record();
    if (formula_.kind() != StepKind::map && formula_.kind() != StepKind::reduce) fail("it is neither a map nor a norm");
    return std::move(formula_);
  }

  Formula op() {
    place_ = 3;
    formula_.op = name();
    expect('(');
    NodePtr inputs;
    std::vector<float> constants;
    do {
      if (takes('$')) {
        const size_t known = formula_.constants.size();
        constants.push_back(constant(name()));
        if (formula_.constants.size() == known) fail("a constant has this name");
        continue;
      }
      if (!constants.empty()) fail("constants come after inputs");
      const size_t known = formula_.inputs.size();
      NodePtr node = input(name()).node;
      if (formula_.inputs.size() == known) fail("an input has this name");
      inputs = inputs == nullptr ? node : scalar_node(ScalarOp::add, Element::f32, {inputs, node});
    } while (takes(','));
    expect(')');
    if (at() != '\0') fail("nothing follows an op");
    if (inputs == nullptr) fail("it has no input");
    record_step({.regions = {{inputs, {&axis_info<FormulaRow>, &axis_info<FormulaAlong>}}},
                 .name = "formula",
                 .op = formula_.op,
                 .along = &axis_info<FormulaAlong>,
                 .operands = leaves_,
                 .constants = constants},
                recorder_);
    formula_.graph = *recorder_->record();
    return std::move(formula_);
  }

 private:
  // A number for each element of a row, or for each row.
  struct Number {
    NodePtr node;
    bool is_wide = false;
  };
  static constexpr int kMostDepth = 64;

  [[noreturn]] void fail(const std::string& what) const {
    throw Error("formula '" + std::string(text_) + "', character " + std::to_string(place_ + 1) + ": " + what);
  }
  char at() {
    while (place_ < text_.size() && text_[place_] == ' ') ++place_;
    return place_ < text_.size() ? text_[place_] : '\0';
  }
  bool takes(char c) {
    if (at() != c) return false;
    ++place_;
    return true;
  }
  void expect(char c) {
    if (!takes(c)) fail(std::string("'") + c + "' is missing");
  }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
  std::string name() {
    (void)at();
    const size_t begin = place_;
    while (place_ < text_.size() && (is_letter(text_[place_]) || (text_[place_] >= '0' && text_[place_] <= '9'))) {
      ++place_;
    }
    if (begin == place_) fail("a name is missing");
    return std::string(text_.substr(begin, place_ - begin));
  }

  static Number apply(ScalarOp op, std::span<const Number> args) {
    Number result;
    std::vector<NodePtr> nodes;
    for (const Number& arg : args) {
      nodes.push_back(arg.node);
      result.is_wide = result.is_wide || arg.is_wide;
    }
    result.node = scalar_node(op, Element::f32, std::move(nodes));
    return result;
  }
  static Number apply(ScalarOp op, const Number& a, const Number& b) {
    const Number args[] = {a, b};
    return apply(op, args);
  }

  Number sum() {
    if (++depth_ > kMostDepth) fail("it is nested too deeply");
    Number result = product();
    for (;;) {
      if (takes('+')) result = apply(ScalarOp::add, result, product());
      else if (takes('-')) result = apply(ScalarOp::sub, result, product());
      else break;
    }
    --depth_;
    return result;
  }
  Number product() {
    Number result = factor();
    for (;;) {
      if (takes('*')) result = apply(ScalarOp::mul, result, factor());
      else if (takes('/')) result = apply(ScalarOp::div, result, factor());
      else return result;
    }
  }
  Number factor() {
    if (takes('-')) {
      if (++depth_ > kMostDepth) fail("it is nested too deeply");
      const Number of[] = {factor()};
      --depth_;
      return apply(ScalarOp::neg, of);
    }
    if (takes('(')) {
      Number result = sum();
      expect(')');
      return result;
    }
    if (takes('$')) return {constant_node(constant(name()))};
    if (is_letter(at())) {
      const size_t begin = place_;
      const std::string word = name();
      if (at() != '(') return input(word);
      return call(word, begin);
    }
    return literal();
  }
  Number literal() {
    float value = 0;
    const char* begin = text_.data() + place_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc() || end == begin) fail("a number, a name or '(' is missing");
    place_ += static_cast<size_t>(end - begin);
    return {constant_node(value)};
  }
  float constant(const std::string& name) {
    auto& names = formula_.constants;
    const auto found = std::find(names.begin(), names.end(), name);
    const size_t index = static_cast<size_t>(found - names.begin());
    if (found == names.end()) names.push_back(name);
    return stand_in(index);
  }
  Number input(const std::string& name) {
    auto& names = formula_.inputs;
    const auto found = std::find(names.begin(), names.end(), name);
    const auto index = static_cast<size_t>(found - names.begin());
    if (found == names.end()) {
      names.push_back(name);
      const AxisList axes = axis_list<Axes<FormulaRow, FormulaAlong>>::get();
      ValueRecord value;
      value.name = name;
      value.kind = ValueKind::input;
      value.axes = recorder_->axes(axes);
      leaves_.push_back(value_node(recorder_, recorder_->add_value(std::move(value)), Element::f32, axes));
    }
    return {leaves_[index], true};
  }

  Number call(const std::string& function, size_t begin) {
    expect('(');
    std::vector<Number> args;
    // The eps of a norm is a number of its node, not a node.
    std::optional<float> eps;
    do {
      const bool is_norm = function == "rms_norm" || function == "layer_norm" || function == "l2_norm";
      if (is_norm && !args.empty() && at() == '$') {
        ++place_;
        eps = constant(name());
      } else {
        args.push_back(sum());
      }
    } while (takes(','));
    expect(')');
    const AxisInfo* along = &axis_info<FormulaAlong>;
    const auto is = [&](const char* name, size_t count) { return function == name && args.size() == count; };
    const auto wide = [&] {
      if (!args[0].is_wide) fail("'" + function + "' is of a row");
      return args[0].node;
    };
    if (eps.has_value()) {
      if (is("rms_norm", 2)) return {rms_norm_node(along, wide(), args[1].node, *eps), true};
      if (is("rms_norm", 1)) return {rms_norm_node(along, wide(), nullptr, *eps), true};
      if (is("l2_norm", 1)) return {l2_norm_node(along, wide(), *eps), true};
      if (is("layer_norm", 3)) return {layer_norm_node(along, wide(), args[1].node, args[2].node, *eps), true};
      if (is("layer_norm", 1)) return {layer_norm_node(along, wide(), nullptr, nullptr, *eps), true};
    } else {
      if (is("softmax", 1)) return {softmax_node(along, wide()), true};
      if (is("silu", 1)) return {silu(Term{args[0].node}).node, args[0].is_wide};
      if (is("gelu", 1)) return {gelu(Term{args[0].node}).node, args[0].is_wide};
      if (is("gelu_tanh", 1)) return {gelu_tanh(Term{args[0].node}).node, args[0].is_wide};
      for (const auto& [name, op] : {std::pair{"sum", ReduceOp::sum}, {"mean", ReduceOp::mean}, {"max", ReduceOp::max}})
        if (is(name, 1)) return {reduce_node(op, along, wide()), false};
      using enum ScalarOp;
      for (const ScalarOp op :
           {exp, log, log1p, sqrt, rsqrt, tanh, sigmoid, softplus, erf, sin, cos, floor, abs, min, max, pow}) {
        if (function == weft::name(op) && static_cast<size_t>(argument_count(op)) == args.size())
          return apply(op, args);
      }
    }
    place_ = begin;
    fail("there is no function '" + function + "' of so many arguments");
  }

  std::string_view text_;
  size_t place_ = 0;
  int depth_ = 0;
  Formula formula_;
  std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
  std::vector<NodePtr> leaves_;  // by input
};

class Matcher {
 public:
  Matcher(const Formula& formula, const Region& region)
      : formula_(formula), wanted_(formula.graph.steps.front().regions.front()), region_(region) {}

  std::optional<FormulaMatch> run() {
    if (!formula_.op.empty() || region_.custom) return op();
    found_.operands.assign(formula_.inputs.size(), -1);
    values_.assign(formula_.constants.size(), std::nullopt);
    const Source &wanted = wanted_.body, &source = region_.body;
    if (source.program.empty()) return std::nullopt;
    if (!agree(wanted.program, wanted.program.result(), source.program, source.program.result())) return std::nullopt;
    for (const std::optional<float>& value : values_) found_.constants.push_back(*value);
    return found_;
  }

 private:
  std::optional<FormulaMatch> op() {
    if (!region_.custom || region_.custom->name != formula_.op) return std::nullopt;
    found_.operands = region_.custom->operands;
    found_.constants = region_.custom->constants;
    if (found_.operands.size() != formula_.inputs.size()) return std::nullopt;
    if (found_.constants.size() != formula_.constants.size()) return std::nullopt;
    return found_;
  }

  bool agree(const ScalarProgram& wanted, uint16_t at, const ScalarProgram& program, uint16_t place) {
    const ScalarInstr &a = wanted.code[at], &b = program.code[place];
    if (a.op != b.op || a.type != b.type) return false;
    switch (a.op) {
      case ScalarOp::constant: return takes_constant(a, b);
      case ScalarOp::load: return takes_operand(wanted_.operands[static_cast<size_t>(a.imm)].value, b.imm);
      case ScalarOp::reduction: {
        const Reduction& reduction = wanted_.body.reductions[static_cast<size_t>(a.imm)];
        const Reduction& other = region_.body.reductions[static_cast<size_t>(b.imm)];
        return reduction.op == other.op &&
               agree(reduction.program, reduction.program.result(), other.program, other.program.result());
      }
      case ScalarOp::index:
      case ScalarOp::extent:
      case ScalarOp::lookup:
      case ScalarOp::contraction:
      case ScalarOp::rotated: return false;
      default: break;
    }
    const uint16_t of_a[] = {a.a, a.b, a.c}, of_b[] = {b.a, b.b, b.c};
    const auto count = static_cast<size_t>(argument_count(a.op));
    const auto arguments = [&](bool swapped) {
      for (size_t i = 0; i < count; ++i) {
        if (!agree(wanted, of_a[i], program, of_b[swapped ? count - 1 - i : i])) return false;
      }
      return true;
    };
    const auto before = std::pair(found_, values_);
    if (arguments(false)) return true;
    if (a.op != ScalarOp::add && a.op != ScalarOp::mul) return false;
    std::tie(found_, values_) = before;
    return arguments(true);
  }

  bool takes_constant(const ScalarInstr& wanted, const ScalarInstr& instr) {
    if (!formula_.is_stand_in(wanted)) return wanted == instr;
    std::optional<float>& value = values_[constant_of(wanted)];
    if (value.has_value()) return std::bit_cast<uint32_t>(*value) == std::bit_cast<uint32_t>(instr.imm_f);
    value = instr.imm_f;
    return true;
  }

  // Two operands may look at the same value in the same way.
  bool takes_operand(ValueId input, int operand) {
    int& known = found_.operands[input];
    if (known < 0) known = operand;
    return region_.operands[static_cast<size_t>(known)] == region_.operands[static_cast<size_t>(operand)];
  }

  const Formula& formula_;
  const Region& wanted_;
  const Region& region_;
  FormulaMatch found_;
  std::vector<std::optional<float>> values_;  // of the constants
};

}  // namespace

bool Formula::is_stand_in(const ScalarInstr& constant) const {
  return constant.type == Element::f32 && constant_of(constant) < constants.size();
}

Formula parse_formula(std::string_view text) { return Parser(text).parse(); }

std::optional<FormulaMatch> match(const Formula& formula, const Region& region) {
  return Matcher(formula, region).run();
}

}  // namespace weft
