// `weft report`, the pictures of `weft explain`, and traces of `weft run`.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/command.h"

namespace weft {
namespace {

using test::read_file;
using test::run_weft;
using test::TemporaryFolder;

TEST(Report, IsOnePageThatLoadsNothing) {
  const TemporaryFolder folder;
  const auto result = run_weft({"report", "-o", (folder / "report.html").string(), "-r", "1", "-c", "96", "-b", "32"});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string page = read_file(folder / "report.html");
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  for (const char* title : {"Roofline", "Timeline of a prefill", "Timeline of a decoded token", "Steps of a prefill",
                            "Steps of a decoded token", "Memory of values", "What attention sees: blk.0.attn",
                            "Prompts", "Decoding behind a context", "Decoding several sequences"}) {
    EXPECT_NE(page.find("<h2>" + std::string(title) + "</h2>"), std::string::npos) << title;
  }
  for (const char* loads : {"src=", "href=", "url(", "<script", "@import", "<link", "<img"}) {
    EXPECT_EQ(page.find(loads), std::string::npos) << loads;
  }
  // The only address is the name of SVG's namespace.
  for (size_t at = page.find("http"); at != std::string::npos; at = page.find("http", at + 1)) {
    EXPECT_EQ(page.substr(at, 26), "http://www.w3.org/2000/svg");
  }
  for (const char* number : {"\"nan", "\"inf", "\"-nan", " nan ", " inf "}) {
    EXPECT_EQ(page.find(number), std::string::npos) << number;
  }
}

TEST(Report, ThatCannotBeWrittenIsKnownAtOnce) {
  const auto result = run_weft({"report", "-o", "/nonexistent/report.html"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("/nonexistent/report.html"), std::string::npos);
  EXPECT_EQ(run_weft({"report"}).code, 2);
}

TEST(Explain, DrawsThePlan) {
  const auto svg = run_weft({"explain", "--svg", "-c", "64"});
  ASSERT_EQ(svg.code, 0) << svg.err;
  EXPECT_TRUE(svg.out.starts_with("<svg "));
  EXPECT_NE(svg.out.find("blk.0-5.attn"), std::string::npos);
  const auto dot = run_weft({"explain", "--dot", "-c", "64", "--all"});
  ASSERT_EQ(dot.code, 0) << dot.err;
  EXPECT_TRUE(dot.out.starts_with("digraph "));
  EXPECT_NE(dot.out.find("blk.3.attn"), std::string::npos);
  EXPECT_EQ(run_weft({"explain", "--dot", "--svg"}).code, 2);
}

TEST(ProfileTrace, OfARunHasItsStepsAndWaits) {
  const TemporaryFolder folder;
  const std::string file = (folder / "trace.json").string();
  const auto run = run_weft({"run", "-p", "Once", "-n", "3", "--temp", "0", "-t", "1", "--profile-trace", file});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.out, run_weft({"run", "-p", "Once", "-n", "3", "--temp", "0", "-t", "1"}).out);
  size_t runs = 0, attentions = 0;
  const auto trace = nlohmann::json::parse(read_file(file));
  for (const auto& event : trace["traceEvents"]) {
    runs += event.value("cat", std::string()) == "run";
    attentions += event.value("cat", std::string()) == "attention";
  }
  EXPECT_EQ(runs, 3u);  // the prompt, and the tokens before the last, which is not evaluated
  EXPECT_EQ(attentions, runs * 6);
  const auto explain = run_weft({"explain", "--profile-trace", file, "-c", "64"});
  ASSERT_EQ(explain.code, 0) << explain.err;
  EXPECT_GT(nlohmann::json::parse(read_file(file))["traceEvents"].size(), 100u);
  EXPECT_EQ(run_weft({"run", "-n", "1", "--profile-trace", "/nonexistent/trace.json"}).code, 1);
}

TEST(DumpStep, IsTimedAgain) {
  const TemporaryFolder folder;
  const std::string file = (folder / "case.gguf").string();
  for (const char* run : {"decode", "prefill"}) {
    const auto dumped = run_weft({"explain", "--dump-step", "blk.1.attn", "--dump-run", run, "-c", "64", "-o", file});
    EXPECT_EQ(dumped.code, 0) << dumped.err;
    const auto timed = run_weft({"bench", "op", "--case", file, "-t", "1", "-r", "3"});
    EXPECT_EQ(timed.code, 0) << timed.err;
    EXPECT_NE(timed.out.find("blk.1.attn"), std::string::npos);
  }
  const auto other = run_weft({"bench", "op", "--case", (test::source_dir() / "README.md").string()});
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.err.find("README.md"), std::string::npos);
}

}  // namespace
}  // namespace weft
