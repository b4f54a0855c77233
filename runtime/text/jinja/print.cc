#include "runtime/text/jinja/print.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

// Text with a limit on its growth: a list may hold another many times, and that one a third.
class Sink {
 public:
  explicit Sink(Machine& machine) : machine_(machine) {}
  void add(std::string_view text) {
    machine_.budget().spend_bytes(text.size());
    if (out_.size() + text.size() > kMaxOutput) throw Fault{"the text of a value takes more than 64 MiB"};
    out_ += text;
  }
  Machine& machine() { return machine_; }
  std::string take() { return std::move(out_); }

 private:
  Machine& machine_;
  std::string out_;
};

std::string number_text(const Value& value) {
  if (value.kind() == Kind::boolean) return value.as_boolean() ? "True" : "False";
  return value.kind() == Kind::integer ? std::to_string(value.as_int()) : real_text(value.as_real());
}

void write_repr(Sink& sink, const Value& value);

void write_items(Sink& sink, const Values& items) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) sink.add(", ");
    first = false;
    write_repr(sink, item);
  }
}

void write_sequence(Sink& sink, const Sequence& sequence) {
  const auto enclosed = [&](const char* begin, const char* end) {
    sink.add(begin);
    write_items(sink, sequence.items);
    sink.add(end);
  };
  switch (sequence.type) {
    case SequenceType::list: return enclosed("[", "]");
    case SequenceType::tuple: return enclosed("(", sequence.items.size() == 1 ? ",)" : ")");
    case SequenceType::keys: return enclosed("dict_keys([", "])");
    case SequenceType::values: return enclosed("dict_values([", "])");
    case SequenceType::items: return enclosed("dict_items([", "])");
    case SequenceType::generator: return sink.add("<generator>");
    case SequenceType::range: break;
  }
  std::string text = "range(" + std::to_string(sequence.start) + ", " + std::to_string(sequence.stop);
  if (sequence.step != 1) text += ", " + std::to_string(sequence.step);
  sink.add(text + ")");
}

void write_repr(Sink& sink, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return sink.add("Undefined");
    case Kind::none: return sink.add("None");
    case Kind::string: return sink.add(jinja::quoted(value.as_string()));
    case Kind::sequence: return write_sequence(sink, value.as_sequence());
    case Kind::object: return sink.add(value.as_object()->repr(sink.machine()));
    case Kind::dict: {
      sink.add("{");
      bool first = true;
      for (const auto& [key, element] : value.as_dict().entries) {
        if (!first) sink.add(", ");
        first = false;
        write_repr(sink, key);
        sink.add(": ");
        write_repr(sink, element);
      }
      return sink.add("}");
    }
    default: return sink.add(number_text(value));
  }
}

class JsonWriter {
 public:
  JsonWriter(Sink& sink, const JsonStyle& style) : sink_(sink), style_(style) {}

  void write(const Value& value, int level) {
    switch (value.kind()) {
      case Kind::none: return sink_.add("null");
      case Kind::boolean:
      case Kind::integer:
      case Kind::real: return sink_.add(number(value));
      case Kind::string: return write_string(value.as_string());
      case Kind::dict: return write_dict(value.as_dict(), level);
      case Kind::sequence:
        if (value.as_sequence().type <= SequenceType::tuple) return write_list(value.as_sequence().items, level);
        break;
      default: break;
    }
    throw Fault{"a value of type " + value.type_name() + " cannot be written as JSON"};
  }

 private:
  static std::string number(const Value& value) {
    if (value.kind() == Kind::boolean) return value.as_boolean() ? "true" : "false";
    if (value.kind() != Kind::real || std::isfinite(value.as_real())) return number_text(value);
    return std::isnan(value.as_real()) ? "NaN" : value.as_real() < 0 ? "-Infinity" : "Infinity";
  }

  void write_string(std::string_view text) {
    std::string out = "\"";
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      const char32_t c = next_character(text, at);
      constexpr std::string_view kPlain = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
      const size_t i = c < 0x80 ? kPlain.find(static_cast<char>(c)) : kPlain.npos;
      if (i != kPlain.npos) {
        out += '\\';
        out += kLetters[i];
      } else if (c < 0x20 || (style_.ascii && c >= 0x7F)) {
        if (c < 0x10000) {
          append_unit(out, c);
        } else {
          append_unit(out, 0xD800 + ((c - 0x10000) >> 10));
          append_unit(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
        }
      } else {
        out += text.substr(begin, at - begin);
      }
    }
    sink_.add(out += '"');
  }
  static void append_unit(std::string& out, char32_t unit) {
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(unit) & 0xFFFFu);
    out += escape;
  }

  void new_line(int level) {
    if (!style_.indent) return;
    sink_.add("\n");
    for (int i = 0; i < level; ++i) sink_.add(*style_.indent);
  }

  void write_list(const Values& items, int level) {
    if (items.empty()) return sink_.add("[]");
    sink_.add("[");
    bool first = true;
    for (const Value& item : items) {
      if (!first) sink_.add(style_.item_separator);
      first = false;
      new_line(level + 1);
      write(item, level + 1);
    }
    new_line(level);
    sink_.add("]");
  }

  void write_dict(const Dict& dict, int level) {
    if (dict.entries.empty()) return sink_.add("{}");
    std::vector<const Dict::Entry*> entries;
    for (const Dict::Entry& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const Dict::Entry* a, const Dict::Entry* b) {
        return order(sink_.machine(), a->first, b->first) < 0;
      });
    }
    sink_.add("{");
    bool first = true;
    for (const Dict::Entry* entry : entries) {
      if (!first) sink_.add(style_.item_separator);
      first = false;
      new_line(level + 1);
      const Value& key = entry->first;
      if (key.is_string()) {
        write_string(key.as_string());
      } else if (key.is_number() || key.is_none()) {
        sink_.add("\"" + (key.is_none() ? "null" : number(key)) + "\"");
      } else {
        throw Fault{"a key of type " + key.type_name() + " cannot be written as JSON"};
      }
      sink_.add(style_.key_separator);
      write(entry->second, level + 1);
    }
    new_line(level);
    sink_.add("}");
  }

  Sink& sink_;
  const JsonStyle& style_;
};

}  // namespace

std::string to_text(Machine& machine, const Value& value) {
  if (value.is_string()) return value.as_string();
  return value.is_undefined() ? std::string() : repr(machine, value);
}

std::string repr(Machine& machine, const Value& value) {
  Sink sink(machine);
  write_repr(sink, value);
  return sink.take();
}

std::string to_json(Machine& machine, const Value& value, const JsonStyle& style) {
  Sink sink(machine);
  JsonWriter(sink, style).write(value, 0);
  return sink.take();
}

}  // namespace weft::jinja
