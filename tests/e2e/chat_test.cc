// `weft chat` as a user meets it, with the model that comes with Weft.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/command.h"
#include "tests/errors.h"

namespace weft {
namespace {

using test::CommandResult;
using test::run_weft;
using test::TemporaryFolder;

// Keeps every text as it is, so that a turn's tokens begin with those of the turns before.
constexpr const char* kPlain =
    "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

struct Figures {
  size_t tokens = 0, cached = 0, evaluated = 0;
};

// Of every turn, from "prompt   58 tokens, 30 of them cached; evaluated 28 tokens in ...".
std::vector<Figures> figures(const std::string& err) {
  std::vector<Figures> all;
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) {
    Figures turn;
    if (std::sscanf(line.c_str(), "prompt %zu tokens, %zu of them cached; evaluated %zu", &turn.tokens, &turn.cached,
                    &turn.evaluated) == 3) {
      all.push_back(turn);
    }
  }
  return all;
}

class Chat : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return (folder_ / name).string();
  }
  // Greedy, `reply` tokens per turn.
  CommandResult talk(const std::string& input, std::vector<std::string> more = {}, const char* reply = "8",
                     const std::string& source = kPlain) const {
    std::vector<std::string> arguments = {
        "chat", "--template", file("template", source), "--temp", "0", "-n", reply, "--precision", "exact"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_weft(arguments, input);
  }

  TemporaryFolder folder_;
};

TEST_F(Chat, ATurnEvaluatesOnlyWhatIsNew) {
  const CommandResult both = talk("Pray, who is she?\nIndeed!\n");
  ASSERT_EQ(both.code, 0) << both.err;
  const std::vector<Figures> turns = figures(both.err);
  ASSERT_EQ(turns.size(), 2u) << both.err;
  EXPECT_EQ(turns[0].cached, 0u);
  EXPECT_EQ(turns[0].evaluated, turns[0].tokens);
  // The reply's last token was chosen and not evaluated; where it meets the next text, tokens may be others.
  EXPECT_GE(turns[1].cached, turns[0].tokens + 5);
  EXPECT_EQ(turns[1].evaluated, turns[1].tokens - turns[1].cached);
  EXPECT_LT(turns[1].evaluated, turns[1].tokens / 2);

  // The second reply is that of the whole conversation evaluated at once.
  const CommandResult first = talk("Pray, who is she?\n");
  ASSERT_EQ(both.out.rfind(first.out, 0), 0u) << both.out;
  const std::string reply = first.out.substr(0, first.out.size() - 1);
  const nlohmann::json messages = {{{"role", "user"}, {"content", "Pray, who is she?"}},
                                   {{"role", "assistant"}, {"content", reply}},
                                   {{"role", "user"}, {"content", "Indeed!"}}};
  const CommandResult text = run_weft({"chat", "--template", file("template", std::string(kPlain).substr(15)),
                                       "--render", file("messages.json", messages.dump()), "--add-generation-prompt"});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out, "user:Pray, who is she?\nassistant:" + reply + "\nuser:Indeed!\nassistant:");
  const CommandResult whole = run_weft(
      {"run", "-f", file("prompt", text.out), "--temp", "0", "-n", "8", "--precision", "exact", "--no-display-prompt"});
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(both.out, first.out + whole.out);
}

