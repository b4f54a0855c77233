// `weft bench`: what it reports and in which form, its files of random weights, and running llama-bench beside it. No
// figure is compared with a time: machines are disturbed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "runtime/convert/quantize_mix.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/model_logits.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;

CommandResult bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "bench");
  return run_weft(arguments);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// A folder at the front of PATH, as long as it lives.
class InPath {
 public:
  explicit InPath(const std::string& folder, bool alone = false) : before_(std::getenv("PATH")) {
    setenv("PATH", (alone ? folder : folder + ":" + before_).c_str(), 1);
  }
  ~InPath() { setenv("PATH", before_.c_str(), 1); }

 private:
  std::string before_;
};

TEST(BenchCommand, TheTableHasALineForEachTest) {
  const std::string guide = read_file(source_dir() / "docs/benchmark.md");
  EXPECT_CONTAINS(guide, "weft bench --shape tiny -p 64,128 -n 16 -d 0,256 -t 1 -r 3\n");
  const CommandResult result =
      bench({"--shape", "tiny", "-p", "64,128", "-n", "16", "-d", "0,256", "-t", "1", "-r", "3"});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* start :
       {"model      random tiny Q4_K_M, ", "machine    ", "device     cpu, 1 thread, ", "limits     1 thread: ", "test",
        "pp64  ", "pp128  ", "tg16  ", "pp64 @ d256 ", "pp128 @ d256 ", "tg16 @ d256 "}) {
    const auto lines = lines_of(result.out);
    EXPECT_EQ(std::ranges::count_if(lines, [&](const std::string& line) { return line.starts_with(start); }), 1)
        << start << "\n"
        << result.out;
  }
  EXPECT_CONTAINS(result.out, "% between tests\n");
  EXPECT_CONTAINS(result.out, "first token ms");
}

TEST(BenchCommand, JsonHasEverySampleAndWhatItIsComparedWith) {
  const CommandResult result = bench({"--shape", "tiny-moe", "--type", "Q8_0", "-p", "40", "-n", "4", "-b", "16",
                                      "--parallel", "1,3", "-t", "1", "-r", "2", "-o", "json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["model"], "random tiny-moe Q8_0");
  EXPECT_EQ(json["precision"], "fast");
  EXPECT_FALSE(json["weft"]["version"].get<std::string>().empty());
  EXPECT_TRUE(json["weft"]["commit"].is_string());
  EXPECT_EQ(json["type"], "Q8_0");
  EXPECT_EQ(json["batch"], 16);
  EXPECT_GT(json["machine"]["cpus"], 0);
  EXPECT_GT(json["model_bytes"], 1e5);
  ASSERT_EQ(json["limits"].size(), 1u);
  EXPECT_GT(json["limits"][0]["reads"], 0);
  EXPECT_GT(json["limits"][0]["fma_flops"], 0);
  EXPECT_TRUE(json["limits"][0]["disturbed"].is_boolean());
  std::vector<std::string> names;
  for (const auto& item : json["results"]) {
    names.push_back(item["test"]);
    EXPECT_EQ(item["samples_ts"].size(), 2u);
    EXPECT_FALSE(item.contains("median_interval_ts"));  // too few samples
    EXPECT_LE(item["min_ts"], item["median_ts"]);
    EXPECT_LE(item["median_ts"], item["max_ts"]);
    EXPECT_GT(item["share_of_limit"], 0);
    EXPECT_FALSE(item["limit"].get<std::string>().empty());
    EXPECT_FALSE(item["kernels"].get<std::string>().empty());
    EXPECT_EQ(item.contains("first_token_seconds"), item["n_prompt"] == 40);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"pp40", "tg4", "tg4 x3"}));
}

TEST(BenchCommand, FiveRepetitionsHaveAnInterval) {
  std::vector<std::string> flags = {"--shape", "tiny", "-p", "8", "-n", "0", "-t", "1", "-r", "5"};
  EXPECT_CONTAINS(bench(flags).out, "  median 95 %  ");
  flags.back() = "4";
  EXPECT_EQ(bench(flags).out.find("95 %"), std::string::npos);
  flags.back() = "5";
  flags.insert(flags.end(), {"-o", "json"});
  const auto result = nlohmann::json::parse(bench(flags).out)["results"][0];
  EXPECT_LE(result["min_ts"], result["median_interval_ts"][0]);
  EXPECT_LE(result["median_interval_ts"][0], result["median_ts"]);
  EXPECT_LE(result["median_ts"], result["median_interval_ts"][1]);
  EXPECT_LE(result["median_interval_ts"][1], result["max_ts"]);
}

