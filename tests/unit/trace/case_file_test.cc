// Steps of a model as files: what is written, read and run again, and what damaged files say.
#include "runtime/trace/case_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/attention/cases.h"
#include "ops/harness/run_cpu.h"
#include "runtime/plan/run_trace.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::error_of;
using test::read_file;
using test::TemporaryFolder;

// An engine over the model with everything that the step reads and writes among its results, behind two runs.
struct Ran {
  Engine engine;
  RunTrace trace;
  Ran(LanguageModel model, const std::string& name)
      : engine(with_results(std::move(model), name), Device::cpu(1), {.precision = Precision::exact, .context = 40}),
        trace(engine.plan()) {
    const int32_t sequence = engine.cache().open();
    engine.plan().trace(&trace);
    std::vector<int32_t> prompt(35);
    for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i * 7 % 19);
    engine.prefill(sequence, prompt);
    engine.decode(sequence, 3);
    engine.plan().trace(nullptr);
  }
  static LanguageModel with_results(LanguageModel model, const std::string& name) {
    model = with_operands(std::move(model), name);
    auto graph = std::make_shared<GraphRecord>(*model.graph);
    for (const Step& step : graph->steps) {
      if (step.name != name) continue;
      for (const ValueId output : step.outputs) {
        const bool is_result = std::ranges::find(graph->results, output) != graph->results.end();
        if (!graph->values[output].is_cached() && !is_result) graph->results.push_back(output);
      }
    }
    model.graph = std::move(graph);
    return model;
  }
};

TEST(CaseFile, HoldsEveryStepOfAModel) {
  const TemporaryFolder folder;
  const LanguageModel model = test::small_model({.statistics = true});
  for (const Step& step : model.graph->steps) {
    SCOPED_TRACE(step.name);
    Ran ran(model, step.name);
    const StepCase made = case_of_step(ran.engine, step.name, ran.trace.runs.back().extents);
    write_case(made, folder / "case.gguf");
    const StepCase read = read_case(folder / "case.gguf");
    EXPECT_EQ(to_string(read.graph, read.step()), to_string(made.graph, made.step()));
    EXPECT_EQ(read.extents, made.extents);
    const Outputs again = run_cpu(read, Precision::exact, 1);
    EXPECT_EQ(again, run_cpu(made, Precision::exact, 1));
    // What the plan computed: of an append, the fields hold it already.
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      if (model.graph->values[step.outputs[i]].is_cached()) {
        EXPECT_EQ(again[i], made.initial[made.step().outputs[i]]);
        continue;
      }
      const Output output = ran.engine.plan().output(step.outputs[i]);
      const auto* bytes = static_cast<const std::byte*>(output.data);
      EXPECT_EQ(again[i], std::vector<std::byte>(bytes, bytes + again[i].size()));
    }
  }
}

TEST(CaseFile, HoldsASink) {
  const TemporaryFolder folder;
  const StepCase made = attention_case(
      {.sequences = {{9, 4}}, .paged = false, .statistics = true, .sink = CaseSink::by_query, .largest_sink = 9});
  write_case(made, folder / "case.gguf");
  const StepCase read = read_case(folder / "case.gguf");
  EXPECT_EQ(to_string(read.graph, read.step()), to_string(made.graph, made.step()));
  EXPECT_NE(to_string(read.graph, read.step()).find("    sink\n"), std::string::npos);
  EXPECT_EQ(run_cpu(read), run_cpu(made));
}

TEST(CaseFile, OfNoStepIsAnError) {
  const LanguageModel model = test::small_model();
  EXPECT_NE(error_of([&] { with_operands(model, "nothing"); }).find("no step is called 'nothing'"), std::string::npos);
  const TemporaryFolder folder;
  EXPECT_NE(error_of([&] { read_case(folder / "absent.gguf"); }).find("absent.gguf"), std::string::npos);
}

// Every byte of the JSON in turn is another digit or letter, and the file is cut: the case is read, or an Error names
// the file.
TEST(CaseFile, DamagedOnesAreRefused) {
  const TemporaryFolder folder;
  const LanguageModel model = test::small_model({.layers = 1});
  Ran ran(model, "blk.0.attention");
  write_case(case_of_step(ran.engine, "blk.0.attention", ran.trace.runs.back().extents), folder / "case.gguf");
  const std::string whole = read_file(folder / "case.gguf");
  const std::filesystem::path damaged = folder / "damaged.gguf";
  int refused = 0;
  const auto read = [&](const std::string& bytes) {
    std::ofstream(damaged, std::ios::binary) << bytes;
    try {
      read_case(damaged);
    } catch (const Error& error) {
      ++refused;
      EXPECT_NE(std::string(error.what()).find("damaged.gguf"), std::string::npos) << error.what();
    }
  };
  const size_t begin = whole.find("{\"version\"");
  ASSERT_NE(begin, std::string::npos);
  const size_t end = whole.find("\"max_pages\"", begin);
  ASSERT_NE(end, std::string::npos);
  for (size_t at = begin; at < end; ++at) {
    std::string bytes = whole;
    if (bytes[at] >= '0' && bytes[at] <= '9') bytes[at] = bytes[at] == '9' ? '0' : '9';
    else bytes[at] = bytes[at] == 'x' ? 'y' : 'x';
    read(bytes);
  }
  EXPECT_GT(refused, 1500);
  for (size_t size = 0; size < whole.size(); size += whole.size() / 40) read(whole.substr(0, size));
  EXPECT_GT(refused, 1540);
}

}  // namespace
}  // namespace weft
