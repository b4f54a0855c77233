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

  // `accepts` may be empty, which accepts all. It is called as late as possible, as in Jinja: when the next
  // element is needed. `recurse`: the result of loop(iterable); empty for a loop that is not marked as recursive.
  // `level`: how many recursive calls led to this loop.
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

  bool advance();  // to the next element; false at the end
  const Value& current() const { return current_; }
  int64_t index0() const { return index0_; }
  bool changed(Machine& machine, const Value& values);  // `values`: a tuple
  // Called after the last element: what remains of the loop can no longer call `accepts`.
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
