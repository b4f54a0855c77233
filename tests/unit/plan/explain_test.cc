// What `explain` shows: equal steps of different layers on one line, and sums that are those of all steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "models/axes.h"
#include "models/registry.h"
#include "ops/ops.h"
#include "runtime/generate/engine.h"
#include "runtime/plan/explain.h"
#include "runtime/plan/fold_steps.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"
#include "tests/small_model.h"
#include "tests/test_data.h"

namespace weft {
namespace {

std::vector<std::string> names(const std::vector<EqualSteps>& lines) {
  std::vector<std::string> result;
  for (const EqualSteps& line : lines) {
    result.push_back("\u00d7" + std::to_string(line.steps.size()) + " " + line.name);
  }
  return result;
}

std::vector<EqualSteps> fold(const GraphRecord& graph, std::vector<std::string> kernels = {}) {
  kernels.resize(graph.steps.size());
  const std::vector<int64_t> extents(graph.axes.size(), 4);
  const std::vector<EqualSteps> lines = fold_steps(graph, kernels, extents.data());
  // Each step once, and each line in order.
  std::vector<size_t> all;
  for (const EqualSteps& line : lines) {
    EXPECT_TRUE(std::is_sorted(line.steps.begin(), line.steps.end()));
    all.insert(all.end(), line.steps.begin(), line.steps.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<size_t> expected(graph.steps.size());
  std::iota(expected.begin(), expected.end(), size_t{0});
  EXPECT_EQ(all, expected);
  return lines;
}

using Names = std::vector<std::string>;
using KvCache = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;

GraphRecord small_graph(int layers) { return *test::small_model({.layers = layers}).graph; }

TEST(FoldSteps, EqualLayersAreOneLayer) {
  EXPECT_EQ(names(fold(small_graph(5))), (Names{"×1 x", "×5 blk.0-4.query", "×5 blk.0-4.append", "×5 blk.0-4.attention",
                                                "×5 blk.0-4.out", "×1 last_rows", "×1 logits"}));
  EXPECT_EQ(names(fold(small_graph(1))), (Names{"×1 x", "×1 blk.0.query", "×1 blk.0.append", "×1 blk.0.attention",
                                                "×1 blk.0.out", "×1 last_rows", "×1 logits"}));
}

// Layers whose weights have another format, as the first ones and every third have in mixtures.
TEST(FoldSteps, FormatsAreTakenApart) {
  GraphRecord graph = small_graph(13);
  for (ValueRecord& value : graph.values) {
    for (const int layer : {0, 1, 4, 7, 10, 11, 12}) {
      if (value.name == "blk." + std::to_string(layer) + ".o") value.format = Format::q8_0;
    }
  }
  EXPECT_EQ(names(fold(graph)),
            (Names{"×1 x", "×13 blk.0-12.query", "×13 blk.0-12.append", "×13 blk.0-12.attention",
                   "×7 blk.0-1,4,7,10-12.out", "×6 blk.2-3,5-6,8-9.out", "×1 last_rows", "×1 logits"}));
}

TEST(FoldSteps, WindowsAreTakenApartAndOtherNumbersAreNot) {
  GraphRecord graph = small_graph(10);
  int layer = 0;
  for (Step& step : graph.steps) {
    if (step.kind != StepKind::attention) continue;
    ScalarProgram& score = step.regions[0].body.program;
    for (ScalarInstr& instr : score.code) {
      if (instr.op != ScalarOp::constant || instr.type != Element::f32) continue;
      instr.imm_f *= static_cast<float>(layer + 1);
    }
    if (layer % 2 == 0) {  // a window
      ScalarInstr constant{ScalarOp::constant, Element::i32};
      constant.imm = 8 << (layer == 8);  // the last one has another
      score.code.insert(score.code.begin(), constant);
    }
    ++layer;
  }
  EXPECT_EQ(names(fold(graph)),
            (Names{"×1 x", "×10 blk.0-9.query", "×10 blk.0-9.append", "×4 blk.0,2,…,6.attention",
                   "×5 blk.1,3,…,9.attention", "×1 blk.8.attention", "×10 blk.0-9.out", "×1 last_rows", "×1 logits"}));
}

TEST(FoldSteps, StatisticsAreTakenApart) {
  GraphRecord graph = small_graph(3);
  const GraphRecord with = *test::small_model({.layers = 3, .statistics = true}).graph;
  EXPECT_EQ(names(fold(with)), names(fold(graph)));
  for (Step& step : graph.steps) {
    if (step.name == "blk.1.attention") step.regions[0].attention->statistics = true;
  }
  EXPECT_EQ(names(fold(graph))[3], "×2 blk.0,2.attention");
}

TEST(FoldSteps, KernelsAreTakenApart) {
  const GraphRecord graph = small_graph(3);
  std::vector<std::string> kernels(graph.steps.size(), "any");
  for (size_t i = 0; i < kernels.size(); ++i) {
    if (graph.steps[i].name == "blk.1.query") kernels[i] = "another";
  }
  EXPECT_EQ(names(fold(graph, kernels))[1], "×2 blk.0,2.query");
  EXPECT_EQ(names(fold(graph, kernels))[2], "×1 blk.1.query");
}

// The number of a name is the one that stands alone.
TEST(FoldSteps, NamesHaveTheirNumberAnywhere) {
  GraphRecord graph = small_graph(3);
  for (Step& step : graph.steps) {
    if (step.name.starts_with("blk.")) step.name = "gpt2.h" + step.name.substr(3) + "1";
  }
  EXPECT_EQ(names(fold(graph))[1], "×3 gpt2.h.0-2.query1");
  for (Step& step : graph.steps) {
    if (step.name.starts_with("gpt2.h.")) step.name = "layer" + step.name.substr(7);
  }
  EXPECT_EQ(names(fold(graph))[1], "×3 layer0-2.query1");
  for (Step& step : graph.steps) step.name = "same";  // names need not differ, nor have a number
  const auto has = [&](const std::string& line) {
    const Names found = names(fold(graph));
    return std::find(found.begin(), found.end(), line) != found.end();
  };
  EXPECT_TRUE(has("×3 same"));
  for (Step& step : graph.steps) step.name = "99999999999999999999";
  EXPECT_TRUE(has("×3 99999999999999999999"));
}

// Steps without names: two norms of one layer are equal, but stay apart, since a layer shows what follows what.
TEST(FoldSteps, StepsWithoutNamesAreFoldedByTheirPlaceInTheLayer) {
  for (const int layers : {1, 4}) {
    Graph graph;
    const Batch batch(graph);
    const Tensor<f32, Vocab, Embed> table({8, 6});
    const Tensor<f32, Embed> norm({6});
    const Tensor<f32, KvHead, HeadDim, Embed> w({1, 6, 6});
    const Tensor<f32, Embed, KvHead, HeadDim> back({6, 1, 6});
    auto x = materialize(at<Vocab>(Weight(table), batch.tokens));
    for (int i = 0; i < layers; ++i) {
      KvCache cache(graph, batch, "kv" + std::to_string(i));
      auto h = materialize(rms_norm<Embed>(x, Weight(norm), 1e-5f));
      auto q = materialize(contract<Embed>(h, Weight(w)));
      auto [K, V] = materialize(append(cache, contract<Embed>(h, Weight(w)), contract<Embed>(h, Weight(w))));
      const auto score = where(K.pos() <= batch.pos, contract<HeadDim>(q, K), -inf);
      auto a = materialize(contract<Key>(softmax<Key>(score), V));
      x = materialize(x + contract<KvHead, HeadDim>(a, Weight(back)));
      auto f = materialize(rms_norm<Embed>(x, Weight(norm), 1e-5f));
      x = materialize(x + silu(f));
    }
    graph.result(materialize(rms_norm<Embed>(at<Pos>(x, batch.last), Weight(norm), 1e-5f)));
    if (layers == 1) {
      EXPECT_EQ(fold(*graph.record()).size(), 8u);  // the norms share a line: nothing says where a layer begins
    } else {
      EXPECT_EQ(names(fold(*graph.record())),
                (Names{"×1 s0", "×4 s1,8,…,22", "×4 s2,9,…,23", "×4 s3,10,…,24", "×4 s4,11,…,25", "×4 s5,12,…,26",
                       "×4 s6,13,…,27", "×4 s7,14,…,28", "×1 s29"}));
    }
  }
}

TEST(FoldSteps, GraphsWithoutLayers) {
  EXPECT_TRUE(fold(GraphRecord()).empty());
  test::RecordBuilder b;
  const AxisId pos = b.axis("pos"), wide = b.axis("wide", 64);
  ValueId x = b.input("x", {pos, wide});
  for (int i = 0; i < 12; ++i) {
    ScalarBuilder s;
    x = b.map("v" + std::to_string(i), {pos, wide}, {x}, s.finish(s.load(0) + 1.0f));
  }
  ScalarBuilder twice;
  x = b.map("twice", {pos, wide}, {x, x}, twice.finish(twice.load(0) + twice.load(1)));
  ScalarBuilder sum;
  x = b.map("sum", {pos, wide}, {x, 0}, sum.finish(sum.load(0) + sum.load(1)));
  EXPECT_EQ(names(fold(*b.build({x}))), (Names{"×12 v0-11", "×1 twice", "×1 sum"}));
}

// --- the table ---

struct Shown {
  std::vector<std::vector<std::string>> lines;  // the cells, by two spaces or, among figures, one
  size_t steps = 0;                             // that they stand for
};

// Reads lines that begin with ×N.
Shown read_table(const std::string& text) {
  Shown shown;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string::npos || line.compare(begin, 2, "\u00d7") != 0) continue;
    std::istringstream words(line.substr(begin + 2));
    size_t count = 0;
    words >> count;
    shown.steps += count;
    shown.lines.emplace_back(std::istream_iterator<std::string>(words), std::istream_iterator<std::string>());
  }
  return shown;
}

ExplainRun prefill_of(const LanguageModel& model, int64_t tokens, std::vector<double> seconds = {}) {
  ExplainRun run{"prefill", {}, std::move(seconds)};
  run.at.set(model.pos_axis, tokens).set(model.rows_axis, 1).set(model.graph->caches[0].key, tokens);
  return run;
}

TEST(Explain, EveryFamilyIsShownWhole) {
  std::vector<Device> devices = {Device::cpu(1)};
  if (test::opencl_device()) devices.push_back(*test::opencl_device());
  for (const Device& device : devices) {
    for (const std::string type : {"mixtral", "llama", "mistral", "qwen2"}) {
      if (!device.is_cpu() && type != "mixtral") break;  // programs take long to build
      SCOPED_TRACE(device.name() + " " + type);
      const test::TempDirectory directory;
      directory.write(test::HfModel::random(type));
      const LanguageModel model = load_model(Checkpoint::open(directory.path()));
      const Engine engine(model, device, {.context = 16});
      const std::vector<ExplainRun> runs = {prefill_of(model, 12), prefill_of(model, 1)};
      const std::string text = engine.plan().explain_runs(runs);
      const Shown shown = read_table(text);
      EXPECT_EQ(shown.steps, model.graph->steps.size()) << text;
      EXPECT_LE(shown.lines.size(), model.graph->steps.size() / 2 + 2) << text;
      EXPECT_CONTAINS(text, "blk.0-1.attn ");
      EXPECT_CONTAINS(text, "2 layers of ");
      EXPECT_CONTAINS(text, "device     " + device.name());
      // The total is that of all steps.
      for (const ExplainRun& run : runs) {
        double flops = 0;
        const auto json = nlohmann::json::parse(engine.plan().explain_json(run.at));
        for (const auto& step : json["steps"]) flops += step["flops"].get<double>();
        std::string total = with_prefix(flops);
        std::erase(total, ' ');
        EXPECT_CONTAINS(text.substr(text.find("total")), " " + total + " ");
      }
      const std::string every = engine.plan().explain_runs(runs, true);
      for (const Step& step : model.graph->steps) EXPECT_CONTAINS(every, " " + step.name + " ");
    }
  }
}

TEST(Explain, TimesAreThoseOfTheirRunsAndAddUp) {
  const LanguageModel model = test::small_model({.layers = 3});
  Engine engine(model, Device::cpu(1), {.context = 16, .profile = true});
  Plan& plan = engine.plan();
  EXPECT_TRUE(plan.seconds_per_run().empty());
  const int32_t sequence = engine.cache().open();
  engine.prefill(sequence, std::vector<int32_t>{1, 2, 3});
  std::vector<double> seconds = plan.seconds_per_run();
  ASSERT_EQ(seconds.size(), model.graph->steps.size());
  for (size_t i = 0; i < seconds.size(); ++i) seconds[i] = 1e-5 * static_cast<double>(i + 1);  // 10 us, 20 us ...
  const std::string text = plan.explain_runs(std::vector{prefill_of(model, 3, seconds), prefill_of(model, 1)});
  EXPECT_CONTAINS(text, "us/run");
  // blk.*.query: steps 1, 5 and 9 take 20, 60 and 100 us.
  for (const auto& cells : read_table(text).lines) {
    if (cells[0] != "blk.0-2.query") continue;
    ASSERT_GE(cells.size(), 6u) << text;
    EXPECT_EQ(cells[cells.size() - 4], "180.0") << text;
    EXPECT_EQ(cells[cells.size() - 3], "60.0") << text;
  }
  EXPECT_CONTAINS(text, "total");
  EXPECT_CONTAINS(text.substr(text.find("total")), " 1200 ");  // 10 + 20 + ... + 150 us
  // Without times there are no columns for them; a line per step has no column for the time of one.
  EXPECT_EQ(plan.explain_runs(std::vector{prefill_of(model, 3)}).find("us/run"), std::string::npos);
  EXPECT_EQ(plan.explain_runs(std::vector{prefill_of(model, 3, seconds)}, true).find("each"), std::string::npos);
  plan.clear_profile();
  EXPECT_TRUE(plan.seconds_per_run().empty());
}

// A plan of the user's: the names of axes, and what is only a limit.
TEST(Explain, OneRunShowsWholeShapes) {
  const LanguageModel model = test::small_model();
  const Engine engine(model, Device::cpu(1), {.context = 16, .batch = 8});
  EXPECT_CONTAINS(engine.plan().explain(), "F32<pos\u22648, kv_head 2, group 3, head_dim 8>");
  EXPECT_CONTAINS(engine.plan().explain(prefill_of(model, 5).at), "F32<pos 5, kv_head 2, group 3, head_dim 8>");
  EXPECT_CONTAINS(engine.plan().explain(), "\u00d72  blk.0-1.query");
  EXPECT_CONTAINS(engine.plan().explain({}, true), "blk.1.query");
}

}  // namespace
}  // namespace weft
