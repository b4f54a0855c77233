// The `weft` command as a user meets it: exit codes, what goes to stdout and what to stderr, what its errors say.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/plan/cpus.h"
#include "runtime/plan/plan.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/gpu_device.h"
#include "tests/logits_error.h"
#include "tests/test_data.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using test::run_weft;
using test::TemporaryFolder;
using test::weft_binary;
using Result = test::CommandResult;

void expect_usage_error(const std::vector<std::string>& arguments, const std::string& part) {
  const Result result = run_weft(arguments);
  EXPECT_EQ(result.code, 2) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_CONTAINS(result.err, "weft: error: ");
  EXPECT_CONTAINS(result.err, part);
}

void expect_failure(const std::vector<std::string>& arguments, const std::string& part) {
  const Result result = run_weft(arguments);
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_EQ(result.err.rfind("weft: error: ", 0), 0u) << result.err;
  EXPECT_CONTAINS(result.err, part);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST(Cli, HelpIsComplete) {
  const Result all = run_weft({"--help"});
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.err, "");
  for (const char* command : {"run", "chat", "logits", "inspect", "explain", "tokenize", "perplexity", "compare"}) {
    EXPECT_CONTAINS(all.out, command);
    const Result help = run_weft({command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_CONTAINS(help.out, "--model");
  }
  const Result run = run_weft({"run", "--help"});
  for (const char* flag : {"-m,",
                           "-p,",
                           "-f,",
                           "--tokens",
                           "-n,",
                           "--temp",
                           "--top-k",
                           "--top-p",
                           "--min-p",
                           "--repeat-penalty",
                           "-s,",
                           "-t,",
                           "-c,",
                           "-e,",
                           "--stop",
                           "--logprobs",
                           "--logprobs-file",
                           "--device",
                           "--precision",
                           "--no-display-prompt"}) {
    EXPECT_CONTAINS(run.out, flag);
  }
  // What -p and -f take is said wherever they are.
  for (const char* command : {"run", "logits", "tokenize", "trace"}) {
    const std::string help = run_weft({command, "--help"}).out;
    EXPECT_CONTAINS(help, "taken literally: without -e, \\n is a backslash and an n");
    EXPECT_CONTAINS(help, "-e,--escape");
  }
  for (const char* command : {"run", "logits", "tokenize", "trace", "perplexity", "compare"}) {
    const std::string help = run_weft({command, "--help"}).out;
    EXPECT_CONTAINS(help, "byte order mark (BOM)");
    EXPECT_CONTAINS(help, "CRLF");
  }
  EXPECT_EQ(run_weft({"--version"}).code, 0);
}

TEST(Cli, WrongUsage) {
  expect_usage_error({}, "subcommand");
  expect_usage_error({"jog"}, "jog");
  expect_usage_error({"run", "--no-such-flag"}, "--no-such-flag");
  expect_usage_error({"run", "-n", "many"}, "many");
  expect_usage_error({"run", "-n", "-2"}, "-2");
  expect_usage_error({"run", "-t", "0"}, "0");
  expect_usage_error({"run", "-p", "a", "--tokens", "1"}, "excludes");
  expect_usage_error({"run", "--precision", "sloppy"}, "sloppy");
  expect_usage_error({"run", "--device", "abacus"}, "no device 'abacus'");
  expect_usage_error({"logits", "--tokens", "1"}, "--output");
  expect_usage_error({"logits", "-o", "/dev/null"}, "--tokens");
  expect_usage_error({"tokenize"}, "--ids");
  expect_usage_error({"perplexity"}, "--file");
}

TEST(Cli, FilesThatCannotBeRead) {
  TemporaryFolder folder;
  std::ofstream(folder / "short.gguf") << "GGUF";
  std::ofstream(folder / "text.gguf") << "not a model at all, but long enough to look like one";
  expect_failure({"run", "-m", (folder / "absent.gguf").string()}, "absent.gguf");
  expect_failure({"inspect", (folder / "absent.gguf").string()}, "No such file");
  expect_failure({"run", "-m", (folder / "short.gguf").string()}, "short.gguf");
  expect_failure({"explain", "-m", (folder / "text.gguf").string()}, "text.gguf");
  expect_failure({"run", "-m", (folder / ".").string()}, "weft-cli-");
  std::ofstream(folder / "pointer.gguf") << "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n";
  std::ofstream(folder / "old.gguf") << std::string("GGUF\1\0\0\0\0\0\0\0\0\0\0\0", 16);
  std::ofstream(folder / "model.bin") << "PK\3\4";
  for (const char* command : {"run", "inspect", "tokenize", "explain"}) {
    std::vector<std::string> arguments = {command, "-m", (folder / "pointer.gguf").string()};
    if (arguments[0] == "run" || arguments[0] == "tokenize") arguments.insert(arguments.end(), {"-p", "a"});
    expect_failure(arguments, "is a Git LFS pointer to a file of 7 bytes");
    arguments[2] = (folder / "old.gguf").string();
    expect_failure(arguments, "is a GGUF file of version 1");
  }
  expect_failure({"inspect", (folder / "model.bin").string()}, "is a zip archive, as PyTorch's .bin");
}

class CliModel : public testing::Test {
 protected:
  void SetUp() override {
    const auto found = test::shared_data("data/models/stories260K/stories260K.gguf");
    if (!found) GTEST_SKIP() << "shared data is absent: data/models/stories260K (see WEFT_SHARED)";
    model_ = found->string();
  }

  std::vector<std::string> with_model(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin() + 1, {"-m", model_});
    return arguments;
  }
  Result run(const std::vector<std::string>& arguments, const std::string& input = "") const {
    return run_weft(with_model(arguments), input);
  }

  std::string model_;
};

TEST_F(CliModel, GreedyTextIsTheExpectedOne) {
  WEFT_SHARED_OR_SKIP(expected, "data/models/stories260K/expected_greedy_n200.txt");
  std::vector<std::string> devices = {"cpu"};
  if (test::opencl_device()) devices.push_back("opencl");
  for (const std::string& device : devices)
    for (const char* precision : {"exact", "fast"}) {
      const Result result =
          run({"run", "-p", "", "--temp", "0", "-n", "200", "--precision", precision, "--device", device});
      EXPECT_EQ(result.code, 0) << result.err;
      EXPECT_EQ(result.out, test::read_file(expected)) << device << " " << precision;
      for (const char* figure : {"load", "prefill", "decode", "tokens/s", "peak memory", precision}) {
        EXPECT_CONTAINS(result.err, figure);
      }
      EXPECT_EQ(result.err.find('\r'), std::string::npos);  // no progress in a pipe
    }
}

TEST_F(CliModel, PromptsFromEverywhere) {
  TemporaryFolder folder;
  std::ofstream(folder / "prompt.txt") << "Once upon a time\n";
  const std::vector<std::string> rest = {"--temp", "0", "-n", "12"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "run");
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return arguments;
  };
  const Result text = run(with({"-p", "Once upon a time"}));
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out.rfind("Once upon a time, there was", 0), 0u) << text.out;
  EXPECT_EQ(run(with({"-f", (folder / "prompt.txt").string()})).out, text.out);
  EXPECT_EQ(run(with({"-f", "-"}), "Once upon a time\n").out, text.out);
  const Result hidden = run(with({"-p", "Once upon a time", "--no-display-prompt"}));
  EXPECT_EQ("Once upon a time" + hidden.out, text.out);
  const Result dash = run(with({"-p", "-v --help [a] 'b' \"c\""}));
  EXPECT_EQ(dash.code, 0) << dash.err;
  EXPECT_EQ(dash.out.rfind("-v --help [a] 'b' \"c\"", 0), 0u) << dash.out;
  // Bytes that are not UTF-8 go through the tokenizer's byte tokens; what comes out is UTF-8.
  const Result broken = run(with({"-p", "Once \xff\xfe upon"}));
  EXPECT_EQ(broken.code, 0) << broken.err;
  EXPECT_CONTAINS(broken.out, "\xEF\xBF\xBD");
  expect_failure(with_model(with({"-f", (folder / "absent.txt").string()})), "absent.txt: No such file");
}

