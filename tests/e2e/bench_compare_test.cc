// `weft bench compare`: of files, and in turns with programs that answer as weft bench does. What it calls a difference
// is tested with statistics.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/command.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

CommandResult compare(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"bench", "compare"});
  return run_weft(arguments);
}

Json result_of(const std::string& test, const std::vector<double>& rates) {
  return {{"program", "weft"}, {"test", test}, {"threads", 2}, {"samples_ts", rates}};
}

Json run_of(const std::vector<Json>& results, const std::string& precision = "fast") {
  return {{"model", "m"}, {"precision", precision}, {"results", results}};
}

class BenchCompare : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  // A program that always prints this rate of tg8, and keeps its name and arguments.
  std::string write_program(const std::string& name, double rate) {
    const std::string path = (folder_ / name).string();
    write(name, "#!/bin/sh\necho \"" + name + " $*\" >> " + (folder_ / "calls").string() + "\necho '" +
                    run_of({result_of("tg8", {rate})}).dump() + "'\n");
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
  std::vector<std::string> calls() {
    std::istringstream in(read_file(folder_ / "calls"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  TemporaryFolder folder_;
  const std::vector<double> hundred_ = {99, 100, 101, 100, 99.5, 100.5}, ninety_ = {89, 90, 91, 90, 89.5, 90.5};
};

TEST_F(BenchCompare, FilesAreComparedTestByTest) {
  const std::string a = write(
      "a.json", run_of({result_of("pp8", hundred_), result_of("tg8", hundred_), result_of("tg9", hundred_)}).dump());
  const std::string b = write(
      "b.json",
      run_of({result_of("tg8", ninety_), result_of("pp8", hundred_), result_of("pp7", hundred_)}, "exact").dump());
  const CommandResult slower = compare({a, b});
  EXPECT_EQ(slower.code, 1);
  EXPECT_EQ(slower.err, "");
  EXPECT_CONTAINS(slower.out, "model      m\nprecision  A fast; B exact\n");
  EXPECT_CONTAINS(slower.out, "\npp8, 2 threads  100.0  100.0  1.000  ");
  EXPECT_CONTAINS(slower.out, "no difference\n");
  EXPECT_CONTAINS(slower.out, "\ntg8, 2 threads  100.0  90.00  0.900  0.89");
  EXPECT_CONTAINS(slower.out, "  slower\n");
  EXPECT_CONTAINS(slower.out, "Only in A: tg9, 2 threads\nOnly in B: pp7, 2 threads\n");

  const CommandResult faster = compare({b, a, "--markdown"});
  EXPECT_EQ(faster.code, 0) << faster.err;
  EXPECT_CONTAINS(faster.out, "\n| tg8, 2 threads | 90.00 | 100.0 | 1.111 | 1.");
  EXPECT_CONTAINS(faster.out, " | faster |\n");

  const CommandResult as_json = compare({a, b, "--json"});
  EXPECT_EQ(as_json.code, 1);
  const Json json = Json::parse(as_json.out);
  EXPECT_EQ(json["paired"], false);
  EXPECT_EQ(json["b"]["precision"], "exact");
  EXPECT_EQ(json["only_in_a"], Json({"tg9, 2 threads"}));
  EXPECT_EQ(json["tests"][1]["verdict"], "slower");
  EXPECT_EQ(json["tests"][1]["b_samples_ts"], Json(ninety_));
  EXPECT_LT(json["tests"][1]["ratio_interval"][1], 1);
}

TEST_F(BenchCompare, FewSamplesShowNoDifference) {
  const std::string a = write("a.json", run_of({result_of("tg8", {100, 100})}).dump());
  const std::string b = write("b.json", run_of({result_of("tg8", {50, 50})}).dump());
  const CommandResult result = compare({a, b});
  EXPECT_EQ(result.code, 0);
  EXPECT_CONTAINS(result.out, "  0.500                 no difference\n");
  EXPECT_CONTAINS(result.out, "Of fewer than 5 samples there is no interval");
}

TEST_F(BenchCompare, BadFilesAreNamedWithTheField) {
  const std::string good = write("good.json", run_of({result_of("tg8", hundred_)}).dump());
  const auto fails = [&](const std::string& text, const std::string& message) {
    const std::string bad = write("bad.json", text);
    const CommandResult result = compare({good, bad});
    EXPECT_EQ(result.code, 1) << text;
    EXPECT_EQ(result.out, "");
    EXPECT_CONTAINS(result.err, bad + message);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  fails("", ": it is not a JSON object");
  fails("[1]", ": it is not a JSON object");
  fails("{}", ": there is no 'results'");
  fails(R"({"results": 3})", ": 'results' is not a list");
  fails(R"({"results": []})", ": 'results' is empty");
  fails(R"({"results": [3]})", ": 'results[0]' is not an object");
  fails(R"({"results": [{"program": "weft", "test": "tg8", "threads": 1}]})", ": there is no 'results[0].samples_ts'");
  const auto with = [](const char* key, const Json& value) {
    Json result = result_of("tg8", {1, 2});
    result[key] = value;
    return run_of({result}).dump();
  };
  fails(with("threads", "two"), ": 'results[0].threads' is not a number");
  fails(with("test", 8), ": 'results[0].test' is not a text");
  fails(with("samples_ts", Json::array()), ": 'results[0].samples_ts' is empty");
  fails(with("samples_ts", {1, -2}), ": 'results[0].samples_ts' has -2, which is no rate");
  fails(with("samples_ts", {1, "x"}), ": 'results[0].samples_ts' has \"x\", which is no rate");
  fails(run_of({result_of("tg8", {1}), result_of("tg8", {1})}).dump(), ": 'results[1]' is tg8, 2 threads once more");
  const std::string other = write("other.json", run_of({result_of("pp8", hundred_)}).dump());
  EXPECT_CONTAINS(compare({good, other}).err, "no test is in both: ");
  EXPECT_CONTAINS(compare({good, (folder_ / "absent.json").string()}).err, "absent.json");
}

TEST_F(BenchCompare, BuildsOfBeforeTakeTurnsRunByRun) {
  const std::string a = write_program("a", 100), b = write_program("b", 90);
  const CommandResult result =
      compare({"--weft", a, "--weft", b, "-m", "m.gguf", "-p", "0", "-n", "8", "-ctk", "f16", "--json"});
  EXPECT_EQ(result.code, 1) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["paired"], true);
  EXPECT_EQ(json["tests"][0]["verdict"], "slower");
  EXPECT_EQ(json["tests"][0]["a_samples_ts"].size(), 10u);  // rates are certain at once
  const std::vector<std::string> lines = calls();
  ASSERT_EQ(lines.size(), 21u);
  EXPECT_EQ(lines[0], "a bench --help");  // which knows no --turns
  const std::string flags = " bench --n-prompt 0 --n-gen 8 --cache-type-k f16 --model m.gguf -o json -r 1";
  EXPECT_EQ(lines[1], "a" + flags);
  EXPECT_EQ(lines[2], "b" + flags);
  EXPECT_EQ(lines[3], "b" + flags);  // the other first
  EXPECT_EQ(lines[4], "a" + flags);
  EXPECT_EQ(compare({"--weft", b, "--weft", a, "-n", "8"}).code, 0);
}

TEST_F(BenchCompare, BuildsTakeTurnsTestByTest) {
  // It answers each line with its own rate, and counts them; `after` is what it does when its input ends.
  const auto program = [&](const std::string& name, const std::string& answer, const std::string& after) {
    write(name,
          "#!/bin/sh\ncase \"$*\" in *--help*) echo \"  --turns\"; exit 0;; esac\necho ready\nn=0\nall=\nwhile read "
          "test; do echo " +
              name + " $test >> " + (folder_ / "calls").string() + "; " + answer + "; all=\"$all,$rate\"; done\n" +
              after + "\n");
    fs::permissions(folder_ / name, fs::perms::owner_all);
    return (folder_ / name).string();
  };
  const auto rated = [&](const std::string& name, int rate) {
    return program(name, "rate=" + std::to_string(rate) + "; echo $rate",
                   R"(echo "{\"results\": [{\"program\": \"weft\", \"test\": \"pp4\", \"threads\": 1, )"
                   R"(\"samples_ts\": [${all#,}]}]}")");
  };
  const std::string a = rated("a", 100), b = rated("b", 90);
  const CommandResult result = compare({"--weft", a, "--weft", b, "-p", "4", "-n", "0", "-t", "1", "--json"});
  EXPECT_EQ(result.code, 1) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["tests"][0]["verdict"], "slower");
  EXPECT_EQ(json["tests"][0]["a_samples_ts"].size(), 10u);
  const std::vector<std::string> lines = calls();
  ASSERT_EQ(lines.size(), 100u);  // ten rounds of five turns
  EXPECT_EQ(std::vector(lines.begin(), lines.begin() + 4), (std::vector<std::string>{"a 0", "b 0", "b 0", "a 0"}));

  const auto fails = [&](const std::string& other, const std::string& message) {
    const CommandResult failed = compare({"--weft", a, "--weft", other, "-p", "4", "-n", "0", "-t", "1"});
    EXPECT_EQ(failed.code, 1);
    EXPECT_CONTAINS(failed.err, other + message);
  };
  fails(program("mute", "exit 3", ""), " ended with exit code 3");
  fails(program("early", "exit 0", ""), " has ended before it answered");
  fails(program("words", "echo fast", ""), ": 'fast' is no rate");
  fails(program("killed", "kill -9 $$", ""), " was ended by signal 9");
}

TEST_F(BenchCompare, RoundsEndAndAWarningSaysThatTheyDoNotSuffice) {
  const std::string a = write_program("a", 100);
  // Every other time a fifth slower.
  const std::string b = write("b", "#!/bin/sh\necho b >> " + (folder_ / "calls").string() + "\nif [ $(($(grep -c b " +
                                       (folder_ / "calls").string() + ") % 2)) = 0 ]; then echo '" +
                                       run_of({result_of("tg8", {100})}).dump() + "'; else echo '" +
                                       run_of({result_of("tg8", {80})}).dump() + "'; fi\n");
  fs::permissions(b, fs::perms::owner_all);
  const CommandResult result = compare({"--weft", a, "--weft", b, "--rounds", "12", "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_CONTAINS(result.err, "after 12 rounds an interval is still wider than 4 %");
  EXPECT_EQ(Json::parse(result.out)["tests"][0]["a_samples_ts"].size(), 12u);
}

TEST_F(BenchCompare, SettingsOfThisBuildTakeTurns) {
  const CommandResult result =
      compare({"--shape", "tiny", "--type", "Q8_0", "-p", "8", "-n", "2", "-t", "1", "--precision", "exact,fast",
               "--kernel", "f32-dot,int8-dot", "--rounds", "1", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["a"]["precision"], "exact");
  EXPECT_EQ(json["b"]["precision"], "fast");
  EXPECT_EQ(json["a"]["kernel"], "f32-dot");
  EXPECT_EQ(json["b"]["type"], "Q8_0");
  EXPECT_EQ(json["tests"].size(), 2u);
}

TEST_F(BenchCompare, WrongFlagsSayWhatIsWrong) {
  const auto fails = [](int code, const std::vector<std::string>& arguments, const std::string& message) {
    const CommandResult result = compare(arguments);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_CONTAINS(result.err, message);
  };
  fails(2, {}, "Two files, --weft for two builds, or two values of --precision or --kernel");
  fails(2, {"a.json"}, "FILES: two are wanted, not 1");
  fails(2, {"a.json", "b.json", "c.json"}, "FILES: two are wanted, not 3");
  fails(2, {"a.json", "b.json", "-p", "8"}, "--n-prompt: is for measuring, and files are given");
  fails(2, {"--weft", "a"}, "--weft: is given twice");
  fails(2, {"--precision", "exact,exact"}, "Two files");
  fails(2, {"--precision", "exact,slow"}, "no precision 'slow'");
  fails(2, {"--kernel", "a,b,c"}, "--kernel: 'a,b,c' is neither");
  fails(2, {"--precision", "exact,fast", "-p", "0", "-n", "0"}, "there is nothing to do");
  fails(2, {"--rounds", "0"}, "--rounds");
  fails(1, {"--weft", "/absent/weft", "--weft", "/absent/weft"}, "/absent/weft cannot be started");
  const CommandResult before = run_weft({"bench", "-p", "8", "compare", "a", "b"});
  EXPECT_EQ(before.code, 2);
  EXPECT_CONTAINS(before.err, "compare: stands before all flags");
}

}  // namespace
}  // namespace weft::test
