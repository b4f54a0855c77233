// State shared within one rendering: the budget, and the construction of values that count against it.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja/budget.h"
#include "runtime/text/jinja/value.h"

namespace weft::jinja {

class Namespace;

class Machine {
 public:
  explicit Machine(std::optional<std::time_t> now = std::nullopt) : now_(now) {}
  ~Machine();  // empties the namespaces, which may hold one another
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Budget& budget() { return budget_; }
  void spend(size_t steps) { budget_.spend(steps); }

  Value text(std::string value) {
    budget_.spend_bytes(value.size());
    return Value::text(std::move(value), &budget_);
  }
  Value text(std::string_view value) { return text(std::string(value)); }
  Value text(const char* value) { return text(std::string(value)); }
  Value sequence(SequenceType type, Values items) {
    budget_.spend(1 + items.size());
    return Value::sequence(type, std::move(items), &budget_);
  }
  Value list(Values items) { return sequence(SequenceType::list, std::move(items)); }
  Value tuple(Values items) { return sequence(SequenceType::tuple, std::move(items)); }
  Value generator(Values items) { return sequence(SequenceType::generator, std::move(items)); }
  Value range(int64_t start, int64_t stop, int64_t step);
  Value dict(std::vector<Dict::Entry> entries);
  Value make_namespace(const std::vector<Dict::Entry>& entries);

  // Guards the writing of a namespace. Throws Fault for one that is nested in too many others.
  class Writing {
   public:
    explicit Writing(Machine& machine) : machine_(machine) {
      if (machine_.writing_ >= kMaxValueDepth) throw Fault{"namespaces hold one another more than 100 levels deep"};
      ++machine_.writing_;
    }
    ~Writing() { --machine_.writing_; }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

   private:
    Machine& machine_;
  };

  std::time_t now() const { return now_ ? *now_ : std::time(nullptr); }

 private:
  Budget budget_;
  std::optional<std::time_t> now_;
  int writing_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

// namespace(): the only objects whose attributes templates can change.
class Namespace final : public Object {
 public:
  explicit Namespace(Budget* budget) : Object(budget, 1) {}
  std::string type_name() const override { return "Namespace"; }
  std::optional<Value> attribute(Machine& machine, std::string_view name) override;
  std::string repr(Machine& machine) override;
  // Throws Fault for a name that begins with "_".
  void set(Machine& machine, const std::string& name, Value value);
  void clear() { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
};

}  // namespace weft::jinja
