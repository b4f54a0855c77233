#include "runtime/jinja/loop.h"

namespace weft::jinja {

namespace {

// loop.cycle(a, b): one of its arguments, by the loop's index.
class Cycle final : public Object {
 public:
  Cycle(Budget* budget, std::shared_ptr<Loop> loop) : Object(budget, loop->depth() + 1), loop_(std::move(loop)) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Machine&, Arguments& arguments) override {
    if (arguments.positional.empty()) throw Fault{"loop.cycle() wants at least one value"};
    const auto index = static_cast<size_t>(loop_->index0());
    return arguments.positional[index % arguments.positional.size()];
  }

 private:
  std::shared_ptr<Loop> loop_;
};

}  // namespace

bool Loop::advance() {
  if (!peek()) return false;
  previous_ = std::exchange(current_, *std::exchange(next_, std::nullopt));
  ++index0_;
  return true;
}

const std::optional<Value>& Loop::peek() {
  while (!next_ && items_.size() > 0) {
    const Value& candidate = *items_.begin();
    ++items_.from;
    if (!accepts_ || accepts_(candidate)) next_ = candidate;
  }
  return next_;
}

int64_t Loop::count(Machine& machine) {
  if (!count_) {
    if (accepts_) {
      Values rest;
      for (const Value& item : items_) {
        if (accepts_(item)) rest.push_back(item);
      }
      items_ = {machine.list(std::move(rest)).shared_sequence(), 0};
      accepts_ = nullptr;
    }
    count_ = index0_ + 1 + (next_ ? 1 : 0) + static_cast<int64_t>(items_.size());
  }
  return *count_;
}

void Loop::finish() {
  accepts_ = nullptr;
  items_.from = items_.sequence->items.size();
}

std::optional<Value> Loop::attribute(Machine& machine, std::string_view name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!peek());
  if (name == "length") return Value::integer(count(machine));
  if (name == "revindex") return Value::integer(count(machine) - index0_);
  if (name == "revindex0") return Value::integer(count(machine) - index0_ - 1);
  if (name == "depth") return Value::integer(1);
  if (name == "depth0") return Value::integer(0);
  if (name == "previtem") return index0_ == 0 ? Value::undefined("there is no previous item") : previous_;
  if (name == "nextitem") return peek() ? *next_ : Value::undefined("there is no next item");
  if (name == "cycle") {
    auto self = std::static_pointer_cast<Loop>(shared_from_this());
    return Value::object(std::make_shared<Cycle>(&machine.budget(), std::move(self)));
  }
  if (name == "changed") throw Fault{"loop.changed is not supported"};
  return std::nullopt;
}

}  // namespace weft::jinja