TEST_F(CliModel, Escapes) {
  const auto ids = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"tokenize"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Result result = run(all);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  };
  EXPECT_EQ(ids({"-e", "-p", R"(a\nb\tc\rd\\e\'f\"g\x41\xE2\x82\xac)"}),
            ids({"-p", "a\nb\tc\rd\\e'f\"gA\xE2\x82\xAC"}));
  // Unknown escapes stay.
  EXPECT_EQ(ids({"--escape", "-p", R"(\q \x4 \xZZ \x4g \)"}), ids({"-p", R"(\q \x4 \xZZ \x4g \)"}));
  EXPECT_NE(ids({"-p", R"(a\nb)"}), ids({"-p", "a\nb"}));
  EXPECT_EQ(run({"run", "-e", "-p", R"(a\nb)", "-n", "0"}).out, "a\nb\n");
}

TEST_F(CliModel, FilesAreTakenAsTheyAre) {
  TemporaryFolder folder;
  const std::string path = (folder / "prompt").string();
  const auto tokenized = [&](const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
    return run({"tokenize", "-f", path});
  };
  const Result plain = tokenized("a\n");
  EXPECT_EQ(plain.err, "");
  EXPECT_EQ(plain.out, run({"tokenize", "-p", "a"}).out);
  EXPECT_EQ(tokenized("a\r\n").out, plain.out);  // one newline, whichever it is
  EXPECT_EQ(tokenized("a\n\n").out, run({"tokenize", "-p", "a\n"}).out);
  EXPECT_EQ(tokenized(R"(a\nb)").out, run({"tokenize", "-p", R"(a\nb)"}).out);
  const Result mark = tokenized(
      "\xEF\xBB\xBF"
      "a");
  EXPECT_EQ(mark.out, run({"tokenize", "-p",
                           "\xEF\xBB\xBF"
                           "a"})
                          .out);
  EXPECT_CONTAINS(mark.err, "prompt begins with a byte order mark, which is part of the text");
  const Result windows = tokenized("a\r\nb\r\n");
  EXPECT_EQ(windows.out, run({"tokenize", "-p", "a\r\nb"}).out);
  EXPECT_CONTAINS(windows.err, "prompt has lines that end in CRLF; the carriage returns are part of the text");
  for (const std::string& content : {std::string("\xFF\xFE"
                                                 "a\0",
                                                 4),
                                     std::string("\xFE\xFF\0"
                                                 "a",
                                                 4)}) {
    std::ofstream(path, std::ios::binary) << content;
    expect_failure(with_model({"tokenize", "-f", path}), "prompt: is UTF-16, by its first bytes; convert it to UTF-8");
  }
}

TEST_F(CliModel, StopStrings) {
  const auto text = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"run", "-p", "Once upon a time", "--temp", "0", "-n", "80", "--no-display-prompt"};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  };
  const std::string whole = text({});
  const auto expected = [&](const std::vector<std::string>& stops) {
    size_t cut = whole.size() - 1;
    for (const std::string& stop : stops) cut = std::min(cut, whole.find(stop));
    return whole.substr(0, cut) + "\n";
  };
  ASSERT_NE(whole.find(", there"), whole.npos) << whole;
  for (size_t at = 0; at + 9 < whole.size(); at += 17) {
    const std::string one = whole.substr(at, 3), two = whole.substr(at + 1, 8);
    EXPECT_EQ(text({"--stop", one}), expected({one}));
    EXPECT_EQ(text({"--stop", two, "--stop", one}), expected({one, two}));
  }
  EXPECT_EQ(text({"--stop", "[a, b]", "--stop", "--help", "--stop", "{}"}), whole);
  EXPECT_EQ(text({"--stop", whole.substr(whole.size() - 4, 3) + "never"}), whole);  // held back to the end
  EXPECT_EQ(text({"-e", "--stop", R"(\x20)"}), expected({" "}));
  EXPECT_EQ(text({"--stop", R"(\x20)"}), whole);
  // Not in the prompt, nor across its end.
  EXPECT_EQ(run({"run", "-p", "Once upon a time", "--temp", "0", "-n", "5", "--stop", "time,"})
                .out.rfind("Once upon a time, there", 0),
            0u);
  expect_usage_error(with_model({"run", "-p", "a", "--stop", ""}), "a stop string is empty");
  expect_usage_error(with_model({"run", "-p", "a", "--stop", "\xFF"}), "is not UTF-8");
  expect_usage_error(with_model({"run", "--tokens", "1", "--stop", "a"}), "--stop");
}

