#include "runtime/text/chat_template.h"

#include <algorithm>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/jinja/evaluator.h"
#include "runtime/text/jinja/json_input.h"
#include "runtime/text/jinja/lexer.h"
#include "runtime/text/jinja/parser.h"
#include "runtime/text/jinja/text.h"

namespace weft {

using jinja::Value;

struct ChatTemplate::Parsed {
  std::string name;
  std::string source;  // normalized
  jinja::Block block;

  // "NAME: line 3, column 5: reason", and the line with a mark under the place.
  [[noreturn]] void fail(uint32_t at, const std::string& reason) const;
};

namespace {

// Without characters that would move a terminal's cursor: templates are untrusted.
std::string printable(std::string_view text) {
  std::string shown(text);
  const auto moves = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  std::replace_if(shown.begin(), shown.end(), moves, ' ');
  return shown;
}

}  // namespace

void ChatTemplate::Parsed::fail(uint32_t at, const std::string& reason) const {
  const std::string_view text = source;
  const size_t place = std::min<size_t>(at, text.size());
  const size_t newline = place == 0 ? text.npos : text.rfind('\n', place - 1);
  const size_t line_begin = newline == text.npos ? 0 : newline + 1;
  const size_t line_end = std::min(text.find('\n', place), text.size());
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(line_begin), '\n');
  const size_t column = jinja::character_count(text.substr(line_begin, place - line_begin));

  // For a long line, the part around the place.
  constexpr size_t kBefore = 60, kShown = 100;
  const auto shown = jinja::characters(text.substr(line_begin, line_end - line_begin));
  const size_t first = column > kBefore ? column - kBefore : 0;
  std::string excerpt;
  for (size_t i = first; i < std::min(shown.size(), first + kShown); ++i) excerpt += shown[i];

  throw Error(name + ": line " + std::to_string(line) + ", column " + std::to_string(column + 1) + ": " +
              printable(std::string_view(reason).substr(0, jinja::character_offset(reason, 1000))) + "\n    " +
              printable(excerpt) + "\n    " + std::string(column - first, ' ') + "^");
}

ChatTemplate::ChatTemplate(std::string_view source, std::string name) {
  auto parsed = std::make_unique<Parsed>();
  parsed->name = std::move(name);
  if (source.size() > jinja::kMaxSource) {
    throw Error(parsed->name + ": has " + std::to_string(source.size()) + " bytes; templates of at most " +
                std::to_string(jinja::kMaxSource) + " are read");
  }
  if (!is_utf8(source)) throw Error(parsed->name + ": is not UTF-8");
  parsed->source = jinja::normalize_newlines(source);
  try {
    parsed->block = jinja::parse(parsed->source);
  } catch (const jinja::SyntaxFault& fault) {
    parsed->fail(fault.at, fault.message);
  }
  parsed_ = std::move(parsed);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

const std::string& ChatTemplate::name() const {
  if (parsed_ == nullptr) throw Error("a chat template is used after it was moved from");
  return parsed_->name;
}

// Calls make_messages(machine) for the conversation, and runs the template.
template <class MakeMessages>
std::string ChatTemplate::render_with(const ChatOptions& options, MakeMessages make_messages) const {
  name();  // throws after a move
  jinja::Machine machine(options.now);
  jinja::Variables variables;
  try {
    variables["messages"] = make_messages(machine);
    variables["add_generation_prompt"] = Value::boolean(options.add_generation_prompt);
    variables["tools"] = options.tools.empty() ? Value::none() : read_json_value(machine, options.tools, "tools");
    variables["documents"] = Value::none();
    if (options.bos) variables["bos_token"] = machine.text(*options.bos);
    if (options.eos) variables["eos_token"] = machine.text(*options.eos);
    if (!options.variables.empty()) {
      const Value more = read_json_value(machine, options.variables, "variables");
      if (!more.is_dict()) throw Error("variables: is not a JSON object");
      for (const auto& [key, value] : more.as_dict().entries) variables[key.as_string()] = value;
    }
  } catch (const jinja::Fault& fault) {
    throw Error(parsed_->name + ": " + fault.message);
  }
  jinja::Evaluator evaluator(machine, variables);
  try {
    return evaluator.run(parsed_->block);
  } catch (const jinja::LocatedFault& fault) {
    parsed_->fail(fault.at, fault.message);
  }
}

std::string ChatTemplate::render(std::string_view messages, const ChatOptions& options) const {
  return render_with(options, [&](jinja::Machine& machine) {
    Value value = read_json_value(machine, messages, "messages");
    if (!value.is_sequence(jinja::SequenceType::list)) throw Error("messages: is not a JSON list");
    return value;
  });
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, const ChatOptions& options) const {
  return render_with(options, [&](jinja::Machine& machine) {
    jinja::Values all;
    for (const ChatMessage& message : messages) {
      if (!is_utf8(message.role) || !is_utf8(message.content)) throw Error("a message is not UTF-8");
      all.push_back(machine.dict({{machine.text("role"), machine.text(message.role)},
                                  {machine.text("content"), machine.text(message.content)}}));
    }
    return machine.list(std::move(all));
  });
}

std::string ChatTemplate::turn_end(const ChatOptions& options) const {
  constexpr std::string_view kReply = "the reply", kNext = "the next message";
  const std::vector<ChatMessage> messages = {
      {"user", "a message"}, {"assistant", std::string(kReply)}, {"user", std::string(kNext)}};
  std::string text;
  try {
    text = render(messages, options);
  } catch (const Error&) {
    return {};
  }
  const size_t reply = text.find(kReply);
  if (reply == text.npos) return {};
  const size_t begin = reply + kReply.size(), next = text.find(kNext, begin);
  if (next == text.npos) return {};
  const std::string between = text.substr(begin, next - begin);
  return between.substr(0, between.find_last_not_of(" \t") + 1);
}

}  // namespace weft
