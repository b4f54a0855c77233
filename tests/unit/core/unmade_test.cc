// Handles that were never given a value, were moved from, or belong to another graph: every use of one is an Error that
// says so, never a crash.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "gpu/device.h"
#include "models/axes.h"
#include "models/registry.h"
#include "ops/ops.h"
#include "runtime/files/model_config.h"
#include "runtime/files/weight_loader.h"
#include "runtime/generate/engine.h"
#include "runtime/generate/sampler.h"
#include "runtime/plan/eval.h"
#include "runtime/text/chat_template.h"
#include "runtime/trace/recording.h"
#include "runtime/trace/trace.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/small_model.h"

// Objects are used after they were moved from: that is what is tested.
// NOLINTBEGIN(bugprone-use-after-move, performance-move-const-arg)
namespace weft {
namespace {

struct Heads : axis<"heads"> {};
struct Part : axis<"part", 2> {};
struct Choice : axis<"choice", 1> {};

using X = Value<f32, Pos, Embed>;
using F = Field<Key, KvHead, HeadDim>;
using Kv = Cache<F, F>;

struct Use {
  const char* what;
  std::function<void()> run;
};

void expect_errors(const std::vector<Use>& uses, const std::string& says) {
  for (const Use& use : uses) EXPECT_CONTAINS(test::error_of(use.run), says) << use.what;
}

struct Recorded {
  Graph graph;
  Batch batch{graph};
  X x = graph.input<f32, Pos, Embed>("x");
  Value<f32, Pos, KvHead, Group, HeadDim> q = graph.input<f32, Pos, KvHead, Group, HeadDim>("q");
  Value<f32, Pos, KvHead, HeadDim> k = graph.input<f32, Pos, KvHead, HeadDim>("k");
};

TEST(Unmade, Values) {
  Recorded r;
  const auto& x = r.x;
  const X none;
  const Value<i32, Pos> no_ids;
  const Value<bool, Pos> no_truth;
  const Positions<Pos> no_positions;
  const Tensor<f32, Embed> w({4});
  const Device cpu = Device::cpu(1);
  const std::vector<Use> uses = {
      {"eval", [&] { eval(cpu, none + 1.0f); }},
      {"eval of the handle", [&] { eval(cpu, none); }},
      {"materialize", [&] { materialize(none, "name"); }},
      {"materialize in another order", [&] { materialize<Embed, Pos>(none); }},
      {"left", [&] { (void)(none * x); }},
      {"right", [&] { (void)(x - none); }},
      {"unary", [&] { exp(none); }},
      {"not", [&] { (void)(!no_truth); }},
      {"compare", [&] { (void)(none < 0.0f); }},
      {"where, condition", [&] { where(no_truth, x, 0.0f); }},
      {"where, value", [&] { where(x > 0.0f, none, 0.0f); }},
      {"cast", [&] { cast<f32>(no_ids); }},
      {"map", [&] { map([](auto a, auto b) { return a + b; }, x, none); }},
      {"sum", [&] { sum<Embed>(none); }},
      {"mean", [&] { mean<Embed>(none); }},
      {"max", [&] { max<Embed>(none); }},
      {"argmax", [&] { argmax<Embed>(none); }},
      {"top_k", [&] { top_k<Embed, Choice>(none); }},
      {"softmax", [&] { softmax<Embed>(none); }},
      {"rms_norm", [&] { rms_norm<Embed>(none, w, 1e-5f); }},
      {"layer_norm", [&] { layer_norm<Embed>(none, w, w, 1e-5f); }},
      {"rope", [&] { rope<Embed>(none, r.batch.pos); }},
      {"rope, position", [&] { rope<Embed>(x, no_positions); }},
      {"at, table", [&] { at<Pos>(none, r.batch.last); }},
      {"at, ids", [&] { at<Pos>(x, Value<i32, Seq>()); }},
      {"rename", [&] { rename<Pos, Key>(none); }},
      {"split", [&] { split<Embed, KvHead, HeadDim>(none); }},
      {"merge", [&] { merge<Pos, Embed, Heads>(none); }},
      {"slice", [&] { slice<Embed, Part>(none, 0); }},
      {"contract, left", [&] { contract<Embed>(none, w); }},
      {"contract, right", [&] { contract<Embed>(x, Value<f32, Vocab, Embed>()); }},
      {"mask", [&] { (void)(index<Key>() <= no_positions); }},
      {"result", [&] { r.graph.result(none); }},
      {"result of ids", [&] { r.graph.result(no_ids); }},
  };
  expect_errors(uses, "has no value");
  EXPECT_CONTAINS(test::error_of([&] { materialize(none + x); }), "value over <pos, embed>");
  EXPECT_TRUE(r.graph.record()->steps.empty());

  X late;  // may be given a value later
  late = x;
  materialize(late + 1.0f);
  const X moved = std::move(late);
  expect_errors({{"moved from", [&] { (void)(late + 1.0f); }}}, "has no value");
  materialize(moved + 1.0f);
}

TEST(Unmade, Expressions) {
  Recorded r;
  const auto made = r.x + 1.0f;
  const std::remove_const_t<decltype(made)> none{};
  const decltype(rename<Pos, Key>(r.x)) no_view{};
  const decltype(top_k<Embed, Choice>(r.x)) no_choice{};
  const decltype(append(std::declval<Kv&>(), r.k, r.k)) no_append{};
  const Device cpu = Device::cpu(1);
  expect_errors({{"materialize", [&] { materialize(none); }},
                 {"eval", [&] { eval(cpu, none); }},
                 {"map", [&] { materialize(none * r.x); }},
                 {"reduce", [&] { materialize(sum<Embed>(none)); }},
                 {"view", [&] { slice<Key, Part>(no_view, 0); }},
                 {"table", [&] { at<Key>(no_view, r.batch.last); }},
                 {"contract", [&] { contract<Embed>(r.x, no_view); }},
                 {"top_k", [&] { materialize(no_choice); }},
                 {"eval of top_k", [&] { eval(cpu, no_choice); }},
                 {"append", [&] { materialize(no_append); }}},
                "has no ");
}

TEST(Unmade, Caches) {
  Recorded r;
  const Kv cache(r.graph, r.batch, "kv");
  const Kv none;
  const Paged<F> no_field;
  auto [K, V] = materialize(append(cache, r.k, r.k));
  const auto score = contract<HeadDim>(r.q, K);
  expect_errors({{"append", [&] { materialize(append(none, r.k, r.k)); }},
                 {"append to a temporary", [&] { materialize(append(Kv(), r.k, r.k)); }},
                 {"a field", [&] { none.paged<F>(0); }},
                 {"index", [&] { none.index(); }},
                 {"names", [&] { none.name_fields({"k", "v"}); }}},
                "a cache handle has no cache");
  expect_errors({{"keys", [&] { contract<HeadDim>(r.q, Paged<F>()); }},
                 {"values", [&] { contract<Key>(softmax<Key>(score), no_field); }},
                 {"positions", [&] { (void)(no_field.pos() <= r.batch.pos); }}},
                "a cached field over <key");

  // Batches whose members were not given, or are those of another graph.
  Recorded other;
  for (const auto& take : std::vector<std::function<void(Batch&)>>{
           [](Batch& b) { b.pos = {}; }, [](Batch& b) { b.seq = {}; }, [](Batch& b) { b.slots = {}; }}) {
    Batch batch = r.batch;
    take(batch);
    EXPECT_CONTAINS(test::error_of([&] { Kv(r.graph, batch, "blk.1.kv"); }), "cache 'blk.1.kv': the batch's");
  }
  EXPECT_CONTAINS(test::error_of([&] { Kv(r.graph, other.batch, "kv"); }),
                  "cache 'kv': the batch belongs to another graph");
  EXPECT_CONTAINS(test::error_of([&] { Kv(r.graph, r.batch, "kv", -1); }), "group -1");
}

TEST(Unmade, TensorsAndWeights) {
  Recorded r;
  Tensor<f32, Pos> none;
  const Tensor<f32, Pos> same;
  Tensor<f32, Pos> made({3});
  const Tensor<f32, Pos> moved = std::move(made);
  const Weight<Embed> no_weight;
  const Device cpu = Device::cpu(1);
  expect_errors({{"extent", [&] { none.extent<Pos>(); }},
                 {"size", [&] { none.size(); }},
                 {"data", [&] { none.data(); }},
                 {"data, const", [&] { same.data(); }},
                 {"values", [&] { none.values(); }},
                 {"values, const", [&] { same.values(); }},
                 {"moved from", [&] { made.values(); }},
                 {"of no storage", [&] { (Tensor<f32, Pos>::of(nullptr).values()); }},
                 {"eval", [&] { eval(cpu, none * 2.0f); }},
                 {"a weight", [&] { (void)(r.x * no_weight); }},
                 {"a weight of no tensor", [&] { (void)(r.x * Weight<Embed>(Tensor<f32, Embed>())); }},
                 {"rms_norm", [&] { rms_norm<Embed>(r.x, no_weight, 1e-5f); }},
                 {"layer_norm", [&] { layer_norm<Embed>(r.x, Tensor<f32, Embed>({1}), no_weight, 1e-5f); }},
                 {"contract", [&] { contract<Embed>(r.x, Weight<Vocab, Embed>()); }},
                 {"at", [&] { at<Vocab>(Weight<Vocab, Embed>(), r.batch.tokens); }}},
                "no value");
  EXPECT_EQ(moved.size(), 3u);
  EXPECT_FALSE(no_weight.is_loaded());
}

TEST(Unmade, ValuesOfTwoGraphs) {
  Recorded a, b;
  b.graph.input<f32, Pos>("one more, so that ids differ");
  const auto y = b.graph.input<f32, Pos, Embed>("y");
  const Kv cache(a.graph, a.batch, "kv");
  const auto k = b.graph.input<f32, Pos, KvHead, HeadDim>("k2");
  expect_errors({{"map", [&] { materialize(a.x + y); }},
                 {"map, the other way", [&] { materialize(y * a.x); }},
                 {"contract", [&] { materialize(contract<Embed>(a.x, rename<Pos, Key>(y))); }},
                 {"at", [&] { materialize(at<Pos>(y, a.batch.last)); }},
                 {"rope", [&] { materialize(rope<Embed>(y, a.batch.pos)); }},
                 {"reduce", [&] { materialize(softmax<Embed>(a.x + y)); }},
                 {"append", [&] { materialize(append(cache, k, k)); }},
                 {"result", [&] { a.graph.result(y); }},
                 {"eval of a graph's value", [&] { eval(Device::cpu(1), y + 1.0f); }}},
                "belongs to another graph");
}

TEST(Unmade, GraphsThatDiedOrWereMovedFrom) {
  X x;
  {
    Graph graph;
    x = graph.input<f32, Pos, Embed>("x");
  }
  const auto y = materialize(x + 1.0f);  // the value keeps its graph alive
  EXPECT_EQ(y.recorder()->record()->steps.size(), 1u);

  Graph graph;
  const Graph moved = std::move(graph);
  graph.result(materialize(graph.input<f32, Pos, Embed>("x") * 2.0f));
  EXPECT_EQ(moved.record()->steps.size(), 1u);
}

TEST(Unmade, Plans) {
  Graph graph;
  const auto x = graph.input<f32, Pos>("x");
  const auto y = materialize(x + 1.0f);
  graph.result(y);
  const Device cpu = Device::cpu(1);
  const Limits limits = Limits().set(graph.axis<Pos>(), 4);
  EXPECT_CONTAINS(test::error_of([&] { compile(cpu, nullptr, {}); }), "no graph was given");
  EXPECT_CONTAINS(test::error_of([&] { evaluate(cpu, nullptr, {}); }), "no graph was given");

  Plan plan = compile(cpu, graph.record(), limits);
  Bindings bindings = plan.bindings();
  const std::vector<float> data = {1, 2, 3};
  EXPECT_CONTAINS(test::error_of([&] { plan.output(y.id()); }), "has no value before a run");
  EXPECT_CONTAINS(test::error_of([&] { plan.run(bindings); }), "'x' is not bound");
  EXPECT_CONTAINS(test::error_of([&] { plan.output(y.id()); }), "has no value before a run");
  EXPECT_CONTAINS(test::error_of([&] { bindings.input(Value<f32, Pos>().id(), data.data(), {3}); }), "no value");
  EXPECT_CONTAINS(test::error_of([&] { bindings.input(x.id(), nullptr, {3}), plan.run(bindings); }),
                  "bound to no data");
  EXPECT_CONTAINS(test::error_of([&] { plan.output(Value<f32, Pos>().id()); }), "no value");
  EXPECT_CONTAINS(test::error_of([] { Output().floats(); }), "no value");

  // What is recorded after compile does not touch the plan.
  for (int i = 0; i < 100; ++i) materialize(y * 2.0f);
  bindings.input(x.id(), data.data(), {3});
  plan.run(bindings);
  EXPECT_EQ(plan.output(y.id()).floats()[2], 4.0f);

  Plan moved = std::move(plan);
  expect_errors({{"graph", [&] { plan.graph(); }},
                 {"device", [&] { plan.device(); }},
                 {"options", [&] { plan.options(); }},
                 {"steps", [&] { plan.steps(); }},
                 {"schedule", [&] { plan.schedule(); }},
                 {"barriers", [&] { plan.barriers(); }},
                 {"memory", [&] { plan.memory(); }},
                 {"limits", [&] { plan.limits(); }},
                 {"extents", [&] { plan.known_extents(); }},
                 {"bindings", [&] { plan.bindings(); }},
                 {"pool", [&] { plan.make_cache_pool({}); }},
                 {"run", [&] { plan.run(bindings); }},
                 {"output", [&] { plan.output(y.id()); }},
                 {"profile", [&] { plan.clear_profile(); }},
                 {"explain", [&] { plan.explain(); }},
                 {"explain_json", [&] { plan.explain_json(); }},
                 {"a cache", [&] { PagedKvCache(plan, {.sequences = 1, .max_length = 4}); }}},
                "plan is used after it was moved from");
  const Bindings kept = std::move(bindings);
  expect_errors(
      {{"input", [&] { bindings.input(x.id(), data.data(), {3}); }}, {"extent", [&] { bindings.extent(0, 3); }}},
      "bindings are used after they were moved from");
  EXPECT_CONTAINS(test::error_of([&] { bindings.pages(0, {}); }), "not in the graph");
  EXPECT_CONTAINS(test::error_of([&] { moved.run(bindings); }), "belong to another graph");
  moved.run(kept);

  // A graph without steps is a plan that does nothing.
  std::vector<Device> devices = {cpu};
  if (test::opencl_device()) devices.push_back(*test::opencl_device());
  for (const Device& device : devices) {
    Plan empty = compile(device, Graph().record(), {});
    empty.run(empty.bindings());
  }
}

TEST(Unmade, Devices) {
  Device cpu = Device::cpu(3);
  const Device moved = std::move(cpu);
  EXPECT_EQ(cpu.threads(), 3);
  if (!test::opencl_device()) return;
  Device device = *test::opencl_device();
  const Device same = std::move(device);
  EXPECT_FALSE(device.is_cpu());
  GpuBuffer none;
  const float x = 0;
  float y = 0;
  GpuDevice& gpu = *device.gpu();
  expect_errors({{"upload", [&] { gpu.upload(none, 0, &x, sizeof x); }},
                 {"download", [&] { gpu.download(none, 0, &y, sizeof y); }},
                 {"fill", [&] { gpu.fill_zero(none, 0, 4); }},
                 {"copy", [&] { gpu.copy(none, 0, none, 0, 4); }}},
                "of a device buffer of 0");
}

TEST(Unmade, Engines) {
  const Device cpu = Device::cpu(1);
  const EngineOptions options{.context = 16, .batch = 4};
  const int32_t token = 1;
  EXPECT_CONTAINS(test::error_of([&] { Engine(LanguageModel{}, cpu); }), "no value");
  EXPECT_CONTAINS(test::error_of([&] { trace(LanguageModel{}, cpu, {&token, 1}, {}, {}); }), "no value");
  for (const auto& take : std::vector<std::function<void(LanguageModel&)>>{
           [](LanguageModel& m) { m.logits = kNoValue; }, [](LanguageModel& m) { m.pos_axis = kNoAxis; },
           [](LanguageModel& m) { m.rows_axis = kNoAxis; }, [](LanguageModel& m) { m.tokens = 1 << 20; }}) {
    LanguageModel model = test::small_model();
    take(model);
    EXPECT_CONTAINS(test::error_of([&] { Engine(model, cpu, options); }), "the language model does not say which");
  }

  Engine engine(test::small_model(), cpu, options);
  const int32_t sequence = engine.cache().open();
  engine.decode(sequence, token);
  Engine moved = std::move(engine);
  expect_errors({{"add", [&] { engine.add(0, {&token, 1}, WantLogits::last); }},
                 {"run", [&] { engine.run(); }},
                 {"logits", [&] { engine.logits(0); }},
                 {"input", [&] { engine.input("x", Tensor<f32, Pos>({1})); }},
                 {"output", [&] { engine.output("logits"); }},
                 {"slots", [&] { engine.slots(0); }},
                 {"prefill", [&] { engine.prefill(0, {&token, 1}); }},
                 {"decode", [&] { engine.decode(0, token); }},
                 {"plan", [&] { engine.plan().graph(); }},
                 {"open", [&] { engine.cache().open(); }},
                 {"fork", [&] { engine.cache().fork(0, 1); }},
                 {"close", [&] { engine.cache().close(0); }},
                 {"length", [&] { engine.cache().length(0); }},
                 {"block_tables", [&] { engine.cache().block_tables(); }},
                 {"pool", [&] { engine.cache().pool(); }}},
                "moved from");
  EXPECT_CONTAINS(test::error_of([&] { moved.slots(1); }), "there is no group 1");
  moved.decode(sequence, token);
  EXPECT_EQ(moved.cache().length(sequence), 2);
}

TEST(Unmade, Files) {
  expect_errors({{"load_model", [] { load_model(nullptr); }},
                 {"WeightLoader", [] { WeightLoader(nullptr); }},
                 {"ModelConfig", [] { ModelConfig(nullptr); }}},
                "no checkpoint was given");
  RecordingWriter writer("never_begun.safetensors", {});
  EXPECT_CONTAINS(test::error_of([&] { writer.take(0, 0, 1, {}); }), "was never begun");
  EXPECT_CONTAINS(test::error_of([&] { writer.finish(); }), "was never begun");
}

TEST(Unmade, Generation) {
  ChatTemplate chat("{{ messages }}", "a test");
  const ChatTemplate moved = std::move(chat);
  expect_errors({{"name", [&] { chat.name(); }}, {"render", [&] { chat.render("[]"); }}}, "moved from");
  Sampler sampler({}, 4);
  const Sampler kept = std::move(sampler);
  const std::vector<float> logits = {1, 2, 3, 4};
  expect_errors({{"sample", [&] { sampler.sample(logits); }}, {"accept", [&] { sampler.accept(1); }}}, "moved from");
}

}  // namespace
}  // namespace weft
// NOLINTEND(bugprone-use-after-move, performance-move-const-arg)
