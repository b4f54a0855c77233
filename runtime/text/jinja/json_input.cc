#include "runtime/text/jinja/json_input.h"

#include "core/error.h"
#include "runtime/files/json.h"

namespace weft::jinja {

namespace {

class Builder {
 public:
  Builder(Machine& machine, const std::string& source) : machine_(machine), source_(source) {}

  // Called by nlohmann's parser.
  bool null() { return add(Value::none()); }
  bool boolean(bool value) { return add(Value::boolean(value)); }
  bool number_integer(int64_t value) { return add(Value::integer(value)); }
  bool number_unsigned(uint64_t value) {
    if (value > static_cast<uint64_t>(INT64_MAX)) fail_integer();
    return add(Value::integer(static_cast<int64_t>(value)));
  }
  bool number_float(double value, const std::string& digits) {
    if (digits.find_first_of(".eE") == digits.npos) fail_integer();
    return add(Value::real(value));
  }
  bool string(std::string& value) { return add(machine_.text(std::move(value))); }
  bool binary(std::string&) { return false; }
  bool start_object(size_t) { return open(true); }
  bool start_array(size_t) { return open(false); }
  bool key(std::string& name) {
    open_.back().key = machine_.text(std::move(name));
    return true;
  }
  bool end_object() {
    std::vector<Dict::Entry> entries = std::move(open_.back().entries);
    open_.pop_back();
    return add(machine_.dict(std::move(entries)));
  }
  bool end_array() {
    Values items = std::move(open_.back().items);
    open_.pop_back();
    return add(machine_.list(std::move(items)));
  }
  template <class Exception>
  bool parse_error(size_t position, const std::string&, const Exception& error) {
    fail_not_json(source_, position, error);
  }

  Value take() { return std::move(result_); }

 private:
  struct Open {
    bool is_object;
    Value key;
    std::vector<Dict::Entry> entries;
    Values items;
  };

  [[noreturn]] void fail_integer() const { throw Error(source_ + ": an integer does not fit into 64 bits"); }

  bool open(bool is_object) {
    if (open_.size() >= static_cast<size_t>(kMaxJsonDepth)) {
      throw Error(source_ + ": is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
    open_.push_back({is_object, {}, {}, {}});
    return true;
  }
  bool add(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (open_.back().is_object) {
      open_.back().entries.emplace_back(std::move(open_.back().key), std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  Machine& machine_;
  const std::string& source_;
  std::vector<Open> open_;
  Value result_;
};

// nlohmann asks for its own types by name.
class Handler : public Builder {
 public:
  using Builder::Builder;
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;
  bool binary(binary_t&) { return false; }
};

}  // namespace

Value read_json_value(Machine& machine, std::string_view text, const std::string& source) {
  Handler handler(machine, source);
  Json::sax_parse(text.begin(), text.end(), &handler);
  return handler.take();
}

}  // namespace weft::jinja
