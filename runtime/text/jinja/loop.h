// The variable `loop`.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "runtime/text/jinja/operators.h"

namespace weft::jinja {

class Loop final : public Object {
 public:
  using Accepts = std::function<bool(const Value&)>;

  using Recurse = std::function<Value(const Value&)>;

  // `accepts` may be empty: all. It is asked as late as possible, as Jinja does: when the next element is wanted.
  // `recurse`: what loop(iterable) gives; empty for a loop that is not marked as recursive. `level`: how many loops
  // have called one another for this one.
  Loop(Budget* budget, Items items, Accepts accepts, Recurse recurse, int level)
      : Object(budget, items.sequence->depth + 1),
        items_(std::move(items)),
        accepts_(std::move(accepts)),
        recurse_(std::move(recurse)),
        level_(level) {}

  std::string type_name() const override { return "LoopContext"; }
  bool callable() const override { return true; }
  Value call(Machine& machine, Arguments& arguments) override;
  std::optional<Value> attribute(Machine& machine, std::string_view name) override;

  bool advance();  // to the next element; false: there is none
  const Value& current() const { return current_; }
  int64_t index0() const { return index0_; }
  bool changed(Machine& machine, const Value& values);  // `values`: a tuple
  // After the last element: what is left of the loop can no longer ask `accepts`.
  void finish();

 private:
  const std::optional<Value>& peek();
  int64_t count(Machine& machine);

  Items items_;
  Accepts accepts_;
  Recurse recurse_;
  int level_;
  int64_t index0_ = -1;
  Value previous_, current_;
  std::optional<Value> next_;
  std::optional<int64_t> count_;
  Value seen_;  // a namespace with the values of the last call of loop.changed
};

}  // namespace weft::jinja