TEST(BenchCommand, CsvHasAsManyCellsAsColumns) {
  const CommandResult result = bench({"-p", "16", "-n", "0", "-r", "1", "-t", "1", "-o", "csv", "--kernel", "f32-dot"});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 2u) << result.out;
  const auto cells = [](const std::string& line) {
    int count = 1;
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') quoted = !quoted;
      if (c == ',' && !quoted) ++count;
    }
    return count;
  };
  EXPECT_EQ(cells(lines[0]), cells(lines[1])) << result.out;
  EXPECT_CONTAINS(lines[0], "min_ts,median_ts,max_ts,first_token_seconds,share_of_limit");
  EXPECT_CONTAINS(lines[1], ",pp16,16,0,0,1,1,1,");
  EXPECT_CONTAINS(lines[1], "f32-dot");
}

TEST(BenchCommand, RandomWeightsOfEveryKindRunAndAreFinite) {
  const TemporaryFolder folder;
  for (const QuantizeTarget& target : quantize_targets()) {
    const std::string type(target.name), file = (folder / "model.gguf").string();
    SCOPED_TRACE(type);
    const CommandResult result = bench({"--shape", "tiny", "--type", type, "--layers", "1", "--keep", file, "-p", "8",
                                        "-n", "2", "-r", "1", "-t", "1", "-o", "json"});
    ASSERT_EQ(result.code, 0) << result.err;
    const std::vector<float> logits = exact_logits(file, std::vector<int32_t>{1, 2, 3, 4});
    EXPECT_TRUE(std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); }));
    EXPECT_TRUE(std::ranges::any_of(logits, [](float logit) { return std::fabs(logit) > 1e-3f; }));
  }
}

// A family each; the first layer alone.
TEST(BenchCommand, ShapesOfEveryFamilyLoad) {
  for (const std::string shape : {"tinyllama-1.1b", "qwen2.5-0.5b", "qwen3-0.6b", "gemma3-270m"}) {
    const CommandResult result = bench({"--shape", shape, "--type", "Q4_0", "--layers", "1", "-p", "8", "-n", "2", "-r",
                                        "1", "-t", "1", "-o", "json"});
    ASSERT_EQ(result.code, 0) << shape << ": " << result.err;
    EXPECT_EQ(nlohmann::json::parse(result.out)["results"].size(), 2u);
  }
}

