// Runs a template's tree.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/ast.h"
#include "runtime/text/jinja/machine.h"

namespace weft::jinja {

// A fault at a byte of the template's source.
struct LocatedFault {
  uint32_t at;
  std::string message;
};

// Variables by name. The block of a loop, a macro or `with` has a new scope; what it sets ends with it.
struct Scope {
  Scope(Budget* budget, std::shared_ptr<Scope> outer_scope) : charge(budget, 128), outer(std::move(outer_scope)) {}
  void set(std::string_view name, Value value);

  Charge charge;
  std::shared_ptr<Scope> outer;
  std::map<std::string_view, Value> variables;  // names are the tree's
};

using Variables = std::map<std::string, Value, std::less<>>;

class Evaluator {
 public:
  // All arguments outlive the evaluator.
  Evaluator(Machine& machine, const Variables& variables);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // The text that the template makes. Throws LocatedFault. Once per evaluator.
  std::string run(const Block& block);

  // The text of a macro's block, for Macro.
  Value call_macro(const Statement& macro, const std::shared_ptr<Scope>& defined_in, Arguments& arguments);

 private:
  enum class Flow : uint8_t { next, break_loop, continue_loop };
  class Depth;
  class Macro;

  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow execute_branches(const Statement& statement);
  // Over `iterable`, from within the scope `outer`.
  Flow execute_loop(const Statement& statement, const Value& iterable, std::shared_ptr<Scope> outer, int level);
  Flow execute_set_block(const Statement& statement);
  Flow execute_filter_block(const Statement& statement);
  Flow execute_with(const Statement& statement);
  void execute_call_block(const Statement& statement);
  Flow execute_scope(const Block& block);  // in a new scope
  void fill_parameters(const Statement& macro, Arguments& arguments);

  Value evaluate(const Expression& expression);
  Value evaluate_node(const Expression& expression);
  Value evaluate_compare(const Expression& expression);
  Value evaluate_call(const Expression& expression, const Value* caller);
  Value evaluate_filter(const Expression& expression, const Value& innermost);
  Values evaluate_all(const std::vector<ExpressionPtr>& parts);
  Arguments evaluate_arguments(const Expression& expression);

  Value lookup(const std::string& name);
  void assign(const Target& target, const Value& value);
  Value make_macro(const Statement& statement);

  // Output is collected separately until the second call returns it.
  std::string begin_capture();
  std::string end_capture(std::string outer);
  void emit(std::string_view text);

  Machine& machine_;
  const Variables& variables_;
  std::shared_ptr<Scope> scope_;
  std::vector<std::shared_ptr<Scope>> captured_;  // by macros, which may be in their own scope: emptied at the end
  std::string out_;
  size_t out_bytes_ = 0;  // of all texts under construction
  int depth_ = 0;
};

}  // namespace weft::jinja
