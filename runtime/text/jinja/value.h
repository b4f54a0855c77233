// The values of templates: the Python values that Jinja exposes. Immutable and shared, except namespaces and the
// like, which are Objects.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/text/jinja/budget.h"

namespace weft::jinja {

class Value;
using Values = std::vector<Value>;

// In the order of Value's alternatives.
enum class Kind : uint8_t { undefined, none, boolean, integer, real, string, sequence, dict, object };

// Python's type names. A generator can be read only once; generators and views of a dict cannot be indexed.
enum class SequenceType : uint8_t { list, tuple, range, keys, values, items, generator };

struct Undefined {
  std::shared_ptr<const std::string> why;  // "'x' is undefined"; may be null
};
struct None {};

struct Text;
struct Sequence;
struct Dict;
class Object;
class Machine;
struct Arguments;

class Value {
 public:
  Value() = default;  // undefined
  static Value undefined(std::string why) { return Value(Undefined{std::make_shared<std::string>(std::move(why))}); }
  static Value none() { return Value(None{}); }
  static Value boolean(bool value) { return Value(value); }
  static Value integer(int64_t value) { return Value(value); }
  static Value real(double value) { return Value(value); }
  // Without a budget: a constant of the template. Machine makes all others.
  static Value text(std::string value, Budget* budget = nullptr);
  static Value sequence(SequenceType type, Values items, Budget* budget = nullptr);
  static Value object(std::shared_ptr<Object> value) { return Value(std::move(value)); }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::undefined; }
  bool is_none() const { return kind() == Kind::none; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_dict() const { return kind() == Kind::dict; }
  bool is_number() const { return kind() >= Kind::boolean && kind() <= Kind::real; }  // Python's bool is a number
  bool is_integral() const { return kind() == Kind::boolean || kind() == Kind::integer; }

  const Undefined& as_undefined() const { return std::get<Undefined>(data_); }
  bool as_boolean() const { return std::get<bool>(data_); }
  const std::string& as_string() const;
  const Sequence& as_sequence() const { return *std::get<std::shared_ptr<const Sequence>>(data_); }
  const Dict& as_dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  const std::shared_ptr<const Sequence>& shared_sequence() const {
    return std::get<std::shared_ptr<const Sequence>>(data_);
  }
  const std::shared_ptr<Object>& as_object() const { return std::get<std::shared_ptr<Object>>(data_); }
  bool is_sequence(SequenceType type) const;

  // For a boolean or an integer; for any number.
  int64_t as_int() const { return kind() == Kind::boolean ? as_boolean() : std::get<int64_t>(data_); }
  double as_real() const { return kind() == Kind::real ? std::get<double>(data_) : static_cast<double>(as_int()); }

  bool truth() const;
  int depth() const;              // nesting depth of containers: 0 for what holds nothing
  std::string type_name() const;  // Python's name: "str", "NoneType"

  // Whether both are the same object (Python's `is`).
  bool same(const Value& other) const;

 private:
  friend class Machine;
  using Data = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
                            std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>, std::shared_ptr<Object>>;
  template <class T>
  explicit Value(T data) : data_(std::in_place_type<T>, std::move(data)) {}

  Data data_;
};

struct Text {
  std::string text;  // UTF-8
  Charge charge;
};

struct Sequence {
  SequenceType type;
  Values items;
  int depth;
  uint32_t key_size;  // for keys of a dict: how many values it consists of; else 0
  Charge charge;
  mutable size_t taken = 0;                       // of a generator
  mutable int64_t start = 0, stop = 0, step = 1;  // of a range
  mutable bool is_group = false;  // a tuple of the filter 'groupby', whose elements have the names grouper and list
};

struct Dict {
  using Entry = std::pair<Value, Value>;
  // Later entries replace the value of earlier ones with the same key.
  Dict(std::vector<Entry> all, Budget* budget);

  const Value* find(const Value& key) const;  // null if absent, and for values that cannot be keys
  const Value* find(std::string_view key) const;

  std::vector<Entry> entries;  // in the order of insertion
  int depth = 1;

 private:
  std::vector<uint32_t> order_;  // entries by key
  Charge charge_;
};

// Whether a value can be a key: not a list, dict, tuple containing one, or tuple of more than 1000 values.
bool hashable(const Value& value);

// Values that have attributes or can be called: functions, macros, namespaces, loops.
class Object : public std::enable_shared_from_this<Object> {
 public:
  Object(Budget* budget, int depth);  // throws Fault for one that is nested too deeply
  virtual ~Object() = default;

  virtual std::string type_name() const = 0;
  virtual std::optional<Value> attribute(Machine&, std::string_view) { return std::nullopt; }
  virtual bool callable() const { return false; }
  virtual Value call(Machine& machine, Arguments& arguments);
  virtual std::string repr(Machine&) { return "<" + type_name() + ">"; }
  virtual std::optional<int64_t> length() { return std::nullopt; }
  int depth() const { return depth_; }

 protected:
  Charge charge_;

 private:
  int depth_;
};

// The arguments of a call, filter or test.
struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

}  // namespace weft::jinja