// Against the logits of the same positions.
TEST_F(CliModel, Logprobs) {
  TemporaryFolder folder;
  const std::string path = (folder / "logprobs").string(), logits_path = (folder / "logits").string();
  const Result result =
      run({"run", "-p", "Once upon a time", "-n", "20", "--temp", "1.3", "--repeat-penalty", "1.3", "-s", "3",
           "--precision", "exact", "--no-display-prompt", "--logprobs", "3", "--logprobs-file", path});
  ASSERT_EQ(result.code, 0) << result.err;
  std::vector<nlohmann::json> lines;
  std::istringstream content(test::read_file(path));
  std::string ids = "1,403,407,261,378", text;
  for (std::string line; std::getline(content, line);) {
    lines.push_back(nlohmann::json::parse(line));
    ids += "," + std::to_string(lines.back()["id"].get<int>());
    text += lines.back()["text"].get<std::string>();
  }
  ASSERT_EQ(lines.size(), 20u);
  EXPECT_EQ(text + "\n", result.out);
  ASSERT_EQ(run({"logits", "--tokens", ids, "-o", logits_path, "--precision", "exact"}).code, 0);
  const std::vector<float> logits = test::read_floats(logits_path);
  constexpr size_t kVocab = 512;
  for (size_t i = 0; i < lines.size(); ++i) {
    const float* row = logits.data() + (4 + i) * kVocab;
    double sum = 0;
    for (size_t v = 0; v < kVocab; ++v) sum += std::exp(static_cast<double>(row[v]));
    const auto want = [&](const nlohmann::json& of) { return row[of["id"].get<size_t>()] - std::log(sum); };
    EXPECT_NEAR(lines[i]["logprob"].get<double>(), want(lines[i]), 1e-3);
    const nlohmann::json& best = lines[i]["top_logprobs"];
    ASSERT_EQ(best.size(), 3u);
    EXPECT_EQ(best[0]["id"].get<int>(), std::max_element(row, row + kVocab) - row);
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(best[k]["logprob"].get<double>(), want(best[k]), 1e-3);
      EXPECT_TRUE(k == 0 || best[k]["logprob"].get<double>() <= best[k - 1]["logprob"].get<double>());
      EXPECT_TRUE(best[k]["text"].is_string());
    }
  }

  // On stderr; without text if there is no tokenizer; at most the vocabulary.
  const Result tokens = run({"run", "--tokens", "1", "--temp", "0", "-n", "2", "--logprobs", "100000"});
  std::istringstream err(tokens.err);
  std::string line;
  ASSERT_TRUE(std::getline(err, line));
  const nlohmann::json first = nlohmann::json::parse(line);
  EXPECT_EQ(first["id"], 403);
  EXPECT_TRUE(first["text"].is_null());
  EXPECT_EQ(first["top_logprobs"].size(), kVocab);
  EXPECT_EQ(tokens.out, "1 403 407\n");
  ASSERT_EQ(run({"run", "--tokens", "1", "--temp", "0", "-n", "1", "--logprobs", "0", "--logprobs-file", path}).code,
            0);
  EXPECT_TRUE(nlohmann::json::parse(test::read_file(path))["top_logprobs"].empty());
  // Tokens of a stop string were chosen too; bytes that make no character are listed.
  ASSERT_EQ(run({"run", "-p", "Once upon a time", "--temp", "0", "-n", "9", "--stop", " there was", "--logprobs", "512",
                 "--logprobs-file", path})
                .out,
            "Once upon a time,\n");
  const std::string all = test::read_file(path);
  EXPECT_GE(std::count(all.begin(), all.end(), '\n'), 3);
  EXPECT_CONTAINS(all, R"("text":"<s>")");
  EXPECT_CONTAINS(all, R"("bytes":[255])");
  EXPECT_CONTAINS(all, R"("text":"\n")");

  expect_usage_error(with_model({"run", "-p", "a", "--logprobs", "-1"}), "--logprobs");
  expect_usage_error(with_model({"run", "-p", "a", "--logprobs", "x"}), "--logprobs");
  expect_usage_error(with_model({"run", "-p", "a", "--logprobs-file", path}), "requires --logprobs");
  expect_failure(with_model({"run", "-p", "a", "--logprobs", "1", "--logprobs-file", (folder / "no" / "f").string()}),
                 "f: cannot open: No such file");
}

TEST_F(CliModel, TokensInTokensOut) {
  const Result result = run({"run", "--tokens", "1", "--temp", "0", "-n", "5", "--precision", "exact"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "1 403 407 261 378 432\n");
  EXPECT_EQ(run({"run", "--tokens", "1, 403", "--temp", "0", "-n", "2", "--no-display-prompt"}).out, "407 261\n");
  EXPECT_EQ(run({"run", "--tokens", "1", "-n", "0"}).out, "1\n");
  expect_usage_error(with_model({"run", "--tokens", "1,two"}), "'two' is not a token id");
  expect_usage_error(with_model({"run", "--tokens", ""}), "--tokens");
  expect_usage_error(with_model({"run", "--tokens", "1,,2"}), "'' is not a token id");
  expect_usage_error(with_model({"run", "--tokens", "1,2,"}), "last comma");
  expect_failure(with_model({"run", "--tokens", "1,512"}), "token 512 is outside the vocabulary of 512");
  expect_usage_error(with_model({"run", "--tokens", "99999999999"}), "99999999999");
}

TEST_F(CliModel, TheContextEndsTheText) {
  const Result result = run({"run", "-p", "Once upon a time", "--temp", "0", "-c", "16", "--ignore-eos"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_CONTAINS(result.err, "the context of 16 tokens is full");
  expect_failure(with_model({"run", "--tokens", "1,2,3,4,5", "-c", "4"}), "the prompt has 5 tokens");
}

TEST_F(CliModel, ContextsBeyondTheTraining) {
  const std::string warning = "more than the 2048 that the model was trained for";
  TemporaryFolder folder;
  const std::string text = (folder / "text").string();
  std::string ids = "1";
  for (int i = 0; i < 2048; ++i) ids += ",403";
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"run", "-p", "a", "-n", "1", "-c", "2049"},
           {"explain", "-c", "2049"},
           {"chat", "--template", (test::source_dir() / "examples/plain.jinja").string(), "-c", "2049"},
           {"logits", "--tokens", ids, "-o", "/dev/null"},
           {"trace", "--tokens", ids, "-o", text}}) {
    const Result result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_CONTAINS(result.err, warning);
  }
  std::ofstream(text, std::ios::trunc) << "a";
  EXPECT_CONTAINS(run({"perplexity", "-f", text, "-c", "2049"}).err, warning);
  for (const char* context : {"0", "2048"}) {
    const Result result = run({"run", "-p", "a", "-n", "1", "-c", context});
    EXPECT_EQ(result.err.find("trained"), std::string::npos) << result.err;
  }
}

