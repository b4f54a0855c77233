// `weft bench op`: operations by name and shape, every kernel that can serve, and what is refused.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "ops/cpu/kernel_table.h"
#include "tests/command.h"

namespace weft {
namespace {

using test::CommandResult;
using test::run_weft;

nlohmann::json results_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"bench", "op"});
  arguments.insert(arguments.end(), {"-r", "3", "-o", "json"});
  const CommandResult result = run_weft(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  return nlohmann::json::parse(result.out, nullptr, false);
}

TEST(BenchOp, TimesEveryKernelThatCanServe) {
  std::set<std::string> want, got;
  for (const ProductKernel* kernel : kernel_table().products()) {
    if (kernel->is_available() && kernel->takes(Format::q8_0) && kernel->first_rows <= 1) want.insert(kernel->name);
  }
  for (const auto& entry : results_of({"contract/q8_0", "1x64x256", "-t", "1"})) {
    got.insert(entry["kernel"]);
    EXPECT_EQ(entry["shape"], "Q8_0 1x64x256");
    EXPECT_EQ(entry["flops"], 2.0 * 64 * 256);
    EXPECT_EQ(entry["bytes"], 64.0 * 256 / 32 * 34);
    EXPECT_EQ(entry["seconds"].size(), 3u);
    for (const double seconds : entry["seconds"]) EXPECT_GT(seconds, 0);
  }
  EXPECT_EQ(got, want);
  const auto exact =
      results_of({"contract/q8_0", "1x64x256", "-t", "1", "--precision", "exact", "--kernel", "f32-dot"});
  EXPECT_LE(exact.size(), 2u);
  EXPECT_EQ(exact.back()["kernel"], "f32-dot");
}

TEST(BenchOp, TakesFormulasAttentionAndSweeps) {
  std::vector<std::string> shapes;
  for (const auto& entry : results_of({"silu(a) * b", "--rows", "1..4,7", "9x32", "-t", "1"}))
    shapes.push_back(entry["shape"]);
  EXPECT_EQ(shapes, (std::vector<std::string>{"1x32", "2x32", "4x32", "7x32"}));
  const auto attention = results_of({"attention", "--rows", "2", "--keys", "96", "--heads", "2x3", "--dim", "32",
                                     "--score", "causal+alibi+softcap", "--cache-type", "f16", "-t", "1"});
  ASSERT_EQ(attention.size(), 1u);
  // Of 96 keys, the two rows see 95 and 96.
  EXPECT_EQ(attention[0]["flops"], 4.0 * 2 * 6 * 95.5 * 32);
  EXPECT_EQ(attention[0]["bytes"], 2.0 * 96 * 2 * 32 * 2);
  const auto cold = results_of({"sum(x)", "3x8", "-t", "1", "--cache", "cold"});
  EXPECT_EQ(cold[0]["cache"], "cold");
}

TEST(BenchOp, PrintsTablesAndCsv) {
  const CommandResult table = run_weft({"bench", "op", "sum(x)", "3x8", "-t", "1", "-r", "5"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("\n3x8 "), table.out.npos) << table.out;
  const CommandResult csv = run_weft({"bench", "op", "sum(x)", "3x8", "-t", "1", "-r", "3", "-o", "csv"});
  EXPECT_EQ(csv.out.find("op,shape,threads,kernel,"), 0u) << csv.out;
  EXPECT_NE(csv.out.find("\n\"sum(x)\",\"3x8\",1,\"reduce/rows\",fast,warm,"), csv.out.npos) << csv.out;
}

TEST(BenchOp, TakesTurnsWithLibraries) {
  // Eigen is a package that Weft needs to be built; of the others, some may be there.
  std::vector<std::string> want = {"eigen"};
  for (const auto& [peer, library] : {std::pair("openblas", "libopenblas.so.0"), std::pair("onednn", "libdnnl.so.2")}) {
    void* const found = dlopen(library, RTLD_LAZY);
    if (found != nullptr) want.emplace_back(peer);
    else std::cout << "skipped: there is no " << library << "\n";
  }
  for (const std::string& peer : want) {
    const auto results = results_of({"contract/f32", "5x7x33", "-t", "1", "--vs", peer, "--kernel", "f32-dot"});
    ASSERT_GE(results.size(), 2u);
    EXPECT_EQ(results.back()["kernel"], peer);
    EXPECT_EQ(results.back()["seconds"].size(), results.front()["seconds"].size());
  }
  const CommandResult other = run_weft({"bench", "op", "contract/q8_0", "1x64x64", "--vs", "eigen"});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("--vs: is for contract/f32"), other.err.npos) << other.err;
  EXPECT_EQ(run_weft({"bench", "op", "contract/f32", "--vs", "numpy"}).code, 2);
}

TEST(BenchOp, TimesOpenClKernels) {
  const CommandResult result = run_weft({"bench", "op", "silu(a) * b", "4x64", "--device", "opencl", "-r", "3"});
  if (result.code != 0 && result.err.find("penCL") != result.err.npos) GTEST_SKIP() << result.err;
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("\n4x64 "), result.out.npos) << result.out;
  const CommandResult none =
      run_weft({"bench", "op", "silu(a) * b", "4x64", "--device", "opencl", "-r", "3", "--kernel", "none"});
  EXPECT_EQ(none.code, 1);
  EXPECT_NE(none.err.find("'none'"), none.err.npos) << none.err;
}

TEST(BenchOp, RefusesWhatIsNone) {
  const auto error_of = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "op"});
    const CommandResult result = run_weft(arguments);
    EXPECT_EQ(result.code, 1) << result.out;
    return result.err;
  };
  const auto has = [](const std::string& text, const std::string& part) { return text.find(part) != text.npos; };
  EXPECT_TRUE(has(error_of({"nothing"}), "OP: there is no 'nothing'"));
  EXPECT_TRUE(has(error_of({"contract/q9_0"}), "OP: there is no format 'q9_0'"));
  EXPECT_TRUE(has(error_of({"x +"}), "formula 'x +', character 4"));
  EXPECT_TRUE(has(error_of({"contract/q4_k", "1x2"}), "SHAPE '1x2': ROWSxOUTPUTSxK is wanted"));
  EXPECT_TRUE(has(error_of({"contract/q4_k", "1x2x3"}), "K 3 is no multiple of 256, the block of Q4_K"));
  EXPECT_TRUE(has(error_of({"sum(x)", "--rows", "4,x"}), "--rows: 'x' is no number"));
  EXPECT_TRUE(has(error_of({"attention", "--score", "sharp"}), "--score: there is no 'sharp'"));
  EXPECT_TRUE(has(error_of({"attention", "--rows", "9", "--keys", "4"}), "--rows is more than --keys"));
  EXPECT_TRUE(has(error_of({"sum(x)", "--kernel", "none"}), "--kernel: there is no kernel 'none'"));
  EXPECT_EQ(run_weft({"bench", "op"}).code, 2);
}

}  // namespace
}  // namespace weft
