// A template as a tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/text/jinja/value.h"

namespace weft::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class Op : uint8_t {
  constant,  // value
  name,      // name
  list,
  tuple,  // parts
  dict,   // parts: key, value, key, value ...
  negate,
  plus,
  logical_not,
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  logical_and,
  logical_or,
  concat,       // parts, joined as text
  compare,      // parts, with comparisons[i] between parts[i] and parts[i + 1]
  conditional,  // condition, then, else (null if absent)
  attribute,    // object.name
  item,         // object[index]
  slice,        // object[begin:end:step], absent ones null
  call,         // function(arguments)
  filter,       // value | name(arguments); the value is null in a filter block
  test,         // value is name(arguments)
};

enum class Comparison : uint8_t { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };

struct Argument {
  enum class Kind : uint8_t { positional, named, star, double_star };
  Kind kind;
  std::string name;
  ExpressionPtr value;
};

struct Expression {
  Op op;
  uint32_t at;    // byte of the source that an error points to
  int depth = 1;  // nesting depth of expressions
  Value value;
  std::string name;
  std::vector<ExpressionPtr> parts;
  std::vector<Comparison> comparisons;
  std::vector<Argument> arguments;
};

// The target of an assignment: a name, an attribute of a namespace, or several of these.
struct Target {
  uint32_t at = 0;
  std::string name;
  std::string attribute;      // of the namespace `name`; empty for a plain name
  std::vector<Target> parts;  // not empty: a tuple
  bool is_tuple = false;
};

struct Statement;
using Block = std::vector<Statement>;

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // null if there is none
};

struct Statement {
  enum class Kind : uint8_t {
    text,          // text
    output,        // expression
    branches,      // if: per branch a condition (null: else) and a block
    loop,          // for: target, expression, condition (may be null), block, otherwise, recursive
    set,           // target, expression
    set_block,     // target, expression (filters; may be null), block
    macro,         // text (its name), parameters, block
    call_block,    // expression (a call), parameters, block: what caller() gives
    filter_block,  // expression (filters), block
    with,          // assignments, block
    scope,         // block, with variables of its own
    break_loop,
    continue_loop,
  };
  struct Branch {
    ExpressionPtr condition;
    Block block;
  };
  struct Assignment {
    Target target;
    ExpressionPtr value;
  };

  Kind kind;
  uint32_t at = 0;
  std::string text;
  Target target;
  ExpressionPtr expression, condition;
  Block block, otherwise;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  std::vector<Assignment> assignments;
  bool recursive = false;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  // of a macro's block
};

}  // namespace weft::jinja