// Under a limit of the address space, what the message says fits does fit.
TEST_F(CliModel, ACacheThatDoesNotFit) {
  TemporaryFolder folder;
  const auto limited = [&](const std::string& context, const std::string& arguments = "run -p a -n 3") {
    Result result;
    const std::string err = (folder / "err").string();
    const std::string command = "ulimit -v 400000 && exec '" + weft_binary().string() + "' " + arguments + " -m '" +
                                model_ + "' -t 1 -c " + context + " >/dev/null 2>'" + err + "'";
    const int status = std::system(command.c_str());
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result.err = test::read_file(err);
    return result;
  };
  const Result refused = limited("16777216");
  EXPECT_EQ(refused.code, 1);
  // 5 layers of keys and values of 4 heads of 8 floats, and the positions.
  EXPECT_CONTAINS(refused.err, "the KV cache of a context of 16777216 tokens takes " +
                                   std::to_string(size_t{16777216} * 5 * (2 * 4 * 8 * 4 + 4)) + " bytes");
  const size_t end = refused.err.find(" tokens fit (-c)");
  ASSERT_NE(end, std::string::npos) << refused.err;
  const size_t begin = refused.err.rfind(' ', end - 1) + 1;
  const std::string fits = refused.err.substr(begin, end - begin);
  EXPECT_GT(std::stoi(fits), 10000);
  EXPECT_EQ(limited(fits).code, 0) << fits;
  EXPECT_EQ(limited("16777216", "explain").code, 1);
  EXPECT_CONTAINS(limited("16777216", "explain").err, "\nweft: error: the KV cache of a context of 16777216 tokens");
}

// The shipped model, whose token " of" is renamed to one that is known to end a turn and has `type`.
std::string with_end_token(char type) {
  std::string bytes = test::read_file(test::shipped_model());
  const std::string text = std::string("\5\0\0\0\0\0\0\0", 8) + "\u2581of", key = "tokenizer.ggml.";
  const size_t at = bytes.find(text), tokens = bytes.find(key + "tokens") + key.size() + 6;
  bytes.replace(at + 8, 5, "[EOT]");
  size_t id = 0;  // the texts before it: of the array, after its type, the type of its elements and their number
  for (size_t next = tokens + 16; next < at; ++id) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + next, 8);
    next += 8 + length;
  }
  bytes[bytes.find(key + "token_type") + key.size() + 10 + 16 + 4 * id] = type;
  return bytes;
}

