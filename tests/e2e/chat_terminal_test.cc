// `weft chat` on a terminal, as somebody at a keyboard meets it.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/command.h"
#include "tests/errors.h"

namespace weft {
namespace {

using test::TemporaryFolder;

constexpr const char* kPasteOn = "\033[?2004h";
constexpr const char* kPasteOff = "\033[?2004l";

constexpr const char* kPlain =
    "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

// A terminal in which the program runs.
class Terminal {
 public:
  Terminal(const std::vector<std::string>& arguments, const std::string& kind) {
    std::vector<std::string> all = {test::weft_binary().string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& argument : all) argv.push_back(argument.data());
    argv.push_back(nullptr);
    child_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ == 0) {
      setenv("TERM", kind.c_str(), 1);
      setenv("HOME", "/nonexistent", 1);
      setenv("LC_ALL", "C", 1);
      execv(argv[0], argv.data());
      _exit(127);
    }
    tcgetattr(terminal_, &before_);
  }
  ~Terminal() {
    if (!over_) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }

  void type(std::string_view keys) {
    ASSERT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  // What the program writes, up to and including `text`; all, where it never comes.
  std::string until(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (seen_.find(text) == seen_.npos && std::chrono::steady_clock::now() < end && read_some()) {
    }
    const size_t at = seen_.find(text);
    EXPECT_NE(at, seen_.npos) << "'" << text << "' did not come; there was:\n" << seen_;
    const size_t count = at == seen_.npos ? seen_.size() : at + text.size();
    const std::string part = seen_.substr(0, count);
    seen_.erase(0, count);
    return part;
  }
  std::string prompt() { return until("> "); }

  // What is left, and the exit code (128 + n where signal n ended it).
  std::string rest(int& code) {
    while (read_some()) {
    }
    int status = 0;
    waitpid(child_, &status, 0);
    over_ = true;
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return std::exchange(seen_, {});
  }

  bool edits() const { return (settings().c_lflag & ICANON) == 0; }
  bool restored() const {
    const termios now = settings();
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
  }
  void signal(int number) const { kill(child_, number); }
  void resize(unsigned short columns) const {
    const winsize size{24, columns, 0, 0};
    ioctl(terminal_, TIOCSWINSZ, &size);
  }

 private:
  termios settings() const {
    termios now{};
    tcgetattr(terminal_, &now);
    return now;
  }
  bool read_some() {
    pollfd input{terminal_, POLLIN, 0};
    if (poll(&input, 1, 30000) <= 0) return false;
    char buffer[4096];
    const ssize_t count = read(terminal_, buffer, sizeof buffer);
    if (count <= 0) return false;  // EIO: the program has ended
    seen_.append(buffer, static_cast<size_t>(count));
    return true;
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  bool over_ = false;
  termios before_{};
  std::string seen_;
};

class ChatTerminal : public testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& source, const char* reply = "4") const {
    std::ofstream(folder_ / "template") << source;
    return {"chat", "--template", (folder_ / "template").string(), "--temp", "0", "-n", reply, "-t", "2"};
  }
  // The message that the program is given where these keys are pressed, one after the other; or what an expression of
  // templates makes of it.
  std::string message(const std::vector<std::string>& keys, const std::string& kind = "xterm",
                      const std::string& expression = "messages[0].content | tojson") const {
    // The error ends the program.
    Terminal terminal(arguments("{{ raise_exception('[' + (" + expression + ") + ']') }}"), kind);
    terminal.prompt();
    for (const std::string& key : keys) {
      terminal.type(key);
      if (key == "\003") terminal.prompt();  // input that waits after it would be dropped with it
    }
    std::string text = terminal.until("\n    {{");
    int code = 0;
    terminal.rest(code);
    EXPECT_EQ(code, 1);
    const size_t begin = text.find(" messages: [");
    const size_t end = text.rfind(']');
    if (begin == text.npos || end == text.npos) return "(no message) " + text;
    return nlohmann::json::parse(text.substr(begin + 12, end - begin - 12)).get<std::string>();
  }