// By the template in its file: a reply is a paragraph, and the next message follows it.
TEST_F(Chat, TheShippedModelChats) {
  const CommandResult chat = run_weft({"chat", "-s", "1", "-n", "120", "--precision", "exact"},
                                      "Pray, who is she?\nIndeed!\nWhat do you think of Mr. Darcy?\n");
  ASSERT_EQ(chat.code, 0) << chat.err;
  const std::vector<Figures> turns = figures(chat.err);
  ASSERT_EQ(turns.size(), 3u) << chat.err;
  EXPECT_EQ(std::count(chat.out.begin(), chat.out.end(), '\n'), 3) << chat.out;  // replies are a line each
  std::istringstream replies(chat.out), notes(chat.err);
  for (std::string reply; std::getline(replies, reply);) EXPECT_GT(reply.size(), 5u) << chat.out;
  size_t fewest = 120;
  for (std::string line; std::getline(notes, line);) {
    size_t tokens = 0;
    if (std::sscanf(line.c_str(), "reply %zu", &tokens) == 1) fewest = std::min(fewest, tokens);
  }
  EXPECT_LT(fewest, 120u) << chat.err;  // it ended by itself
  EXPECT_GT(turns[1].cached, turns[0].tokens);
  EXPECT_GT(turns[2].cached, turns[1].tokens);
  const CommandResult text =
      run_weft({"chat", "--add-generation-prompt", "--render", "-"},
               R"([{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}])");
  EXPECT_EQ(text.out, "<s>Who?\nMe.\n");
}

// Where a model has no token for it, the text that the template writes before the next message ends the reply, and is
// not part of it.
TEST_F(Chat, TheTemplateTellsWhereATurnEnds) {
  const char* until_of =
      "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %} of {% endif %}{% endfor %}";
  const char* endless = "{% for m in messages %}{{ m.content }}{% endfor %}";
  const std::string whole = talk("It was a\n", {}, "12", endless).out;
  const size_t end = whole.find(" of");
  ASSERT_NE(end, std::string::npos) << whole;
  const CommandResult twice = talk("It was a\n", {}, "12", until_of);
  EXPECT_EQ(twice.out, whole.substr(0, end) + "\n") << twice.err;
  // A begin of it that comes to nothing is shown.
  const char* until_other =
      "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %} of Xerxes {% endif %}{% endfor %}";
  EXPECT_EQ(talk("It was a\n", {}, "12", until_other).out, whole);
}

TEST_F(Chat, Commands) {
  const CommandResult all =
      talk("One\n/reset\nOne\n/system Be brief.\nOne\n//x\n/nosuch thing\nTwo \\\nlines\n/exit\nThree\n", {}, "4");
  ASSERT_EQ(all.code, 0) << all.err;
  const std::vector<Figures> turns = figures(all.err);
  ASSERT_EQ(turns.size(), 5u) << all.err;  // nothing after /exit
  EXPECT_EQ(turns[1].tokens, turns[0].tokens);
  EXPECT_EQ(turns[1].evaluated, 1u);  // all of it is cached; the last token's logits are wanted
  EXPECT_GT(turns[2].tokens, turns[0].tokens);
  EXPECT_GT(turns[3].cached, turns[2].tokens);
  EXPECT_CONTAINS(all.err, "there is no command '/nosuch'");
  const CommandResult with_system = talk("One\n", {"--system", "Be brief."}, "4");
  EXPECT_EQ(figures(with_system.err).at(0).tokens, turns[2].tokens);
  EXPECT_CONTAINS(all.out, with_system.out);
}

TEST_F(Chat, SpecialTokens) {
  const auto tokens = [&](const std::string& source, const std::string& message) {
    const CommandResult result = talk(message + "\n", {}, "1", source);
    EXPECT_EQ(result.code, 0) << result.err;
    return figures(result.err).at(0).tokens;
  };
  const size_t plain = tokens("{{ messages[0].content }}", "Emma");
  EXPECT_EQ(tokens("{{ bos_token }}{{ messages[0].content }}", "Emma"), plain);  // BOS comes once
  EXPECT_EQ(tokens("{{ messages[0].content }}", "Emma</s>"), plain + 1);
}