TEST(Cli, AnEndTokenOfAnyTypeEndsTheText) {
  const TemporaryFolder folder;
  const auto text = [&](const std::string& model, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"run", "-m",     model, "-p",          "It was a", "-n",
                                          "12",  "--temp", "0",   "--precision", "exact"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = run_weft(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  };
  const std::string whole = text(test::shipped_model().string());
  const size_t end = whole.find(" of");
  ASSERT_NE(end, std::string::npos) << whole;
  std::ofstream(folder / "t") << "{{ messages[-1].content }}";
  for (const char type : {1, 3, 4}) {
    const std::string model = (folder / "model.gguf").string();
    std::ofstream(model, std::ios::binary) << with_end_token(type);
    EXPECT_EQ(text(model), whole.substr(0, end) + "\n") << int{type};
    std::string without = whole;
    for (size_t at = without.find(" of"); at != without.npos; at = without.find(" of")) without.erase(at, 3);
    EXPECT_EQ(text(model, {"--ignore-eos"}), without) << int{type};
    const Result reply = run_weft(
        {"chat", "-m", model, "--template", (folder / "t").string(), "-n", "12", "--temp", "0", "--precision", "exact"},
        "It was a\n");
    EXPECT_EQ("It was a" + reply.out, whole.substr(0, end) + "\n") << int{type};
    EXPECT_EQ(run_weft({"tokenize", "-m", model, "-p", "[EOT]", "--parse-special", "--no-bos"}).out.find(' '),
              std::string::npos)
        << int{type};
  }
}

TEST(Cli, ASharedFileWithAnEndTokenOfTypeNormal) {
  WEFT_SHARED_OR_SKIP(model, "data/field/im_end_normal.gguf");
  const Result result = run_weft({"run", "-m", model.string(), "-p", "Once upon a time", "-n", "200", "--temp", "0"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.find("<|im_end|>"), std::string::npos) << result.out;
  EXPECT_LT(result.out.size(), 100u) << result.out;
}

// Every command that cuts text into tokens says where how to is a guess, and takes it from --pre-tokenizer.
TEST(Cli, AGuessOfThePreTokenizerIsSaid) {
  WEFT_SHARED_OR_SKIP(path, "data/field/pre_missing.gguf");
  const TemporaryFolder folder;
  const std::string model = path.string(), text = (folder / "text").string(), out = (folder / "out").string();
  std::ofstream(text) << "Hello there, it is 12345 o'clock. " << std::string(40, '!');
  std::ofstream(folder / "t") << "{{ messages[-1].content }}";
  const std::vector<std::vector<std::string>> commands = {
      {"run", "-m", model, "-f", text, "-n", "2"},
      {"chat", "-m", model, "--template", (folder / "t").string(), "-n", "2"},
      {"logits", "-m", model, "-f", text, "-o", out},
      {"perplexity", "-m", model, "-f", text, "-c", "8"},
      {"tokenize", "-m", model, "-f", text},
      {"trace", "-m", model, "-f", text, "-o", out}};
  for (std::vector<std::string> command : commands) {
    const Result guess = run_weft(command, "Hello\n");
    EXPECT_EQ(guess.code, 0) << command[0] << guess.err;
    EXPECT_CONTAINS(guess.err, "weft: warning: " + model +
                                   ": key 'tokenizer.ggml.pre': is absent, so how text is cut "
                                   "into words is a guess; --pre-tokenizer NAME says how");
    command.insert(command.end(), {"--pre-tokenizer", "llama-bpe"});
    const Result said = run_weft(command, "Hello\n");
    EXPECT_EQ(said.code, 0) << command[0] << said.err;
    EXPECT_EQ(said.err.find("warning"), std::string::npos) << command[0] << said.err;
    command.back() = "nosuch";
    expect_usage_error(command, "no pre-tokenizer 'nosuch': there are default, gpt-2");
  }
  EXPECT_EQ(run_weft({"tokenize", "-m", model, "--ids", "1,2"}).err, "");  // nothing is cut
}

TEST(Cli, AFileThatIsOnlyATokenizerWarnsToo) {
  test::GgufWriter writer;
  writer.string("tokenizer.ggml.model", "gpt2")
      .add("tokenizer.ggml.tokens", GgufType::array, test::array({"1", "11"}))
      .add("tokenizer.ggml.merges", GgufType::array, test::array({"1 1"}));
  const test::TempFile temporary(writer.bytes());
  const std::string file = temporary.path().string();
  const Result guess = run_weft({"tokenize", "-m", file, "-p", "11"});
  EXPECT_EQ(guess.out, "1\n");
  EXPECT_CONTAINS(guess.err, "weft: warning: " + file + ": key 'tokenizer.ggml.pre': is absent, so how text is");
  const Result said = run_weft({"tokenize", "-m", file, "-p", "11", "--pre-tokenizer", "qwen2"});
  EXPECT_EQ(said.out, "0 0\n");
  EXPECT_EQ(said.err, "");
}

TEST_F(CliModel, SeedsAreRepeatable) {
  const auto sample = [&](const char* seed) {
    return run({"run", "-p", "Once", "-n", "40", "--temp", "1.2", "-s", seed, "-t", "1"}).out;
  };
  const std::string first = sample("7");
  EXPECT_EQ(sample("7"), first);
  EXPECT_NE(sample("8"), first);
  const std::string greedy = run({"run", "-p", "Once", "-n", "20", "--temp", "0"}).out;
  EXPECT_EQ(run({"run", "-p", "Once", "-n", "20", "--temp", "1.5", "--top-p", "0", "-s", "5"}).out, greedy);
  EXPECT_EQ(run({"run", "-p", "Once", "-n", "20", "--temp", "-1"}).out, greedy);
  for (const char* bad : {"-1", "1.5", "nan", "inf"}) {
    expect_usage_error(with_model({"run", "--top-p", bad, "-n", "1"}), "--top-p");
    expect_usage_error(with_model({"run", "--min-p", bad, "-n", "1"}), "--min-p");
  }
  expect_usage_error(with_model({"run", "--repeat-penalty", "0", "-n", "1"}), "--repeat-penalty");
  expect_usage_error(with_model({"run", "--temp", "nan", "-n", "1"}), "--temp");
}

// `weft ARGUMENTS | head -c 1` ends as SIGPIPE ends other programs, and says nothing of it.
void expect_quiet_end(const std::vector<std::string>& arguments) {
  TemporaryFolder folder;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int err = open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(ends[1], STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    std::vector<std::string> all = {weft_binary().string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& argument : all) argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  close(ends[0]);  // before the program writes anything
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE) << arguments[0] << ": " << status;
  const std::string err = test::read_file(folder / "err");
  EXPECT_EQ(err.find("error"), std::string::npos) << err;
  EXPECT_EQ(err.find("roken pipe"), std::string::npos) << err;
}

TEST(Cli, AReaderThatGoesAwayEndsEveryCommandQuietly) {
  TemporaryFolder folder;
  const std::string text = (folder / "text").string();
  std::ofstream(text) << "It is a truth universally acknowledged, that a single man in possession of a good fortune";
  const std::vector<std::vector<std::string>> commands = {
      {"--help"},
      {"--help-all"},
      {"--version"},
      {"run", "--help"},
      {"run", "-p", "It", "-n", "3"},
      {"run", "--tokens", "1,2", "-n", "3"},
      {"explain"},
      {"explain", "--json"},
      {"inspect"},
      {"tokenize", "-p", "It"},
      {"perplexity", "-f", text, "-c", "16"},
      {"compare", "-f", text, "-c", "16", "--precision", "exact,fast"},
      {"logits", "-p", "It", "-o", "/dev/stdout"},
      {"run", "-p", "It", "-n", "3", "--logprobs", "1", "--logprobs-file", "/dev/stdout"}};
  for (const std::vector<std::string>& command : commands) expect_quiet_end(command);
  for (const std::vector<std::string>& command : commands) {
    const Result full = run_weft(command, "", "/dev/full");
    EXPECT_EQ(full.code, 1) << command[0];
    EXPECT_CONTAINS(full.err, "No space left on device");
  }
}

TEST_F(CliModel, LogitsOfEveryPosition) {
  WEFT_SHARED_OR_SKIP(expected, "data/models/stories260K/expected_logits40.f32");
  // The greedy path that the recording followed: BOS and the first 39 ids.
  const std::string ids =
      "1,403,407,261,378,432,383,286,261,376,298,315,421,395,317,426,338,401,396,267,337,410,408,419,292,411,322,"
      "265,"
      "282,295,433,426,385,328,432,358,394,261,370,432";
  TemporaryFolder folder;
  const std::vector<float> want = test::read_floats(expected);
  for (const char* chunk : {"1", "7", "64"}) {
    const fs::path out = folder / "out.f32";
    const Result result =
        run({"logits", "--tokens", ids, "-o", out.string(), "--chunk", chunk, "--precision", "exact"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "");
    const std::vector<float> got = test::read_floats(out);
    EXPECT_LE(test::relative_error(got, want), 1e-4) << "chunk " << chunk;
  }
  expect_failure(with_model({"logits", "--tokens", "1", "-o", (folder / "no" / "out").string()}), "No such file");
  // What was there stays until the new file is complete.
  std::ofstream(folder / "kept") << "kept";
  expect_failure(with_model({"logits", "--tokens", "99999", "-o", (folder / "kept").string()}), "99999");
  EXPECT_EQ(test::read_file(folder / "kept"), "kept");
}

TEST_F(CliModel, TokenizeAndBack) {
  const Result ids = run({"tokenize", "-p", "Once upon a time"});
  EXPECT_EQ(ids.code, 0) << ids.err;
  EXPECT_EQ(ids.out, "1 403 407 261 378\n");
  EXPECT_EQ(run({"tokenize", "--no-bos", "-p", "Once upon a time"}).out, "403 407 261 378\n");
  EXPECT_EQ(run({"tokenize", "--ids", "1,403,407,261,378"}).out, "Once upon a time\n");
  EXPECT_EQ(run({"tokenize", "-p", ""}).out, "1\n");
  expect_failure(with_model({"tokenize", "--ids", "512"}), "512");
  EXPECT_EQ(run({"tokenize", "-p", "</s>", "--parse-special"}).out, "1 2\n");
  EXPECT_NE(run({"tokenize", "-p", "</s>"}).out, "1 2\n");

  TemporaryFolder folder;
  const fs::path list = folder / "list";
  std::ofstream(list) << R"(["Once upon a time", "", [1, 403, 407, 261, 378], []])";
  EXPECT_EQ(run({"tokenize", "--batch", list.string()}).out, R"([[1,403,407,261,378],[1],"Once upon a time",""])"
                                                             "\n");
  std::ofstream(list) << R"(["a", 3])";
  expect_failure(with_model({"tokenize", "--batch", list.string()}), "list: element 1 is neither a text nor a list");
}

TEST(Cli, TokenizerExamplesOfTheGuide) {
  const std::string guide = test::read_file(test::source_dir() / "docs/generate.md");
  EXPECT_CONTAINS(guide, "weft tokenize -p 'Pray, who is she?'\n");
  EXPECT_CONTAINS(guide, "weft tokenize --ids 1,677,1979,339,1989,466,368,333,2013\n");
  EXPECT_EQ(run_weft({"tokenize", "-p", "Pray, who is she?"}).out, "1 677 1979 339 1989 466 368 333 2013\n");
  EXPECT_EQ(run_weft({"tokenize", "--ids", "1,677,1979,339,1989,466,368,333,2013"}).out, "Pray, who is she?\n");
}

// What the lines of docs/generate.md that begin with "weft explain" say behind a #; the other line of that block runs.
TEST(Cli, CacheTypesAsInTheGuide) {
  const std::string guide = test::read_file(test::source_dir() / "docs/generate.md");
  const size_t begin = guide.find("weft run -p 'It was a' -n 24 --temp 0 --cache-type-k q8_0 --cache-type-v f16\n");
  ASSERT_NE(begin, guide.npos);
  std::istringstream block(guide.substr(begin, guide.find("```", begin) - begin));
  std::string line;
  std::getline(block, line);
  const auto generated = [](std::vector<std::string> types) {
    types.insert(types.begin(), {"run", "-p", "It was a", "-n", "24", "--temp", "0", "--precision", "exact"});
    const Result result = run_weft(types);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  };
  const std::string plain = generated({});
  // Rounding changes a word sooner or later, but not at once.
  for (const std::vector<std::string>& types :
       {std::vector<std::string>{"--cache-type-k", "q8_0", "--cache-type-v", "f16"}, {"-ctk", "f16", "-ctv", "f16"}}) {
    EXPECT_EQ(generated(types).substr(0, 20), plain.substr(0, 20));
  }
  int lines = 0;
  while (std::getline(block, line)) {
    const size_t comment = line.find("# ");
    ASSERT_NE(comment, line.npos) << line;
    std::istringstream words(line.substr(0, comment));
    std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
    arguments.erase(arguments.begin());
    EXPECT_CONTAINS(run_weft(arguments).out, "\n" + line.substr(comment + 2) + "\n");
    ++lines;
  }
  EXPECT_EQ(lines, 2);
}

TEST_F(CliModel, CacheTypes) {
  for (const char* command : {"run", "chat", "logits", "perplexity", "compare", "explain", "trace"}) {
    const std::string help = run_weft({command, "--help"}).out;
    EXPECT_CONTAINS(help, "--cache-type-k");
    EXPECT_CONTAINS(help, "--cache-type-v");
    expect_usage_error({command, "--cache-type-k", "q4_0"}, "no type of caches 'q4_0': there are f32, f16, bf16, q8_0");
    expect_usage_error({command, "-ctv", "F8"}, "no type of caches 'F8'");
  }
  expect_usage_error({"run", "--cache-type-v"}, "--cache-type-v");
  // Heads of this model are 8 wide.
  const std::string explain = run({"explain", "-ctk", "q8_0"}).out;
  EXPECT_CONTAINS(explain, "caches     keys in F16, values in F32");
  EXPECT_CONTAINS(explain, "in F16, not Q8_0: 32 does not divide head_dim 8");

  TemporaryFolder folder;
  const auto logits = [&](const char* type) {
    const std::string file = (folder / type).string();
    const Result result = run({"logits", "--tokens", "1,403,407,261,378,5,6,7,8,9", "-o", file, "--precision", "exact",
                               "-ctk", type, "-ctv", type});
    EXPECT_EQ(result.code, 0) << result.err;
    return test::read_floats(file);
  };
  const std::vector<float> plain = logits("f32");
  EXPECT_LE(test::relative_error(logits("f16"), plain), 2e-3);
  EXPECT_LE(test::relative_error(logits("bf16"), plain), 2e-2);
  EXPECT_NE(logits("f16"), plain);
}

TEST_F(CliModel, InspectAndExplain) {
  const Result inspect = run_weft({"inspect", model_});
  EXPECT_EQ(inspect.code, 0) << inspect.err;
  EXPECT_CONTAINS(inspect.out, "llama.block_count");
  EXPECT_CONTAINS(inspect.out, "blk.4.ffn_down.weight");
  const Result explain = run({"explain"});
  EXPECT_EQ(explain.code, 0) << explain.err;
  EXPECT_CONTAINS(explain.out, "decode of 1 token");
  EXPECT_CONTAINS(explain.out, "prefill of");
  EXPECT_CONTAINS(explain.out, "attention");
  EXPECT_CONTAINS(explain.out, "5 layers of");
  EXPECT_CONTAINS(run({"explain", "--profile", "-b", "16"}).out, "sums per op");
}

// Against the definition, from the logits of each window.
TEST_F(CliModel, PerplexityIsThatOfItsDefinition) {
  WEFT_SHARED_OR_SKIP(text_file, "data/text/tinystories_197k.txt");
  TemporaryFolder folder;
  const fs::path text = folder / "text";
  std::ofstream(text) << test::read_file(text_file).substr(0, 1200);
  std::istringstream ids(run({"tokenize", "-f", text.string()}).out);
  const std::vector<int> tokens{std::istream_iterator<int>(ids), {}};
  constexpr size_t kWindow = 64, kVocab = 512;
  ASSERT_GE(tokens.size(), 3 * kWindow);
  double sum = 0;
  size_t scored = 0;
  for (size_t w = 0; w + kWindow <= tokens.size(); w += kWindow) {
    std::string list = "1";  // BOS in place of the first
    for (size_t i = 1; i < kWindow; ++i) list += "," + std::to_string(tokens[w + i]);
    const fs::path out = folder / "logits";
    ASSERT_EQ(run({"logits", "--tokens", list, "-o", out.string(), "--precision", "exact"}).code, 0);
    const std::vector<float> logits = test::read_floats(out);
    for (size_t i = kWindow / 2; i + 1 < kWindow; ++i, ++scored) {
      double total = 0;
      for (size_t v = 0; v < kVocab; ++v) total += std::exp(static_cast<double>(logits[i * kVocab + v]));
      sum += std::log(total) - logits[i * kVocab + static_cast<size_t>(tokens[w + i + 1])];
    }
  }
  const Result result = run({"perplexity", "-f", text.string(), "-c", "64", "--precision", "exact"});
  ASSERT_EQ(result.code, 0) << result.err;
  double got = 0;
  ASSERT_EQ(std::sscanf(result.out.c_str(), "perplexity %lf", &got), 1) << result.out;
  EXPECT_NEAR(got, std::exp(sum / static_cast<double>(scored)), 1e-3);
  EXPECT_LT(got, 20);
  expect_failure(with_model({"perplexity", "-f", text.string(), "-c", "1024"}), "fewer than one window of 1024");
}

// Commands without -m use the model that comes with Weft.
TEST(Cli, TheShippedModelIsTheDefault) {
  const Result result = run_weft({"run", "-p", "It was", "-n", "8", "--temp", "0"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.rfind("It was", 0), 0u) << result.out;
  EXPECT_GT(result.out.size(), std::strlen("It was") + 4);
}

TEST(Cli, MoreThreadsThanCpusAreCapped) {
  const Result result = run_weft({"run", "--tokens", "1", "--temp", "0", "-n", "3", "-t", "1024"});
  EXPECT_EQ(result.code, 0) << result.err;
  const int cpus = usable_cpus();
  EXPECT_CONTAINS(result.err, "weft: -t 1024 is more than the CPUs that this process may use: " + std::to_string(cpus));
  EXPECT_CONTAINS(result.err, "cpu, " + std::to_string(cpus) + " thread");
  EXPECT_EQ(run_weft({"run", "--tokens", "1", "--temp", "0", "-n", "3", "-t", "1"}).err.find("more than"),
            std::string::npos);
}

// As `taskset` does.
TEST(Cli, ThreadsAreCappedAtTheAffinityMask) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  size_t cpu = 0;
  while (!CPU_ISSET(cpu, &before)) ++cpu;
  CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const Result result = run_weft({"run", "--tokens", "1", "--temp", "0", "-n", "3", "-t", "2"});
  const Result silent = run_weft({"run", "--tokens", "1", "--temp", "0", "-n", "3"});
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_CONTAINS(result.err, "weft: -t 2 is more than the CPUs that this process may use: 1 thread is used");
  EXPECT_CONTAINS(silent.err, "cpu, 1 thread,");
  EXPECT_EQ(silent.err.find("more than"), std::string::npos) << silent.err;
}

// The words after the shapes in the lines of a table that begin with `mark`, and the number that follows them.
std::vector<std::pair<int, std::vector<std::string>>> lines_of(const std::string& table, const std::string& mark) {
  std::vector<std::pair<int, std::vector<std::string>>> lines;
  std::istringstream stream(table);
  for (std::string line; std::getline(stream, line);) {
    const size_t begin = std::min(line.find_first_not_of(' '), line.size());
    if (line.compare(begin, mark.size(), mark) != 0) continue;
    std::istringstream words(line.substr(line.rfind(']') + 1));
    lines.emplace_back(std::atoi(line.c_str() + begin + mark.size()),
                       std::vector<std::string>(std::istream_iterator<std::string>(words), {}));
  }
  return lines;
}

TEST(Cli, ExplainShowsEqualLayersOnce) {
  constexpr int kSteps = 51, kLayerSteps = 8;
  const auto steps_of = [](const std::string& text) {
    int steps = 0;
    for (const auto& [count, words] : lines_of(text, "\u00d7")) steps += count;
    return steps;
  };
  std::vector<std::string> devices = {"cpu"};
  if (test::opencl_device()) devices.push_back("opencl");
  for (const std::string& device : devices) {
    const Result folded = run_weft({"explain", "--device", device});
    ASSERT_EQ(folded.code, 0) << folded.err;
    EXPECT_EQ(lines_of(folded.out, "\u00d7").size(), kLayerSteps + 3u) << folded.out;
    EXPECT_EQ(steps_of(folded.out), kSteps) << folded.out;
    EXPECT_CONTAINS(folded.out, "\u00d76  blk.0-5.ffn_hidden");
    EXPECT_CONTAINS(folded.out, "groups     45: 7 per layer");
    EXPECT_CONTAINS(folded.out, "blk.0-5.q, blk.0-5.kv share blk.0-5.attn_norm, pos\n");
    // One ends each group, and attention waits within where it divides its keys among the threads.
    const size_t barriers = folded.out.find("\nbarriers   ");
    ASSERT_EQ(barriers != std::string::npos, device == "cpu");
    if (device != "cpu") continue;
    int total = 0, layer = 0;
    ASSERT_EQ(
        std::sscanf(folded.out.c_str() + barriers, "\nbarriers %d per decoded token, %d per layer", &total, &layer), 2);
    EXPECT_GE(layer, 7);
    EXPECT_LE(layer, 8);
    EXPECT_EQ(total, 45 + 6 * (layer - 7));
  }

  const Result all = run_weft({"explain", "--all"});
  for (const std::string layer : {"0", "1", "2", "3", "4", "5"}) {
    EXPECT_CONTAINS(all.out, "  blk." + layer + ".ffn_hidden  ");
  }
  EXPECT_EQ(steps_of(all.out), 0);
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), ']'), kSteps);  // a shape for each

  const auto json = nlohmann::json::parse(run_weft({"explain", "--json"}).out);
  EXPECT_EQ(json["prefill"]["steps"].size(), size_t{kSteps});
  EXPECT_EQ(json["decode"]["steps"].size(), size_t{kSteps});
  EXPECT_EQ(json["decode"]["groups"].size(), 45u);
  EXPECT_GE(json["decode"]["barriers"], 45);
  EXPECT_FALSE(json["prefill"].contains("barriers"));  // nothing has run
  EXPECT_CONTAINS(run_weft({"explain", "--records"}).out,
                  "group 2 on device 0: blk.0.q, blk.0.kv; shared: blk.0.attn_norm, pos\n");

  const Result timed = run_weft({"explain", "--profile", "-b", "32", "-t", "1"});
  EXPECT_EQ(steps_of(timed.out), 3 * kSteps);  // the plan, and the profiles of prefill and decode
  EXPECT_CONTAINS(timed.out, "kernels that ran");
  EXPECT_CONTAINS(timed.out, " per prefill, ");
  EXPECT_CONTAINS(timed.out, "; 45 per decoded token, 7 per layer\n");  // one thread does not divide keys
  std::istringstream lines(timed.out);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }), 120) << line;
  }
  EXPECT_CONTAINS(timed.out, "limits     1 thread: ");
  EXPECT_CONTAINS(timed.out, "\nprofile    prefill of 32 tokens, runs: 3\n");
  size_t at = timed.out.find("\nprofile    decode of 1 token behind ");
  ASSERT_NE(at, std::string::npos) << timed.out;
  // Sums by op are those of the steps, and with the start of the run they are its wall time.
  const auto mean_of = [&](const std::string& name) {
    const size_t line = timed.out.find("\n" + name + " ", at);
    EXPECT_NE(line, std::string::npos) << timed.out;
    std::istringstream words(timed.out.substr(line + 1 + name.size(), 60));
    std::vector<std::string> cells{std::istream_iterator<std::string>(words), {}};
    const bool counts = name != "start of the run" && name != "wall time";
    return std::stod(cells.at(counts ? 2 : 1));
  };
  double sum = 0;
  for (const std::string op : {"map", "reduce", "contract", "attention", "append"}) sum += mean_of(op);
  const double steps = mean_of("all steps");
  EXPECT_NEAR(sum, steps, 3);
  EXPECT_LE(steps + mean_of("start of the run"), mean_of("wall time") + 1);
  EXPECT_CONTAINS(timed.out, "start and steps are ");
}

