#include <algorithm>
#include <map>

#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/print.h"

namespace weft::jinja {

namespace {

using Function = Value (*)(Machine&, const Arguments&);

class NativeFunction final : public Object {
 public:
  NativeFunction(Budget* budget, Function function) : Object(budget, 0), function_(function) {}
  std::string type_name() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(Machine& machine, Arguments& arguments) override { return function_(machine, arguments); }

 private:
  Function function_;
};

int depth_of(const Values& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth + 1;
}

// cycler(a, b): next() returns its values in turn.
class Cycler final : public Object {
 public:
  Cycler(Budget* budget, Values items) : Object(budget, depth_of(items)), items_(std::move(items)) {
    charge_.more(items_.size() * sizeof(Value));
  }
  std::string type_name() const override { return "Cycler"; }
  std::optional<Value> attribute(Machine& machine, std::string_view name) override;
  const Value& current() const { return items_[next_]; }
  Value next() {
    Value value = items_[next_];
    next_ = (next_ + 1) % items_.size();
    return value;
  }
  void reset() { next_ = 0; }

 private:
  Values items_;
  size_t next_ = 0;
};

// cycler.next and cycler.reset as values. They hold the cycler, which also lives no longer than the rendering.
class CyclerMethod final : public Object {
 public:
  CyclerMethod(Budget* budget, std::shared_ptr<Cycler> cycler, bool advances)
      : Object(budget, cycler->depth() + 1), cycler_(std::move(cycler)), advances_(advances) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Machine&, Arguments& arguments) override {
    Parameters("a method of cycler", arguments, {});
    if (advances_) return cycler_->next();
    cycler_->reset();
    return Value::none();
  }

 private:
  std::shared_ptr<Cycler> cycler_;
  bool advances_;
};

// joiner(", "): nothing at its first call, then the separator.
class Joiner final : public Object {
 public:
  Joiner(Budget* budget, Value separator) : Object(budget, separator.depth() + 1), separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Machine& machine, Arguments&) override {
    return std::exchange(used_, true) ? separator_ : machine.text("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

// The entries that dict(...) and namespace(...) are made of.
std::vector<Dict::Entry> entries_of(Machine& machine, const Arguments& arguments) {
  std::vector<Dict::Entry> entries;
  if (arguments.positional.size() > 1) throw Fault{"dict() takes at most one value by place"};
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    require_defined(from);
    if (from.is_dict()) {
      entries = from.as_dict().entries;
    } else {
      for (const Value& pair : iterate(machine, from)) {
        const Items both = iterate(machine, pair);
        if (both.size() != 2) throw Fault{"dict() wants pairs"};
        entries.emplace_back(*both.begin(), *(both.begin() + 1));
      }
    }
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(machine.text(name), value);
  return entries;
}

Value make_range(Machine& machine, const Arguments& arguments) {
  const Parameters given("range()", arguments, {"start", "stop", "step"}, 1);
  for (size_t i = 0; i < 3 && given.given(i); ++i) require_defined(given.get(i));
  if (!given.given(1)) return machine.range(0, given.integer(0, 0), 1);
  return machine.range(given.integer(0, 0), given.integer(1, 0), given.integer(2, 1));
}

Value make_dict(Machine& machine, const Arguments& arguments) { return machine.dict(entries_of(machine, arguments)); }

Value make_namespace(Machine& machine, const Arguments& arguments) {
  const Value entries = make_dict(machine, arguments);
  return machine.make_namespace(entries.as_dict().entries);
}

Value make_cycler(Machine& machine, const Arguments& arguments) {
  if (arguments.positional.empty()) throw Fault{"cycler() wants at least one value"};
  return Value::object(std::make_shared<Cycler>(&machine.budget(), arguments.positional));
}

Value make_joiner(Machine& machine, const Arguments& arguments) {
  const Parameters given("joiner()", arguments, {"sep"});
  return Value::object(std::make_shared<Joiner>(&machine.budget(), given.given(0) ? given.get(0) : machine.text(", ")));
}

Value raise_exception(Machine& machine, const Arguments& arguments) {
  const Parameters given("raise_exception()", arguments, {"message"}, 1);
  throw Fault{"the template refuses these messages: " + to_text(machine, given.get(0))};
}

Value strftime_now(Machine& machine, const Arguments& arguments) {
  const Parameters given("strftime_now()", arguments, {"format"}, 1);
  const std::string format(given.string(0).value_or(""));
  if (format.size() > 1000) throw Fault{"strftime_now() wants a format of at most 1000 bytes"};
  const std::time_t now = machine.now();
  std::tm local{};
  localtime_r(&now, &local);
  constexpr size_t kRoom = 200'000;
  machine.budget().spend_bytes(kRoom);
  std::string text(kRoom, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &local));
  return machine.text(std::move(text));
}

}  // namespace

std::optional<Value> Cycler::attribute(Machine& machine, std::string_view name) {
  if (name == "current") return current();
  if (name != "next" && name != "reset") return std::nullopt;
  // The machine's values hold this cycler by a shared pointer, so there is one.
  auto self = std::static_pointer_cast<Cycler>(shared_from_this());
  return Value::object(std::make_shared<CyclerMethod>(&machine.budget(), std::move(self), name == "next"));
}

std::optional<Value> global_function(Machine& machine, std::string_view name) {
  static const std::map<std::string_view, Function, std::less<>> all = {
      {"range", make_range},          {"dict", make_dict},     {"namespace", make_namespace},
      {"cycler", make_cycler},        {"joiner", make_joiner}, {"raise_exception", raise_exception},
      {"strftime_now", strftime_now},
  };
  const auto found = all.find(name);
  if (found == all.end()) return std::nullopt;
  return Value::object(std::make_shared<NativeFunction>(&machine.budget(), found->second));
}

}  // namespace weft::jinja