  TemporaryFolder folder_;
};

const std::string kLeft = "\033[D", kRight = "\033[C", kUp = "\033[A", kDelete = "\033[3~", kHome = "\033[H",
                  kBack = "\177";
const std::string kPasted = "\033[200~", kPastedEnd = "\033[201~";

TEST_F(ChatTerminal, LinesAreEdited) {
  EXPECT_EQ(message({"helo", kLeft, "l", "\r"}), "hello");
  EXPECT_EQ(message({"xabc", kHome, kDelete, kRight, "-", "\005", "!", "\r"}), "a-bc!");
  EXPECT_EQ(message({"gr\u00FC\u00DFe \u20AC\U0001F600", kBack, kBack, "\u00E9", kLeft, kLeft, "!", "\r"}),
            "gr\u00FC\u00DFe! \u00E9");
  EXPECT_EQ(message({"a\xFF\xFEz\r"}), "a\uFFFD\uFFFDz");  // no UTF-8
  EXPECT_EQ(message({"one \\\r", "two\r"}), "one \ntwo");
  EXPECT_EQ(message({"away", "\003", "kept\r"}), "kept");
  EXPECT_EQ(message({"away \\\r", "too", "\003", "kept\r"}), "kept");
}

TEST_F(ChatTerminal, PastedLinesAreOneMessage) {
  EXPECT_EQ(message({"see: " + kPasted + "one\rtwo\nthree\r\r\tf\u00FCr\033[31m" + kPastedEnd, " end", "\r"}),
            "see: one\ntwo\nthree\n\n\tf\u00FCr[31m end");
  EXPECT_EQ(message({kPasted + "one\rtwo\r" + kPastedEnd, "\r"}), "one\ntwo");
  std::string text;
  for (int line = 0; line < 300; ++line) text += "line " + std::to_string(line) + "\n";
  std::string keys = text;
  std::replace(keys.begin(), keys.end(), '\n', '\r');
  // In parts, because a terminal holds only a limited amount for a program that reads slowly.
  std::vector<std::string> parts = {kPasted};
  for (size_t at = 0; at < keys.size(); at += 1000) parts.push_back(keys.substr(at, 1000));
  parts.push_back(kPastedEnd);
  parts.push_back("\r");
  text.pop_back();  // the newline at its end
  const std::string summary = "(messages[0].content | length ~ messages[0].content[-40:]) | tojson";
  EXPECT_EQ(message(parts, "xterm", summary), std::to_string(text.size()) + text.substr(text.size() - 40));
}

TEST_F(ChatTerminal, AConversation) {
  Terminal terminal(arguments(kPlain), "xterm");
  EXPECT_CONTAINS(terminal.prompt(), kPasteOn);
  EXPECT_TRUE(terminal.edits());
  terminal.type("Emma\r");
  std::string turn = terminal.until("reply ");
  EXPECT_CONTAINS(turn, std::string("Emma\r\n") + kPasteOff);
  EXPECT_CONTAINS(turn, "prompt   ");
  terminal.prompt();

  terminal.type("/help\r");
  const std::string help = terminal.prompt();
  for (const char* command : {"/help ", "/reset ", "/system TEXT", "/exit ", "//TEXT"}) EXPECT_CONTAINS(help, command);
  terminal.type("/nosuch\r");
  const std::string unknown = terminal.prompt();
  EXPECT_CONTAINS(unknown, "there is no command '/nosuch'; there are:");
  EXPECT_CONTAINS(unknown, "/system TEXT");

  terminal.type(kUp + kUp + kUp + "\r");  // Emma again: all but what is new is cached
  turn = terminal.until("reply ");
  EXPECT_CONTAINS(turn, "> Emma");
  EXPECT_CONTAINS(turn, "of them cached");
  terminal.prompt();

  terminal.type("away");
  terminal.until("away");
  terminal.type("\003");  // while a team of threads exists, any of which may get the signal
  EXPECT_CONTAINS(terminal.prompt(), "^C");
  terminal.type("\003");
  EXPECT_CONTAINS(terminal.prompt(), "(/exit ends the program)");
  terminal.resize(20);
  terminal.type("a line that is longer than that\r");
  terminal.until("reply ");
  terminal.prompt();
  terminal.type("\004");
  int code = -1;
  EXPECT_CONTAINS(terminal.rest(code), "peak memory");
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(terminal.restored());
}

TEST_F(ChatTerminal, AnInterruptEndsTheReplyOnly) {
  Terminal terminal(arguments(kPlain, "-1"), "xterm");
  terminal.prompt();
  terminal.type("Emma\r");
  terminal.until(kPasteOff);
  terminal.until(" ");
  EXPECT_TRUE(terminal.restored());
  terminal.type("\003");
  const std::string rest = terminal.prompt();
  EXPECT_CONTAINS(rest, "reply ");
  EXPECT_EQ(rest.find("is full"), rest.npos);
  terminal.type("/exit\r");
  int code = -1;
  EXPECT_CONTAINS(terminal.rest(code), "peak memory");
  EXPECT_EQ(code, 0);
}

TEST_F(ChatTerminal, SignalsLeaveTheTerminalAsItWas) {
  for (const int number : {SIGTERM, SIGHUP, SIGQUIT}) {
    Terminal terminal(arguments(kPlain), "xterm");
    terminal.prompt();
    terminal.type("abc");
    terminal.until("abc");
    terminal.signal(number);
    terminal.until(kPasteOff);
    int code = -1;
    terminal.rest(code);
    EXPECT_EQ(code, 128 + number);
    EXPECT_TRUE(terminal.restored()) << number;
  }
}

// A terminal that can do nothing gets lines as they come.
TEST_F(ChatTerminal, ADumbTerminal) {
  EXPECT_EQ(message({"helo", kBack, "p\r"}, "dumb"), "help");
  EXPECT_EQ(message({"h\u00E9\r"}, ""), "h\u00E9");
  Terminal terminal(arguments(kPlain), "dumb");
  EXPECT_EQ(terminal.prompt().find('\033'), std::string::npos);
  EXPECT_FALSE(terminal.edits());
  terminal.type("Emma\r");
  terminal.until("reply ");
  EXPECT_EQ(terminal.prompt().find('\033'), std::string::npos);
  terminal.type("/exit\r");
  int code = -1;
  terminal.rest(code);
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace weft
