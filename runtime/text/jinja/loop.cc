#include "runtime/text/jinja/loop.h"

#include "runtime/text/jinja/parameters.h"

namespace weft::jinja {

namespace {

// loop.cycle(a, b): one of its arguments, by the loop's index. loop.changed(a, b): whether they differ from those
// of the previous call.
class LoopMethod final : public Object {
 public:
  enum class Kind : uint8_t { cycle, changed };
  LoopMethod(Budget* budget, std::shared_ptr<Loop> loop, Kind kind)
      : Object(budget, loop->depth() + 1), loop_(std::move(loop)), kind_(kind) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Machine& machine, Arguments& arguments) override {
    const std::string name = kind_ == Kind::cycle ? "loop.cycle()" : "loop.changed()";
    if (!arguments.named.empty()) throw Fault{name + " has no parameter '" + arguments.named[0].first + "'"};
    if (kind_ == Kind::changed) {
      return Value::boolean(loop_->changed(machine, machine.tuple(std::move(arguments.positional))));
    }
    if (arguments.positional.empty()) throw Fault{name + " wants at least one value"};
    const auto index = static_cast<size_t>(loop_->index0());
    return arguments.positional[index % arguments.positional.size()];
  }

 private:
  std::shared_ptr<Loop> loop_;
  Kind kind_;
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

bool Loop::changed(Machine& machine, const Value& values) {
  // In a namespace, which the machine empties at the end: the values may hold this loop.
  if (seen_.is_undefined()) seen_ = machine.make_namespace({});
  Namespace& seen = static_cast<Namespace&>(*seen_.as_object());
  const auto before = seen.attribute(machine, "values");
  if (before && equal(machine, *before, values)) return false;
  seen.set(machine, "values", values);
  return true;
}

Value Loop::call(Machine&, Arguments& arguments) {
  if (!recurse_) throw Fault{"a loop can be called only if it is marked as recursive"};
  const Parameters given("loop()", arguments, {"iterable"}, 1);
  return recurse_(given.get(0));
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
  if (name == "depth") return Value::integer(level_ + 1);
  if (name == "depth0") return Value::integer(level_);
  if (name == "previtem") return index0_ == 0 ? Value::undefined("there is no previous item") : previous_;
  if (name == "nextitem") return peek() ? *next_ : Value::undefined("there is no next item");
  if (name != "cycle" && name != "changed") return std::nullopt;
  auto self = std::static_pointer_cast<Loop>(shared_from_this());
  const auto kind = name == "cycle" ? LoopMethod::Kind::cycle : LoopMethod::Kind::changed;
  return Value::object(std::make_shared<LoopMethod>(&machine.budget(), std::move(self), kind));
}

}  // namespace weft::jinja