TEST(Cli, ProfilesRepeatAndAreJsonAndCsv) {
  const std::vector<std::string> flags = {"explain", "--profile", "-b", "16", "-t", "1", "--repeat", "5"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), flags.begin(), flags.end());
    const Result result = run_weft(more);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  };
  // Fewer tokens fit behind the prompt than are decoded.
  const std::string text = with({"-c", "18"});
  EXPECT_CONTAINS(text, "\nprofile    prefill of 16 tokens, runs: 5\n");
  const size_t decode = text.find("\nprofile    decode of 1 token behind 1");
  ASSERT_NE(decode, text.npos) << text;
  EXPECT_CONTAINS(text.substr(decode), ", runs: 5\n");

  const auto json = nlohmann::json::parse(with({"--json"}));
  EXPECT_GT(json["decode"]["limits"]["reads"], 0);
  EXPECT_EQ(json["decode"]["whole_runs"]["runs"], 5);
  int limited = 0;
  for (const auto& step : json["prefill"]["steps"]) {
    EXPECT_LE(step["seconds_min"], step["seconds_median"]);
    limited += step.contains("share_of_limit");
    EXPECT_TRUE(step["kind"] != "contract" || step["share_of_limit"] > 0) << step;
  }
  EXPECT_GT(limited, 0);
  EXPECT_FALSE(nlohmann::json::parse(run_weft({"explain", "--json"}).out)["decode"].contains("limits"));

  std::istringstream lines(with({"--csv"}));
  std::map<std::string, size_t> runs;
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line,
            "run,step,kind,kernels,runs,seconds_min,seconds_median,seconds_mean,product_flops,bytes_read,"
            "share_of_plan,least_seconds,share_of_limit");
  while (std::getline(lines, line)) ++runs[line.substr(0, line.find(','))];
  EXPECT_EQ(runs["prefill of 16 tokens"], json["prefill"]["steps"].size() + 1);
  EXPECT_EQ(runs.size(), 2u);

  EXPECT_EQ(run_weft({"explain", "--repeat", "5"}).code, 2);
  EXPECT_EQ(run_weft({"explain", "--csv"}).code, 2);
  EXPECT_EQ(run_weft({"explain", "--profile", "--repeat", "0"}).code, 2);
}

