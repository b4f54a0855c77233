#include "tools/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/utf8.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

// A terminal with this support puts pasted text between two sequences, so that its newlines do not act as Enter.
constexpr std::string_view kPasteOn = "\033[?2004h", kPasteOff = "\033[?2004l", kPasteEnd = "\033[201~";
constexpr size_t kRemembered = 1000;  // lines

constexpr std::array kSignals = {SIGINT, SIGTSTP, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
int signal_pipe[2] = {-1, -1};  // handlers may run on any thread; the waiting one reads this

void note_signal(int signal) {
  const int error = errno;
  const auto byte = static_cast<unsigned char>(signal);
  static_cast<void>(!::write(signal_pipe[1], &byte, 1));
  errno = error;
}

std::wstring widened(std::string_view text) {
  std::wstring wide;
  const std::string valid = make_utf8(text);
  for (std::string_view rest = valid; !rest.empty();) {
    const size_t length = first_utf8_sequence(rest).length;
    wide += static_cast<wchar_t>(decode_utf8(rest.substr(0, length)));
    rest.remove_prefix(length);
  }
  return wide;
}

std::string narrowed(std::wstring_view wide) {
  std::string text;
  for (const wchar_t c : wide) append_utf8(text, static_cast<char32_t>(c));
  return text;
}

}  // namespace

struct LineEditor::State {
  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  bool interrupted = false;
  std::string typed;  // before an interrupt

  static State& of(EditLine* editor) {
    void* state = nullptr;
    el_wget(editor, EL_CLIENTDATA, &state);
    return *static_cast<State*>(state);
  }

  // Waits for input: false if an interrupt came first.
  bool wait() {
    while (true) {
      pollfd sources[] = {{STDIN_FILENO, POLLIN, 0}, {signal_pipe[0], POLLIN, 0}};
      if (::poll(sources, 2, -1) < 0 && errno != EINTR) return true;  // the read will report why
      unsigned char signal = 0;
      if (::read(signal_pipe[0], &signal, 1) == 1) {
        if (signal == SIGINT) {
          const LineInfoW* line = el_wline(editor);
          typed = narrowed({line->buffer, static_cast<size_t>(line->lastchar - line->buffer)});
          interrupted = true;
          return false;
        }
        if (signal == SIGWINCH) {
          el_resize(editor);
        } else {
          pass_on(signal);
        }
      } else if (sources[0].revents != 0) {
        return true;
      }
    }
  }

  // What the signal does to other programs; this one may continue after a stop.
  void pass_on(int signal) {
    print(kPasteOff);
    el_wset(editor, EL_PREP_TERM, 0);
    struct sigaction before{};
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, &before);
    raise(signal);
    sigaction(signal, &before, nullptr);
    el_wset(editor, EL_PREP_TERM, 1);
    print(kPasteOn);
    el_wset(editor, EL_REFRESH);
  }

  // -1: no more input
  int next_byte() {
    if (!wait()) return -1;
    unsigned char byte = 0;
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    return count == 1 ? byte : -1;
  }

  // One character of UTF-8; bytes that form none are U+FFFD.
  int next_character(wchar_t* c) {
    std::string bytes;
    while (true) {
      const int byte = next_byte();
      if (byte < 0) return interrupted ? -1 : 0;
      bytes += static_cast<char>(byte);
      const Utf8Sequence sequence = first_utf8_sequence(bytes);
      if (sequence.kind == Utf8Kind::incomplete) continue;
      *c = sequence.kind == Utf8Kind::complete ? static_cast<wchar_t>(decode_utf8(bytes)) : L'\uFFFD';
      return 1;
    }
  }

  unsigned char paste() {
    std::string text;
    while (!text.ends_with(kPasteEnd)) {
      const int byte = next_byte();
      if (byte < 0) return CC_EOF;
      text += static_cast<char>(byte);
    }
    text.resize(text.size() - kPasteEnd.size());
    std::string kept;  // terminals send a newline like Enter; other control characters would affect the screen
    for (const char c : text) {
      if (c == '\r') {
        kept += '\n';
      } else if (c == '\n' || c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F)) {
        kept += c;
      }
    }
    if (!kept.empty()) el_winsertstr(editor, widened(kept).c_str());
    return CC_REFRESH;
  }

  void bind_keys() {
    const auto bind = [this](const wchar_t* key, const wchar_t* function) {
      el_wset(editor, EL_BIND, key, function, nullptr);
    };
    el_wset(
        editor, EL_ADDFN, L"weft-paste", L"Insert pasted text",
        +[](EditLine* of_editor, wint_t) -> unsigned char { return of(of_editor).paste(); });
    bind(L"\\e[200~", L"weft-paste");
    bind(L"^R", L"em-inc-search-prev");
    // What terminals send for these keys, whatever $TERM says.
    for (const wchar_t* home : {L"\\e[H", L"\\eOH", L"\\e[1~", L"\\e[7~"}) bind(home, L"ed-move-to-beg");
    for (const wchar_t* end : {L"\\e[F", L"\\eOF", L"\\e[4~", L"\\e[8~"}) bind(end, L"ed-move-to-end");
    bind(L"\\e[3~", L"ed-delete-next-char");
    bind(L"\\e[1;5C", L"em-next-word");
    bind(L"\\e[1;5D", L"ed-prev-word");
  }
};

