#include "runtime/text/jinja/evaluator.h"

#include <algorithm>

#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/loop.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/print.h"

namespace weft::jinja {

void Scope::set(std::string_view name, Value value) {
  const auto [at, is_new] = variables.try_emplace(name);
  if (is_new) charge.more(96);
  at->second = std::move(value);
}

// One more level of evaluation during its lifetime: macros may call themselves.
class Evaluator::Depth {
 public:
  explicit Depth(Evaluator& evaluator) : evaluator_(evaluator) {
    if (++evaluator_.depth_ > kMaxEvaluation) throw Fault{"the template calls itself too deeply"};
  }
  ~Depth() { --evaluator_.depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  Evaluator& evaluator_;
};

// A macro, or the block of a call: it sees the variables of its definition, with their values at the time of the
// call.
class Evaluator::Macro final : public Object {
 public:
  Macro(Budget* budget, Evaluator& evaluator, const Statement& statement, const std::shared_ptr<Scope>& scope)
      : Object(budget, 1), evaluator_(evaluator), statement_(statement), scope_(scope) {}

  std::string type_name() const override { return "Macro"; }
  bool callable() const override { return true; }
  std::string repr(Machine&) override {
    return statement_.text.empty() ? "<Macro anonymous>" : "<Macro '" + statement_.text + "'>";
  }
  std::optional<Value> attribute(Machine& machine, std::string_view name) override {
    if (name == "name") return statement_.text.empty() ? Value::none() : machine.text(statement_.text);
    if (name == "catch_kwargs") return Value::boolean(statement_.uses_kwargs);
    if (name == "catch_varargs") return Value::boolean(statement_.uses_varargs);
    if (name == "caller") return Value::boolean(statement_.uses_caller);
    if (name != "arguments") return std::nullopt;
    Values names;
    for (const Parameter& parameter : statement_.parameters) names.push_back(machine.text(parameter.name));
    return machine.tuple(std::move(names));
  }
  Value call(Machine&, Arguments& arguments) override {
    return evaluator_.call_macro(statement_, scope_.lock(), arguments);
  }

 private:
  Evaluator& evaluator_;
  const Statement& statement_;
  std::weak_ptr<Scope> scope_;  // which the evaluator keeps
};

Evaluator::Evaluator(Machine& machine, const Variables& variables)
    : machine_(machine), variables_(variables), scope_(std::make_shared<Scope>(&machine.budget(), nullptr)) {}

Evaluator::~Evaluator() {
  for (const auto& scope : captured_) scope->variables.clear();
}

std::string Evaluator::run(const Block& block) {
  execute(block);
  return std::move(out_);
}

// --- output ---

void Evaluator::emit(std::string_view text) {
  machine_.budget().spend_bytes(text.size());
  if (out_bytes_ + text.size() > kMaxOutput) throw Fault{"the template makes more than 64 MiB of text"};
  out_bytes_ += text.size();
  out_ += text;
}

std::string Evaluator::begin_capture() { return std::exchange(out_, {}); }

std::string Evaluator::end_capture(std::string outer) {
  out_bytes_ -= out_.size();
  return std::exchange(out_, std::move(outer));
}

// --- variables ---

Value Evaluator::lookup(const std::string& name) {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->outer.get()) {
    machine_.spend(1);
    if (const auto found = scope->variables.find(name); found != scope->variables.end()) return found->second;
  }
  if (const auto found = variables_.find(name); found != variables_.end()) return found->second;
  if (auto function = global_function(machine_, name)) return *function;
  return Value::undefined("'" + name + "' is undefined");
}

void Evaluator::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    const Items items = iterate(machine_, value);
    if (items.size() != target.parts.size()) {
      throw Fault{std::to_string(target.parts.size()) + " names for " + std::to_string(items.size()) + " values"};
    }
    auto item = items.begin();
    for (const Target& part : target.parts) assign(part, *item++);
    return;
  }
  if (target.attribute.empty()) return scope_->set(target.name, value);
  const Value space = lookup(target.name);
  const auto object = space.kind() == Kind::object ? std::dynamic_pointer_cast<Namespace>(space.as_object()) : nullptr;
  if (object == nullptr) throw Fault{"'" + target.name + "' is not a namespace, so its attributes cannot be set"};
  object->set(machine_, target.attribute, value);
}

// --- statements ---

