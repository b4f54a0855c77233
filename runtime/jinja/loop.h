// The variable `loop`.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "runtime/jinja/operators.h"

namespace weft::jinja {

class Loop final : public Object {
 public:
  using Accepts = std::function<bool(const Value&)>;

  // `accepts` may be empty: all. It is asked as late as possible, as Jinja does: when the next element is wanted.
  Loop(Budget* budget, Items items, Accepts accepts)
      : Object(budget, items.sequence->depth + 1), items_(std::move(items)), accepts_(std::move(accepts)) {}

  std::string type_name() const override { return "LoopContext"; }
  std::optional<Value> attribute(Machine& machine, std::string_view name) override;

  bool advance();  // to the next element; false: there is none
  const Value& current() const { return current_; }
  int64_t index0() const { return index0_; }
  // After the last element: what is left of the loop can no longer ask `accepts`.
  void finish();

 private:
  const std::optional<Value>& peek();
  int64_t count(Machine& machine);

  Items items_;
  Accepts accepts_;
  int64_t index0_ = -1;
  Value previous_, current_;
  std::optional<Value> next_;
  std::optional<int64_t> count_;
};

}  // namespace weft::jinja