// Windows of 512 pass pages, which other sequences then need.
TEST(BenchCommand, SequencesAreDeeperThanWindows) {
  const CommandResult result = bench({"--shape", "gemma3-270m", "--type", "Q4_0", "--layers", "2", "-p", "600", "-n",
                                      "2", "-d", "1500", "--parallel", "1,3", "-r", "1", "-o", "json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["results"].size(), 3u);
}

TEST(BenchCommand, TemporaryFilesAreRemoved) {
  const TemporaryFolder folder;
  setenv("TMPDIR", (folder / "").c_str(), 1);
  const CommandResult good = bench({"--shape", "tiny", "-p", "8", "-n", "0", "-r", "1", "-t", "1"});
  const CommandResult bad = bench({"--shape", "tiny", "-p", "8", "--kernel", "none", "-r", "1"});
  unsetenv("TMPDIR");
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(bad.code, 1);
  // What runs commands keeps a folder of its own there.
  for (const auto& entry : fs::directory_iterator(folder / "")) EXPECT_FALSE(entry.is_regular_file()) << entry.path();
}

TEST(BenchCommand, LimitsAreThoseOfTheMachineAlone) {
  const CommandResult table = bench({"--limits", "-t", "1"});
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_CONTAINS(table.out, "reads GB/s  FMA GFLOP/s");
  const CommandResult result = bench({"--limits", "-t", "1", "-o", "json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["limits"].size(), 1u);
  EXPECT_EQ(json["limits"][0]["threads"], 1);
  EXPECT_GT(json["limits"][0]["read_size"], 0);
}

TEST(BenchCommand, WrongFlagsSayWhatIsWrong) {
  const auto fails = [](int code, const std::vector<std::string>& arguments, const std::string& message) {
    const CommandResult result = bench(arguments);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_CONTAINS(result.err, message);
  };
  fails(2, {"--shape", "tiny-er"}, "no shape 'tiny-er': there are tiny, ");
  fails(2, {"--shape", "tiny", "--type", "Q9"}, "no type 'Q9': there are ");
  fails(2, {"--shape", "tiny", "-m", "x.gguf"}, "excludes");
  fails(2, {"--layers", "2"}, "requires --shape");
  fails(2, {"-p", "x"}, "-p");
  fails(2, {"-p", "0", "-n", "0"}, "there is nothing to do");
  fails(2, {"-t", "0"}, "-t: 0 is not between 1 and 1024");
  fails(2, {"--parallel", "0"}, "--parallel: 0 is not between 1 and 4096");
  fails(2, {"-r", "0"}, "");
  fails(2, {"-o", "xml"}, "");
  fails(2, {"--vs", "other"}, "");
  fails(2, {"--limits", "--shape", "tiny"}, "excludes");
  fails(1, {"-m", "/nonexistent.gguf"}, "/nonexistent.gguf");
  const TemporaryFolder empty;
  const InPath path((empty / "").string(), true);
  fails(1, {"--shape", "tiny", "--vs", "llama-bench"}, "llama-bench is not on PATH");
}

// A program that answers as llama-bench does.
TEST(BenchCommand, LlamaBenchRunsInTurnsOnTheSameFile) {
  const TemporaryFolder folder;
  const auto write_program = [&](const std::string& script) {
    std::ofstream(folder / "llama-bench") << "#!/bin/sh\n" << script;
    fs::permissions(folder / "llama-bench", fs::perms::owner_all);
  };
  const std::string calls = (folder / "calls").string(), model = (folder / "model.gguf").string();
  write_program("echo \"$@\" >> " + calls +
                "\ncat << END\n[{\"n_prompt\": 16, \"n_gen\": 0, \"n_depth\": 0, \"avg_ts\": 250.5},"
                " {\"n_prompt\": 0, \"n_gen\": 4, \"n_depth\": 0, \"avg_ts\": 12.25}]\nEND\n");
  const InPath path((folder / "").string());
  const std::vector<std::string> flags = {"--shape", "tiny",        "--keep",     model, "-p", "16",
                                          "-n",      "4",           "-r",         "2",   "-t", "1",
                                          "--vs",    "llama-bench", "--parallel", "1,2"};
  std::vector<std::string> as_json = flags;
  as_json.insert(as_json.end(), {"-o", "json"});
  const CommandResult result = bench(as_json);
  ASSERT_EQ(result.code, 0) << result.err;
  const std::vector<std::string> called = lines_of(read_file(calls));
  ASSERT_EQ(called.size(), 2u);
  EXPECT_EQ(called[0], "-m " + model + " -p 16 -n 4 -t 1 -b 512 -ub 512 -r 1 -o json");
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["results"].size(), 5u);  // pp16, tg4, tg4 x2; pp16 and tg4
  EXPECT_EQ(json["results"][3]["program"], "llama-bench");
  EXPECT_EQ(json["results"][3]["samples_ts"], (std::vector<double>{250.5, 250.5}));
  EXPECT_EQ(json["results"][4]["median_ts"], 12.25);
  EXPECT_FALSE(json["results"][4].contains("share_of_limit"));
  EXPECT_CONTAINS(bench(flags).out, "llama-bench  tg4 ");

  const auto fails = [&](const std::string& script, const std::string& message) {
    write_program(script);
    const CommandResult failed = bench(flags);
    EXPECT_EQ(failed.code, 1);
    EXPECT_CONTAINS(failed.err, message);
  };
  fails("exit 3\n", "llama-bench ended with exit code 3");
  fails("echo nonsense\n", "its output is not the JSON that is expected");
  fails("echo '[{\"n_prompt\": 16, \"n_gen\": 0, \"avg_ts\": -1}]'\n", "a rate of -1 tokens/s");
  fails("echo '[]'\n", "llama-bench says nothing about pp16");
}

TEST(BenchCommand, OpenClIsTimedWithoutLimits) {
  if (!opencl_device()) GTEST_SKIP() << "no OpenCL device on this machine";
  const CommandResult result =
      bench({"--shape", "tiny", "--device", "opencl", "-p", "8", "-n", "2", "-r", "1", "-o", "json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["limits"].size(), 0u);
  EXPECT_FALSE(json["results"][0].contains("share_of_limit"));
  EXPECT_CONTAINS(bench({"--shape", "tiny", "--device", "opencl", "-t", "2"}).err, "-t: is for the CPU");
}

}  // namespace
}  // namespace weft::test
