// weft chat: a conversation in a terminal, with the model's own chat template.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>

#include "core/utf8.h"
#include "runtime/text/chat_template.h"
#include "tools/common.h"
#include "tools/generate.h"
#include "tools/line_editor.h"

namespace weft::tools {

namespace {

struct ChatFlags {
  ModelFlags model;
  GenerationFlags generation;
  std::string system, template_file, variant, variables, render;
  bool add_generation_prompt = false;
  bool escape = false;
};

// Ctrl-C ends a reply, not the program.
volatile sig_atomic_t interrupted = 0;

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  sigaction(SIGINT, &action, nullptr);  // without SA_RESTART, so that a read waiting for a line ends
}

// Messages and commands from standard input, as UTF-8.
class LineReader {
 public:
  LineReader() : terminal_(::isatty(STDIN_FILENO) == 1) {
    if (LineEditor::usable()) editor_ = std::make_unique<LineEditor>();
  }

  // Nothing at the end of the input. A line that ends with a backslash continues in the next one.
  std::optional<std::string> next() {
    std::string text;
    while (auto line = editor_ ? typed_line(text) : read_line(text.empty() ? "> " : ". ")) {
      text += *line;
      if (text.ends_with('\\')) {
        text.back() = '\n';
        continue;
      }
      if (editor_ && !text.empty()) editor_->remember(text);
      return text;
    }
    return text.empty() ? std::nullopt : std::optional(text);
  }

 private:
  static constexpr const char* kHint = "(/exit ends the program)\n";

  // Ctrl-C discards what was typed, and the `before` lines that continue in this one.
  std::optional<std::string> typed_line(std::string& before) {
    while (true) {
      LineEditor::Line line = editor_->read(before.empty() ? "> " : ". ");
      if (line.end == LineEditor::End::line) return std::move(line.text);
      if (line.end == LineEditor::End::end_of_input) return std::nullopt;
      if (line.text.empty() && before.empty()) print(kHint);
      before.clear();
    }
  }

  void prompt_with(const char* text) const {
    if (terminal_) print(text);
  }

  std::optional<std::string> read_line(const char* prompt) {
    prompt_with(prompt);
    while (true) {
      if (const size_t newline = pending_.find('\n'); newline != pending_.npos) {
        std::string line = pending_.substr(0, newline);
        pending_.erase(0, newline + 1);
        return clean(line);
      }
      char buffer[4096];
      const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (count > 0) {
        pending_.append(buffer, static_cast<size_t>(count));
      } else if (count < 0 && errno == EINTR) {
        note_interrupt();
      } else if (count < 0) {
        throw Error("cannot read standard input");
      } else if (pending_.empty()) {
        prompt_with("\n");
        return std::nullopt;
      } else {
        return clean(std::exchange(pending_, {}));
      }
    }
  }

  void note_interrupt() {
    if (!terminal_) {  // nobody could type /exit
      signal(SIGINT, SIG_DFL);
      raise(SIGINT);
    }
    interrupted = 0;
    pending_.clear();
    prompt_with((std::string("\n") + kHint + "> ").c_str());
  }

  static std::string clean(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return make_utf8(line);
  }

  bool terminal_;
  std::unique_ptr<LineEditor> editor_;  // null: lines are read as they come
  std::string pending_;
};

ChatTemplate open_template(const ChatFlags& flags, const Checkpoint& checkpoint) {
  if (!flags.template_file.empty()) return ChatTemplate(read_file(flags.template_file), flags.template_file);
  return find_chat_template(checkpoint, flags.variant);
}

ChatOptions template_options(const ChatFlags& flags, const Tokenizer& tokenizer) {
  ChatOptions options;
  if (tokenizer.bos()) options.bos = tokenizer.token_text(*tokenizer.bos());
  if (tokenizer.eos()) options.eos = tokenizer.token_text(*tokenizer.eos());
  options.variables = flags.variables;
  return options;
}

// The messages so far, and the cache that holds most of them.
class Conversation {
 public:
  Conversation(const ChatFlags& flags, const ChatTemplate& chat_template, const Tokenizer& tokenizer,
               Generator& generator)
      : flags_(flags),
        template_(chat_template),
        tokenizer_(tokenizer),
        generator_(generator),
        logprobs_(flags.generation, &tokenizer),
        options_(template_options(flags, tokenizer)),
        turn_end_(chat_template.turn_end(options_)) {
    options_.add_generation_prompt = true;
    reset(flags.escape ? unescape(flags.system) : flags.system);
  }