// The reply ends before the text, also for the next turn, whose tokens are those of a conversation without it.
TEST_F(Chat, StopStringsAreNoPartOfTheConversation) {
  const std::string whole = talk("Emma\n", {}, "24").out;
  ASSERT_GT(whole.size(), 30u);
  const std::string stop = whole.substr(15, 6), kept = whole.substr(0, whole.find(stop));
  const CommandResult cut = talk("Emma\nIndeed!\n", {"--stop", "nothing like this", "--stop", stop}, "24");
  ASSERT_EQ(cut.code, 0) << cut.err;
  EXPECT_EQ(cut.out.substr(0, kept.size() + 1), kept + "\n");
  const nlohmann::json messages = {{{"role", "user"}, {"content", "Emma"}},
                                   {{"role", "assistant"}, {"content", kept}},
                                   {{"role", "user"}, {"content", "Indeed!"}}};
  const CommandResult text = run_weft({"chat", "--template", file("template", std::string(kPlain).substr(15)),
                                       "--render", file("messages.json", messages.dump()), "--add-generation-prompt"});
  const CommandResult next = run_weft({"run", "-f", file("prompt", text.out), "--temp", "0", "-n", "24", "--precision",
                                       "exact", "--no-display-prompt", "--stop", stop});
  EXPECT_EQ(cut.out, kept + "\n" + next.out);
  EXPECT_EQ(run_weft({"chat", "--stop", ""}).code, 2);
  // Escapes, in --system too.
  const CommandResult refused =
      talk("x\n", {"-e", "--system", "a\\tb"}, "1", "{{ raise_exception(messages | tojson) }}");
  EXPECT_CONTAINS(refused.err, R"("content": "a\tb")");
}

TEST_F(Chat, LogprobsOfEveryReply) {
  const std::string path = (folder_ / "logprobs").string();
  const CommandResult result = talk("One\nTwo\n", {"--logprobs", "1", "--logprobs-file", path}, "4");
  ASSERT_EQ(result.code, 0) << result.err;
  std::istringstream lines(test::read_file(path));
  std::string text;
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    text += nlohmann::json::parse(line)["text"].get<std::string>() + (count == 3 ? "\n" : "");
  }
  EXPECT_EQ(count, 8u);
  EXPECT_EQ(text + "\n", result.out);
}

TEST_F(Chat, HelpListsTheCommands) {
  const CommandResult result = talk("/help\n");
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "");
  for (const char* command : {"/help ", "/reset ", "/system TEXT", "/exit ", "//TEXT"}) {
    EXPECT_CONTAINS(result.err, command);
  }
}

TEST_F(Chat, AFullContextIsSaid) {
  const CommandResult full = talk("Pray, who is she?\n" + std::string(200, '?') + "\nYes\n", {"-c", "48"}, "-1");
  ASSERT_EQ(full.code, 0) << full.err;
  EXPECT_CONTAINS(full.err, "the context of 48 tokens is full (-c); /reset begins a new conversation");
  EXPECT_CONTAINS(full.err, "and the context has room for 48 (-c); the message is left out");
  EXPECT_EQ(figures(full.err).size(), 1u);
}

TEST_F(Chat, TemplatesThatFail) {
  std::string bytes = test::read_file(test::shipped_model());
  const std::string key = "tokenizer.chat_template";
  bytes.replace(bytes.find(key), key.size(), "tokenizer.chat_tempLATE");
  const CommandResult none = run_weft({"chat", "-m", file("none.gguf", bytes)}, "Hello\n");
  EXPECT_EQ(none.code, 1);
  EXPECT_CONTAINS(none.err, "none.gguf: has no chat template");
  const CommandResult bad = talk("Hello\n", {}, "1", "a\n{{ messages[0].role | nosuch }}");
  EXPECT_EQ(bad.code, 1);
  EXPECT_CONTAINS(bad.err, "template: line 2, column 23: the filter 'nosuch' is not known\n");
  EXPECT_CONTAINS(bad.err, "\n    {{ messages[0].role | nosuch }}\n                          ^\n");
  const CommandResult refused = talk("Hello\n", {}, "1", "{{ raise_exception('no ' + messages[0].role) }}");
  EXPECT_EQ(refused.code, 1);
  EXPECT_CONTAINS(refused.err, "the template refuses these messages: no user");
  EXPECT_EQ(run_weft({"chat", "--add-generation-prompt"}).code, 2);
  EXPECT_EQ(run_weft({"chat", "--template", "a", "--variant", "b"}).code, 2);
  const CommandResult broken = run_weft({"chat", "--template", file("t", "x"), "--render", "-"}, "[{]");
  EXPECT_EQ(broken.code, 1);
  EXPECT_CONTAINS(broken.err, "messages: byte 3: is not JSON");
}