Evaluator::Flow Evaluator::execute(const Block& block) {
  for (const Statement& statement : block) {
    try {
      const Depth depth(*this);
      machine_.spend(1);
      if (const Flow flow = execute(statement); flow != Flow::next) return flow;
    } catch (const Fault& fault) {
      throw LocatedFault{statement.at, fault.message};
    }
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::execute(const Statement& statement) {
  switch (statement.kind) {
    case Statement::Kind::text: emit(statement.text); break;
    case Statement::Kind::output: {
      const Value value = evaluate(*statement.expression);
      if (value.is_string()) {
        emit(value.as_string());
      } else {
        emit(to_text(machine_, value));
      }
      break;
    }
    case Statement::Kind::branches: return execute_branches(statement);
    case Statement::Kind::loop: return execute_loop(statement, evaluate(*statement.expression), scope_, 0);
    case Statement::Kind::set: assign(statement.target, evaluate(*statement.expression)); break;
    case Statement::Kind::set_block: return execute_set_block(statement);
    case Statement::Kind::macro: scope_->set(statement.text, make_macro(statement)); break;
    case Statement::Kind::call_block: execute_call_block(statement); break;
    case Statement::Kind::filter_block: return execute_filter_block(statement);
    case Statement::Kind::with: return execute_with(statement);
    case Statement::Kind::scope: return execute_scope(statement.block);
    case Statement::Kind::break_loop: return Flow::break_loop;
    case Statement::Kind::continue_loop: return Flow::continue_loop;
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::execute_branches(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    if (branch.condition == nullptr || evaluate(*branch.condition).truth()) return execute(branch.block);
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::execute_scope(const Block& block) {
  const std::shared_ptr<Scope> outer = scope_;
  scope_ = std::make_shared<Scope>(&machine_.budget(), outer);
  const Flow flow = execute(block);
  scope_ = outer;
  return flow;
}

Evaluator::Flow Evaluator::execute_loop(const Statement& statement, const Value& iterable, std::shared_ptr<Scope> outer,
                                        int level) {
  const auto enter = [&] { scope_ = std::make_shared<Scope>(&machine_.budget(), outer); };
  Loop::Accepts accepts;
  if (statement.condition != nullptr) {
    accepts = [&](const Value& item) {
      const std::shared_ptr<Scope> inside = scope_;
      enter();
      assign(statement.target, item);
      const bool holds = evaluate(*statement.condition).truth();
      scope_ = inside;
      return holds;
    };
  }
  Loop::Recurse recurse;
  if (statement.recursive) {
    recurse = [this, &statement, outer, level](const Value& inner) {
      const Depth depth(*this);
      const std::shared_ptr<Scope> calling = std::exchange(scope_, outer);
      std::string before = begin_capture();
      execute_loop(statement, inner, outer, level + 1);
      scope_ = calling;
      return machine_.text(end_capture(std::move(before)));
    };
  }
  const auto loop = std::make_shared<Loop>(&machine_.budget(), iterate(machine_, iterable), std::move(accepts),
                                           std::move(recurse), level);
  bool completed = false;  // whether an iteration ran to its end: only then is `else` skipped
  Flow flow = Flow::next;
  while (flow != Flow::break_loop && loop->advance()) {
    enter();
    scope_->set("loop", Value::object(loop));
    assign(statement.target, loop->current());
    flow = execute(statement.block);
    completed = completed || flow == Flow::next;
    scope_ = outer;
    machine_.spend(1);
  }
  loop->finish();
  return completed || statement.otherwise.empty() ? Flow::next : execute_scope(statement.otherwise);
}

Evaluator::Flow Evaluator::execute_set_block(const Statement& statement) {
  std::string before = begin_capture();
  const Flow flow = execute_scope(statement.block);
  Value value = machine_.text(end_capture(std::move(before)));
  if (flow != Flow::next) return flow;
  if (statement.expression != nullptr) value = evaluate_filter(*statement.expression, value);
  assign(statement.target, value);
  return Flow::next;
}

Evaluator::Flow Evaluator::execute_filter_block(const Statement& statement) {
  std::string before = begin_capture();
  const Flow flow = execute_scope(statement.block);
  const Value value = machine_.text(end_capture(std::move(before)));
  if (flow == Flow::next) emit(to_text(machine_, evaluate_filter(*statement.expression, value)));
  return flow;
}

Evaluator::Flow Evaluator::execute_with(const Statement& statement) {
  const std::shared_ptr<Scope> outer = scope_;
  const auto inner = std::make_shared<Scope>(&machine_.budget(), outer);
  for (const auto& [target, expression] : statement.assignments) {
    const Value value = evaluate(*expression);  // in the outer scope
    scope_ = inner;
    assign(target, value);
    scope_ = outer;
  }
  scope_ = inner;
  const Flow flow = execute(statement.block);
  scope_ = outer;
  return flow;
}

void Evaluator::execute_call_block(const Statement& statement) {
  const Value caller = make_macro(statement);
  emit(to_text(machine_, evaluate_call(*statement.expression, &caller)));
}

// --- macros ---

Value Evaluator::make_macro(const Statement& statement) {
  if (captured_.empty() || captured_.back() != scope_) {
    scope_->charge.more(sizeof(std::shared_ptr<Scope>));
    captured_.push_back(scope_);
  }
  return Value::object(std::make_shared<Macro>(&machine_.budget(), *this, statement, scope_));
}

Value Evaluator::call_macro(const Statement& macro, const std::shared_ptr<Scope>& defined_in, Arguments& arguments) {
  const Depth depth(*this);
  const std::shared_ptr<Scope> calling = scope_;
  scope_ = std::make_shared<Scope>(&machine_.budget(), defined_in);
  fill_parameters(macro, arguments);
  std::string before = begin_capture();
  execute(macro.block);
  scope_ = calling;
  return machine_.text(end_capture(std::move(before)));
}

void Evaluator::fill_parameters(const Statement& macro, Arguments& arguments) {
  const std::string name = macro.text.empty() ? "the block of the call" : "macro '" + macro.text + "'";
  const auto take_named = [&](std::string_view wanted) -> std::optional<Value> {
    const auto at = std::find_if(arguments.named.begin(), arguments.named.end(),
                                 [&](const auto& argument) { return argument.first == wanted; });
    if (at == arguments.named.end()) return std::nullopt;
    Value value = at->second;
    arguments.named.erase(at);
    return value;
  };
  std::vector<const Parameter*> missing;
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    std::optional<Value> value;
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else {
      value = take_named(parameter.name);
    }
    if (!value) missing.push_back(&parameter);
    scope_->set(parameter.name, value.value_or(Value::undefined("'" + parameter.name + "' was not provided")));
  }
  if (macro.uses_caller) scope_->set("caller", take_named("caller").value_or(Value::undefined("no caller is defined")));
  if (macro.uses_kwargs) {
    std::vector<Dict::Entry> rest;
    for (const auto& [key, value] : arguments.named) rest.emplace_back(machine_.text(key), value);
    scope_->set("kwargs", machine_.dict(std::move(rest)));
  } else if (!arguments.named.empty()) {
    throw Fault{name + " has no parameter '" + arguments.named[0].first + "'"};
  }
  const size_t used = std::min(macro.parameters.size(), arguments.positional.size());
  if (macro.uses_varargs) {
    scope_->set("varargs", machine_.tuple(Values(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                                                 arguments.positional.end())));
  } else if (used < arguments.positional.size()) {
    throw Fault{name + " takes at most " + std::to_string(macro.parameters.size()) + " arguments"};
  }
  for (const Parameter* parameter : missing) {
    if (parameter->fallback != nullptr) scope_->set(parameter->name, evaluate(*parameter->fallback));
  }
}

// --- expressions ---

Value Evaluator::evaluate(const Expression& expression) {
  try {
    const Depth depth(*this);
    machine_.spend(1);
    return evaluate_node(expression);
  } catch (const Fault& fault) {
    throw LocatedFault{expression.at, fault.message};
  }
}

Values Evaluator::evaluate_all(const std::vector<ExpressionPtr>& parts) {
  Values values;
  values.reserve(parts.size());
  for (const ExpressionPtr& part : parts) values.push_back(evaluate(*part));
  return values;
}

Value Evaluator::evaluate_node(const Expression& expression) {
  const auto part = [&](size_t i) { return evaluate(*expression.parts[i]); };
  switch (expression.op) {
    case Op::constant: return expression.value;
    case Op::name: return lookup(expression.name);
    case Op::list: return machine_.list(evaluate_all(expression.parts));
    case Op::tuple: return machine_.tuple(evaluate_all(expression.parts));
    case Op::dict: {
      std::vector<Dict::Entry> entries;
      for (size_t i = 0; i < expression.parts.size(); i += 2) {
        Value key = part(i);
        entries.emplace_back(std::move(key), part(i + 1));
      }
      return machine_.dict(std::move(entries));
    }
    case Op::negate: return negate(part(0));
    case Op::plus: return plus(part(0));
    case Op::logical_not: return Value::boolean(!part(0).truth());
    case Op::logical_and: {
      Value left = part(0);
      return left.truth() ? part(1) : left;
    }
    case Op::logical_or: {
      Value left = part(0);
      return left.truth() ? left : part(1);
    }
    case Op::concat: {
      std::string text;
      for (const Value& value : evaluate_all(expression.parts)) {
        text += to_text(machine_, value);
        machine_.budget().check_room(text.size());
      }
      return machine_.text(std::move(text));
    }
    case Op::compare: return evaluate_compare(expression);
    case Op::conditional:
      if (part(0).truth()) return part(1);
      if (expression.parts[2] == nullptr) return Value::undefined("the condition is false, and there is no else");
      return part(2);
    case Op::attribute: return get_attribute(machine_, part(0), expression.name);
    case Op::item: {
      const Value object = part(0);
      const Expression& index = *expression.parts[1];
      if (index.op != Op::slice) return get_item(machine_, object, evaluate(index));
      const auto bound = [&](size_t i) {
        return index.parts[i] == nullptr ? Value::none() : evaluate(*index.parts[i]);
      };
      const Value begin = bound(0), end = bound(1);
      return get_slice(machine_, object, begin, end, bound(2));
    }
    case Op::slice: throw Fault{"a slice stands alone"};  // in x[1:2, 3]
    case Op::call: return evaluate_call(expression, nullptr);
    case Op::filter: return evaluate_filter(expression, {});
    case Op::test: {
      const Value value = part(0);
      return Value::boolean(apply_test(machine_, expression.name, value, evaluate_arguments(expression)));
    }
    default: {
      const Value left = part(0);
      return binary(machine_, expression.op, left, part(1));
    }
  }
}

Value Evaluator::evaluate_compare(const Expression& expression) {
  Value left = evaluate(*expression.parts[0]);
  for (size_t i = 0; i < expression.comparisons.size(); ++i) {
    Value right = evaluate(*expression.parts[i + 1]);
    if (!compare(machine_, expression.comparisons[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Arguments Evaluator::evaluate_arguments(const Expression& expression) {
  Arguments arguments;
  for (const Argument& argument : expression.arguments) {
    Value value = evaluate(*argument.value);
    switch (argument.kind) {
      case Argument::Kind::positional: arguments.positional.push_back(std::move(value)); break;
      case Argument::Kind::named: arguments.named.emplace_back(argument.name, std::move(value)); break;
      case Argument::Kind::star: {
        const Items items = iterate(machine_, value);
        if (items.size() > static_cast<size_t>(kMaxRange)) throw Fault{"more than 100000 arguments"};
        machine_.spend(items.size());
        arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
        break;
      }
      case Argument::Kind::double_star:
        if (!value.is_dict()) throw Fault{"'**' wants a dict, got a " + value.type_name()};
        if (value.as_dict().entries.size() > 1000) throw Fault{"more than 1000 named arguments"};
        for (const auto& [key, element] : value.as_dict().entries) {
          if (!key.is_string()) throw Fault{"the names of arguments are strings"};
          arguments.named.emplace_back(key.as_string(), element);
        }
        break;
    }
  }
  return arguments;
}

Value Evaluator::evaluate_call(const Expression& expression, const Value* caller) {
  const Expression& function = *expression.parts[0];
  const auto arguments_here = [&] {
    Arguments arguments = evaluate_arguments(expression);
    if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
    return arguments;
  };
  Value called;
  if (function.op == Op::attribute) {
    const Value object = evaluate(*function.parts[0]);
    if (has_method(object, function.name)) {
      Arguments arguments = arguments_here();
      return call_method(machine_, object, function.name, arguments);
    }
    called = get_attribute(machine_, object, function.name);
  } else {
    called = evaluate(function);
  }
  Arguments arguments = arguments_here();
  require_defined(called);
  if (called.kind() != Kind::object) throw Fault{"a " + called.type_name() + " cannot be called"};
  return called.as_object()->call(machine_, arguments);
}

// A filter, or a chain of filters whose innermost one has no value: it takes the text of a block.
Value Evaluator::evaluate_filter(const Expression& expression, const Value& innermost) {
  const ExpressionPtr& part = expression.parts[0];
  Value value = innermost;
  if (part != nullptr) {
    value = part->op == Op::filter ? evaluate_filter(*part, innermost) : evaluate(*part);
  }
  const Arguments arguments = evaluate_arguments(expression);
  try {
    return apply_filter(machine_, expression.name, value, arguments);
  } catch (const Fault& fault) {
    throw LocatedFault{expression.at, fault.message};
  }
}

}  // namespace weft::jinja