TEST(Cli, KernelsAreForcedByName) {
  const Result exact = run_weft({"run", "-n", "8", "--temp", "0", "--precision", "exact"});
  const Result forced = run_weft({"run", "-n", "8", "--temp", "0", "--precision", "exact", "--kernel", "f32-dot"});
  ASSERT_EQ(forced.code, 0) << forced.err;
  EXPECT_EQ(forced.out, exact.out);
  EXPECT_CONTAINS(run_weft({"explain", "--kernel", "f32-dot"}).out, "Q8_0: f32-dot");
  EXPECT_CONTAINS(run_weft({"explain", "--kernel", "f32-dot", "--profile", "-b", "32"}).out, "  f32-dot  ");
  const Result unknown = run_weft({"run", "-n", "1", "--kernel", "f64-dot"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_CONTAINS(unknown.err, "no kernel of contractions is called 'f64-dot' on the CPU: there are ");
  const Result rounds = run_weft({"run", "-n", "1", "--kernel", "int8-dot", "--precision", "exact"});
  EXPECT_EQ(rounds.code, 1);
  EXPECT_CONTAINS(rounds.err, "kernel 'int8-dot' can serve no step of this graph");
}

TEST(Cli, KernelsOfOpenClAreForcedByName) {
  if (!test::opencl_device()) GTEST_SKIP() << "no OpenCL device on this machine";
  const auto run_opencl = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--device", "opencl"});
    return run_weft(arguments);
  };
  const Result plain = run_opencl({"run", "-n", "8", "--temp", "0"});
  const Result forced = run_opencl({"run", "-n", "8", "--temp", "0", "--kernel", "cl-x16"});
  ASSERT_EQ(forced.code, 0) << forced.err;
  EXPECT_EQ(forced.out, plain.out);
  EXPECT_CONTAINS(run_opencl({"explain"}).out, "Q8_0: cl-dot \u22641, cl-dot-4");
  EXPECT_CONTAINS(run_opencl({"explain", "--kernel", "cl-x16"}).out, "Q8_0 x16: cl-x16");
  EXPECT_CONTAINS(run_opencl({"explain", "--kernel", "cl-x16", "--profile", "-b", "32"}).out, "  cl-x16  ");
  const Result of_cpu = run_opencl({"run", "-n", "1", "--kernel", "f32-dot"});
  EXPECT_EQ(of_cpu.code, 1);
  EXPECT_CONTAINS(of_cpu.err,
                  "no kernel of contractions is called 'f32-dot' on OpenCL: there are " + opencl_kernel_names());
  EXPECT_CONTAINS(run_weft({"run", "--help"}).out, "on OpenCL cl-");
}

TEST(Cli, ItIsInstalledWithItsModelAndItsLicences) {
  const TemporaryFolder folder;
  const fs::path to = folder / "weft";
  const std::string command = "cmake --install " WEFT_BINARY_DIR " --prefix " + to.string() + " > /dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const fs::path notices = to / "share/doc/weft";
  for (const char* name : {"LICENSE", "THIRD_PARTY_NOTICES.md"}) {
    EXPECT_EQ(test::read_file(notices / name), test::read_file(test::source_dir() / name));
  }
  EXPECT_TRUE(fs::exists(to / "share/weft/models/CARD.md"));
  EXPECT_EQ(std::system(((to / "bin/weft").string() + " run -p It -n 1 > /dev/null 2>&1").c_str()), 0);
}

// Every command that names the device says what its kernels run with.
TEST(Cli, TheTargetIsTheOneThatRuns) {
  const std::string name = Device::cpu(1).name();
  EXPECT_CONTAINS(run_weft({"run", "-p", "It", "-n", "2", "-t", "1"}).err, name + ", precision fast\n");
  EXPECT_CONTAINS(run_weft({"explain", "-t", "1"}).out, "device     " + name + ", precision fast\n");
  EXPECT_CONTAINS(run_weft({"logits", "-p", "It", "-t", "1", "-o", "/dev/null"}).err, name);
  EXPECT_EQ(nlohmann::json::parse(run_weft({"explain", "-t", "1", "--json"}).out)["decode"]["device"], name);
}

}  // namespace
}  // namespace weft