  void reset(const std::string& system) {
    system_ = system;
    messages_.clear();
    if (!system.empty()) messages_.push_back({"system", system});
  }
  void reset() { reset(std::string(system_)); }

  // Writes the reply to a user's message.
  void say(const std::string& message) {
    messages_.push_back({"user", message});
    const std::vector<int32_t> ids = encode();
    const auto room = static_cast<size_t>(generator_.context());
    if (ids.size() > room) {
      messages_.pop_back();
      std::fprintf(stderr,
                   "weft: the conversation has %zu tokens with this message, and the context has room for %zu "
                   "(-c); the message is left out. /reset begins a new conversation\n",
                   ids.size(), room);
      return;
    }
    const size_t kept = keep_common(ids);
    interrupted = 0;
    const Stopwatch prefilling;
    const bool complete = prefill(generator_, std::span(ids).subspan(kept), [] { return interrupted != 0; });
    if (!complete) {
      messages_.pop_back();
      std::fprintf(stderr, "weft: interrupted; the message is left out\n");
      return;
    }
    const double prefill_seconds = prefilling.seconds();
    const Stopwatch replying;
    const Generator::Reply reply = answer();
    const double reply_seconds = replying.seconds();
    std::fprintf(stderr, "prompt   %zu tokens, %zu of them cached; evaluated %s\n", ids.size(), kept,
                 rate(ids.size() - kept, prefill_seconds).c_str());
    std::fprintf(stderr, "reply    %s\n", rate(reply.generated, reply_seconds).c_str());
    if (reply.end == Generator::End::context) {
      std::fprintf(stderr, "weft: the context of %d tokens is full (-c); /reset begins a new conversation\n",
                   generator_.context());
    }
  }

 private:
  // Special tokens in the text become the model's special tokens; BOS comes first if the model expects one and the
  // template does not write it.
  std::vector<int32_t> encode() const {
    std::vector<int32_t> ids = tokenizer_.encode(template_.render(messages_, options_), false, true);
    const std::vector<int32_t> begin = tokenizer_.encode("", true);
    const bool wants_bos = !begin.empty() && begin[0] == tokenizer_.bos();
    if (wants_bos && (ids.empty() || ids[0] != begin[0])) ids.insert(ids.begin(), begin[0]);
    if (ids.empty()) throw Error(template_.name() + ": produces no text from the messages");
    generator_.check(ids);
    return ids;
  }

  // Trims the cache to what it has in common with `ids`, less the last token, whose logits are needed.
  size_t keep_common(const std::vector<int32_t>& ids) {
    const std::vector<int32_t>& cached = generator_.cached();
    const auto common = std::mismatch(ids.begin(), ids.end(), cached.begin(), cached.end()).first - ids.begin();
    return generator_.trim(std::min(static_cast<size_t>(common), ids.size() - 1));
  }

  Generator::Reply answer() {
    std::string text;
    GenerationRequest request = flags_.generation.request();
    if (!turn_end_.empty()) request.stop.push_back(turn_end_);
    request.on_token = [&](int32_t, const TokenLogprobs* of_token) {
      if (of_token != nullptr) logprobs_.write(*of_token);
    };
    request.on_text = [&](const std::string& piece) {
      print(piece);
      text += piece;
    };
    request.interrupted = [] { return interrupted != 0; };
    const Generator::Reply reply = generator_.generate(request);
    print("\n");
    messages_.push_back({"assistant", text});
    return reply;
  }

