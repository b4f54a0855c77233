// Chat templates: how a model expects a conversation to be written as text. They are Jinja templates, rendered
// here as the Python libraries do it that the models were made with: Jinja2's ImmutableSandboxedEnvironment with
// trim_blocks, lstrip_blocks and loop controls, and a `tojson` that writes plain JSON.
//
// Supported parts of Jinja: all expressions; if, for (with a filter and else), set, macro, call, filter, with,
// raw, break, continue; the filters, tests and methods that chat templates use. Integers have 64 bits. Anything
// else (include, block, a filter) is an error that names it. Templates are untrusted: they can neither run forever
// nor use unlimited memory (limits in runtime/text/jinja/budget.h).
// Language: https://jinja.palletsprojects.com/en/stable/templates/
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/files/checkpoint.h"

namespace weft {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant"
  std::string content;  // UTF-8
};

// Variables of the template. `messages`, `add_generation_prompt`, `tools` and `documents` always exist (the last
// two as none).
struct ChatOptions {
  bool add_generation_prompt = false;
  std::optional<std::string> bos, eos;  // texts of the tokens: bos_token and eos_token
  std::string tools;                    // JSON; empty: none
  std::string variables;                // JSON, an object: further variables, or replacements of those above
  std::optional<std::time_t> now;       // for strftime_now; nothing: the clock's time
};

// Immutable, so threads may share one.
class ChatTemplate {
 public:
  // `name` is for messages: where the template comes from. Throws Error "NAME: line L, column C: reason", with the
  // line below it, for a malformed template.
  ChatTemplate(std::string_view source, std::string name);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  const std::string& name() const;

  // The text of a conversation. `messages` is JSON: a list of objects, usually with "role" and "content". Throws
  // Error as above where the template cannot be rendered, or refuses the messages (raise_exception).
  std::string render(std::string_view messages, const ChatOptions& options = {}) const;
  std::string render(std::span<const ChatMessage> messages, const ChatOptions& options = {}) const;

  // What the template writes between a reply and the next message of the user, less trailing white space: a reply
  // that continues with this text has ended. Empty where the template does not show it: it rejects such messages,
  // or has only white space there. Where a token ends the turn, it is the text of that token and what comes after
  // it.
  std::string turn_end(const ChatOptions& options = {}) const;

 private:
  struct Parsed;
  template <class MakeMessages>
  std::string render_with(const ChatOptions& options, MakeMessages make_messages) const;

  std::unique_ptr<const Parsed> parsed_;
};

struct ChatTemplateSource {
  std::string text;
  std::string name;  // where it is from, for messages
};
// The templates in a directory, by variant; "default" is the one without a name. The files are those below.
std::map<std::string, ChatTemplateSource> chat_template_sources(const std::filesystem::path& directory);

// The template that a model comes with: GGUF metadata tokenizer.chat_template; or, in a directory,
// chat_template.jinja, chat_template.json, or "chat_template" of tokenizer_config.json (text, or a list of named
// ones). `variant` selects a template other than the default: tokenizer.chat_template.VARIANT,
// additional_chat_templates/VARIANT.jinja, or an entry of the list. Throws Error for a model without it (naming
// the variants that exist), and for a malformed template.
ChatTemplate find_chat_template(const Checkpoint& checkpoint, std::string_view variant = {});
ChatTemplate find_chat_template(const GgufFile& file, std::string_view variant = {});
ChatTemplate find_chat_template(const std::filesystem::path& directory, std::string_view variant = {});

}  // namespace weft