bool LineEditor::usable() {
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1 && terminal != nullptr && *terminal != '\0' &&
         std::string_view(terminal) != "dumb";
}

LineEditor::LineEditor() : state_(std::make_unique<State>()) {
  // Text is UTF-8 here, even if the environment does not say so.
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
  if (signal_pipe[0] < 0 && ::pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) throw Error("cannot make a pipe");
  state_->editor = el_init("weft", stdin, stdout, stderr);
  state_->history = history_winit();
  if (state_->editor == nullptr || state_->history == nullptr) throw Error("cannot edit lines on this terminal");
  EditLine* editor = state_->editor;
  HistEventW event;
  history_w(state_->history, &event, H_SETSIZE, static_cast<int>(kRemembered));
  el_wset(editor, EL_CLIENTDATA, state_.get());
  el_wset(editor, EL_PROMPT, +[](EditLine* of_editor) { return State::of(of_editor).prompt.data(); });
  el_wset(editor, EL_EDITOR, L"emacs");
  el_wset(editor, EL_SIGNAL, 0);
  el_wset(editor, EL_HIST, history_w, state_->history);
  el_wset(editor, EL_GETCFN, +[](EditLine* of_editor, wchar_t* c) { return State::of(of_editor).next_character(c); });
  state_->bind_keys();
  el_source(editor, nullptr);  // the user's ~/.editrc
}

LineEditor::~LineEditor() {
  if (state_->editor != nullptr) el_end(state_->editor);
  if (state_->history != nullptr) history_wend(state_->history);
}

LineEditor::Line LineEditor::read(const std::string& prompt) {
  state_->prompt = widened(prompt);
  state_->interrupted = false;
  std::array<struct sigaction, kSignals.size()> before;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before[i]);
    if (before[i].sa_handler == SIG_IGN) continue;  // as nohup requests
    struct sigaction action{};
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;  // libedit's own writes continue
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, nullptr);
  }
  el_wset(state_->editor, EL_PREP_TERM, 1);  // before the prompt invites input
  print(kPasteOn);
  int count = 0;
  const wchar_t* typed = el_wgets(state_->editor, &count);
  print(kPasteOff);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
  for (unsigned char late = 0; ::read(signal_pipe[0], &late, 1) == 1;) {
  }

  if (state_->interrupted) {
    print("^C\n");
    return {End::interrupt, std::move(state_->typed)};
  }
  if (typed == nullptr || count <= 0) {
    print("\n");
    return {End::end_of_input, {}};
  }
  std::string text = narrowed({typed, static_cast<size_t>(count)});
  while (text.ends_with('\n')) text.pop_back();  // Enter, and those at the end of what was pasted
  return {End::line, std::move(text)};
}

void LineEditor::remember(std::string_view text) {
  HistEventW event;
  history_w(state_->history, &event, H_ENTER, widened(text).c_str());
}

}  // namespace weft::tools