  const ChatFlags& flags_;
  const ChatTemplate& template_;
  const Tokenizer& tokenizer_;
  Generator& generator_;
  const LogprobsWriter logprobs_;
  ChatOptions options_;
  std::string turn_end_;  // of the template
  std::string system_;
  std::vector<ChatMessage> messages_;
};

constexpr const char* kCommands =
    "  /help         this list\n"
    "  /reset        begin a new conversation\n"
    "  /system TEXT  begin a new conversation with this system message\n"
    "  /exit         end the program (so does Ctrl-D)\n"
    "  //TEXT        a message that begins with a slash\n"
    "A line that ends with a backslash continues in the next one. Ctrl-C ends a reply.\n";

// False if the program is to end.
bool obey(const std::string& line, Conversation& conversation) {
  const size_t blank = std::min(line.find(' '), line.size());
  const std::string command = line.substr(0, blank);
  const std::string rest = line.substr(std::min(blank + 1, line.size()));
  if (command == "/exit") return false;
  if (command == "/reset") {
    conversation.reset();
  } else if (command == "/system") {
    conversation.reset(rest);
  } else if (command == "/help") {
    std::fputs(kCommands, stderr);
  } else {
    std::fprintf(stderr, "weft: there is no command %s; there are:\n%s", in_quotes(command).c_str(), kCommands);
  }
  return true;
}

void render(const ChatFlags& flags) {
  const auto checkpoint = open_file(flags.model);
  const ChatTemplate chat_template = open_template(flags, *checkpoint);
  const auto tokenizer = load_tokenizer(*checkpoint, {.pre_tokenizer = flags.model.pre_tokenizer});
  ChatOptions options = template_options(flags, *tokenizer);
  options.add_generation_prompt = flags.add_generation_prompt;
  print(chat_template.render(read_file(flags.render), options));
}

void chat(ChatFlags flags) {
  complete(flags.generation, flags.escape);
  if (!flags.render.empty()) return render(flags);
  const OpenModel open = open_model(flags.model);
  const ChatTemplate chat_template = open_template(flags, *open.file);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*open.file, flags.model);
  const Device device = open_device(flags.model);
  Generator generator = make_generator(open.model, device, flags.model, flags.generation, tokenizer.get());
  Conversation conversation(flags, chat_template, *tokenizer, generator);
  catch_interrupts();
  LineReader lines;
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    if (line->starts_with("//")) {
      conversation.say(line->substr(1));
    } else if (!line->starts_with("/")) {
      conversation.say(*line);
    } else if (!obey(*line, conversation)) {
      break;
    }
  }
  print_settings(device, flags.model, flags.generation);
  print_memory();
}

}  // namespace

void add_chat(CLI::App& app) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model, using its own chat template");
  command->footer(
      "Reads messages from standard input, a line each (one that ends with a backslash continues in the next), and\n"
      "writes the replies. /help lists the commands: /reset begins a new conversation, /system TEXT one with another\n"
      "system message, /exit ends the program; a message that begins with a slash is written with two. Ctrl-C ends a\n"
      "reply. On a terminal, lines can be edited, the arrow keys bring back earlier ones (of this run; nothing is\n"
      "stored), and pasted text is one message, however many lines it has.\n"
      "Messages go into the template as they are: where they hold the text of a special token (\"</s>\"), the model "
      "gets\n"
      "that token.");
  add_model_flag(*command, flags->model);
  command->add_option("--system", flags->system, "System message")->type_name("TEXT");
  CLI::Option* file =
      command->add_option("--template", flags->template_file, "Jinja template to use in place of the model's own")
          ->type_name("FILE");
  command->add_option("--variant", flags->variant, "Name of one of the model's templates, instead of its default one")
      ->type_name("NAME")
      ->excludes(file);
  command
      ->add_option("--variables", flags->variables, "Additional variables for the template, such as {\"tools\": [...]}")
      ->type_name("JSON");
  CLI::Option* render_flag = command->add_option(
      "--render", flags->render,
      "Only print the text that the template makes of the messages in this JSON file (-: standard input)");
  render_flag->type_name("FILE");
  command
      ->add_flag("--add-generation-prompt", flags->add_generation_prompt,
                 "With --render: also the beginning of the next reply")
      ->needs(render_flag);
  add_predict_flag(*command, flags->generation,
                   "The most tokens of a reply; -1: until the model ends it or the context is full");
  add_generation_flags(*command, flags->generation);
  add_escape_flag(*command, flags->escape, "--system and --stop");
  add_tokenizer_flag(*command, flags->model);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  command->callback([flags] { chat(*flags); });
}

}  // namespace weft::tools
