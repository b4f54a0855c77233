#include <map>

#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/print.h"
#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

using Test = bool (*)(Machine&, const Value&, const Parameters&);
struct Entry {
  Test test;
  bool with_other = false;  // whether it takes an argument
};

template <Comparison comparison>
bool compares(Machine& machine, const Value& value, const Parameters& given) {
  return compare(machine, comparison, value, given.get(0));
}

bool divides(Machine& machine, const Value& value, const Value& by, int64_t remainder) {
  return equal(machine, binary(machine, Op::modulo, value, by), Value::integer(remainder));
}

bool has_elements_by_number(const Value& value) {
  if (value.kind() == Kind::sequence) return value.as_sequence().type <= SequenceType::range;
  return value.is_string() || value.is_dict() || value.is_undefined();
}

const std::map<std::string_view, Entry, std::less<>>& tests() {
  using M = Machine&;
  using V = const Value&;
  using P = const Parameters&;
  static const std::map<std::string_view, Entry, std::less<>> all = {
      {"defined", {[](M, V v, P) { return !v.is_undefined(); }}},
      {"undefined", {[](M, V v, P) { return v.is_undefined(); }}},
      {"none", {[](M, V v, P) { return v.is_none(); }}},
      {"boolean", {[](M, V v, P) { return v.kind() == Kind::boolean; }}},
      {"true", {[](M, V v, P) { return v.kind() == Kind::boolean && v.as_boolean(); }}},
      {"false", {[](M, V v, P) { return v.kind() == Kind::boolean && !v.as_boolean(); }}},
      {"integer", {[](M, V v, P) { return v.kind() == Kind::integer; }}},
      {"float", {[](M, V v, P) { return v.kind() == Kind::real; }}},
      {"number", {[](M, V v, P) { return v.is_number(); }}},
      {"string", {[](M, V v, P) { return v.is_string(); }}},
      {"mapping", {[](M, V v, P) { return v.is_dict(); }}},
      {"sequence", {[](M, V v, P) { return has_elements_by_number(v); }}},
      {"iterable", {[](M, V v, P) { return iterable(v); }}},
      {"callable",
       {[](M, V v, P) { return v.is_undefined() || (v.kind() == Kind::object && v.as_object()->callable()); }}},
      {"escaped", {[](M, V, P) { return false; }}},
      {"odd", {[](M m, V v, P) { return divides(m, v, Value::integer(2), 1); }}},
      {"even", {[](M m, V v, P) { return divides(m, v, Value::integer(2), 0); }}},
      {"divisibleby", {[](M m, V v, P p) { return divides(m, v, p.get(0), 0); }, true}},
      {"lower", {[](M m, V v, P) { return is_all_in_case(to_text(m, v), false); }}},
      {"upper", {[](M m, V v, P) { return is_all_in_case(to_text(m, v), true); }}},
      {"sameas", {[](M, V v, P p) { return v.same(p.get(0)); }, true}},
      {"in", {compares<Comparison::in>, true}},
      {"filter", {[](M, V v, P) { return v.is_string() && has_filter(v.as_string()); }}},
      {"test", {[](M, V v, P) { return v.is_string() && has_test(v.as_string()); }}},
      {"==", {compares<Comparison::equal>, true}},
      {"eq", {compares<Comparison::equal>, true}},
      {"equalto", {compares<Comparison::equal>, true}},
      {"!=", {compares<Comparison::unequal>, true}},
      {"ne", {compares<Comparison::unequal>, true}},
      {">", {compares<Comparison::greater>, true}},
      {"gt", {compares<Comparison::greater>, true}},
      {"greaterthan", {compares<Comparison::greater>, true}},
      {">=", {compares<Comparison::greater_equal>, true}},
      {"ge", {compares<Comparison::greater_equal>, true}},
      {"<", {compares<Comparison::less>, true}},
      {"lt", {compares<Comparison::less>, true}},
      {"lessthan", {compares<Comparison::less>, true}},
      {"<=", {compares<Comparison::less_equal>, true}},
      {"le", {compares<Comparison::less_equal>, true}},
  };
  return all;
}

}  // namespace

bool has_test(std::string_view name) { return tests().contains(name); }

bool apply_test(Machine& machine, std::string_view name, const Value& value, const Arguments& arguments) {
  machine.spend(1);
  const auto found = tests().find(name);
  if (found == tests().end()) throw Fault{"the test '" + std::string(name) + "' is not known"};
  const Entry& entry = found->second;
  const std::string shown = "the test '" + std::string(name) + "'";
  const Parameters given =
      entry.with_other ? Parameters(shown, arguments, {"other"}, 1) : Parameters(shown, arguments, {});
  return entry.test(machine, value, given);
}

}  // namespace weft::jinja