TEST_F(Chat, RenderPrintsTheText) {
  const std::string messages = R"([{"role": "user", "content": "Grüße"}])";
  const CommandResult text =
      run_weft({"chat", "--template", file("t", "{{ bos_token }}{{ messages | tojson }}{{ tools }}{{ eos_token }}"),
                "--variables", R"({"tools": [1]})", "--render", "-"},
               messages);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out, "<s>" + messages + "[1]</s>");
  EXPECT_EQ(text.err, "");
}

TEST_F(Chat, TheExamplesOfTheGuideRun) {
  std::istringstream guide(test::read_file(test::source_dir() / "docs/generate.md"));
  size_t examples = 0;
  bool in_code = false;
  for (std::string line; std::getline(guide, line);) {
    if (line.starts_with("```")) in_code = !in_code;
    if (!in_code || line.find("weft chat ") == line.npos) continue;
    ++examples;
    const std::string out = (folder_ / "out").string();
    const std::string command = "cd '" + test::source_dir().string() + "' && PATH='" +
                                test::weft_binary().parent_path().string() + "':$PATH && " + line + " >'" + out +
                                "' 2>'" + out + ".err'";
    EXPECT_EQ(std::system(command.c_str()), 0) << line << "\n" << test::read_file(out + ".err");
    if (line.find("--render") != line.npos) {
      EXPECT_EQ(test::read_file(out), "<s>System: A dialogue.\n\nUser: Pray, who is she?\n\nAssistant:");
    }
  }
  EXPECT_GE(examples, 2u);
}

// Bytes that are not UTF-8 do not end the conversation.
TEST_F(Chat, AnyBytesCanBeSaid) {
  const CommandResult result = talk("a\xff\xfe z\r\n", {}, "1");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(figures(result.err).size(), 1u);
}

TEST_F(Chat, AnInterruptEndsTheReplyOnly) {
  const std::string in = (folder_ / "in").string(), out = (folder_ / "out").string(), err = (folder_ / "err").string();
  ASSERT_EQ(std::system(("mkfifo '" + in + "'").c_str()), 0);
  const std::string chat = "'" + test::weft_binary().string() + "' chat --template '" + file("template", kPlain) +
                           "' --temp 0 -t 1 <'" + in + "' >'" + out + "' 2>'" + err + "' & pid=$!; ";
  // The reply would go on until the context is full; then the program reads on, and obeys /exit.
  const std::string script =
      chat + "exec 3>'" + in + "'; echo Emma >&3; until [ -s '" + out +
      "' ]; do kill -0 $pid || exit 9; sleep 0.02; done; kill -INT $pid; until grep -q ^reply '" + err +
      "'; do kill -0 $pid || exit 8; sleep 0.02; done; echo /exit >&3; wait $pid";
  std::ofstream(folder_ / "script") << script;
  const int status = std::system(("sh '" + (folder_ / "script").string() + "'").c_str());
  const std::string errors = test::read_file(err);
  EXPECT_EQ(status, 0) << errors;
  EXPECT_EQ(figures(errors).size(), 1u) << errors;
  EXPECT_EQ(errors.find("is full"), std::string::npos) << errors;
  EXPECT_CONTAINS(errors, "peak memory");
}

}  // namespace
}  // namespace weft
