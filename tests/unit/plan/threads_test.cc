// What the headers say that threads may share: devices, models, tensors, files, tokenizers, templates, built programs.
// In every build the results are checked; under ThreadSanitizer (preset tsan) the accesses are.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "models/axes.h"
#include "models/registry.h"
#include "ops/ops.h"
#include "runtime/generate/engine.h"
#include "runtime/plan/eval.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/gpu_device.h"
#include "tests/in_threads.h"
#include "tests/small_model.h"
#include "tests/test_data.h"

namespace weft {
namespace {

using test::in_threads;

std::vector<Device> devices() {
  std::vector<Device> all = {Device::cpu(2), Device::cpu(2, TeamPolicy::adaptive)};
  if (test::opencl_device()) all.push_back(*test::opencl_device());
  return all;
}

// Logits of a prompt in chunks and of a few tokens that follow.
std::vector<float> logits_of(const LanguageModel& model, const Device& device) {
  Engine engine(model, device, {.precision = Precision::exact, .context = 64, .batch = 8, .page_size = 4});
  std::vector<int32_t> prompt(20);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i * 7 % static_cast<size_t>(model.vocab));
  const int32_t sequence = engine.cache().open();
  std::vector<float> all;
  const auto keep = [&all](std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); };
  keep(engine.prefill(sequence, prompt));
  const int32_t branch = engine.cache().length(sequence);
  for (int32_t token = 1; token < 5; ++token) keep(engine.decode(sequence, token));
  engine.cache().trim(sequence, branch);
  keep(engine.decode(sequence, 9));
  return all;
}

TEST(Threads, EnginesShareADeviceAndAModel) {
  const LanguageModel model = test::small_model();
  for (const Device& device : devices()) {
    const std::vector<float> want = logits_of(model, device);
    in_threads([&](int) {
      for (int i = 0; i < 2; ++i) EXPECT_EQ(logits_of(model, device), want) << device.name();
    });
  }
}

// Each thread asks for programs that none has asked for yet, and for those of the others.
TEST(Threads, EvalOnOneDevice) {
  const Tensor<f32, Pos, Embed> x({3, 5}, std::vector<float>(15, 0.5f));
  const Tensor<f32, Embed> w({5}, {1, 2, 3, 4, 5});
  for (const Device& device : devices()) {
    in_threads([&](int thread) {
      for (int i = 0; i < 4; ++i) {
        const auto own = static_cast<float>(thread);
        EXPECT_EQ(eval(device, contract<Embed>(x + own, w)).values()[2], 15 * (0.5f + own));
        switch ((thread + i) % 4) {
          case 0: EXPECT_EQ(eval(device, x * w).values()[1], 1.0f); break;
          case 1: EXPECT_EQ(eval(device, sum<Embed>(x)).values()[0], 2.5f); break;
          case 2: EXPECT_EQ(eval(device, max<Pos>(x - w)).values()[4], -4.5f); break;
          default: EXPECT_EQ(eval(device, minimum(x, w) / 2.0f).values()[7], 0.25f); break;
        }
      }
    });
  }
}

// Graphs are independent; the weights that they read are not written.
TEST(Threads, RecordIntoGraphsOfTheirOwn) {
  const Weight<Embed> w(Tensor<f32, Embed>({5}, {1, 2, 3, 4, 5}));
  in_threads([&](int) {
    Graph graph;
    const auto x = graph.input<f32, Pos, Embed>("x");
    const auto y = materialize(rms_norm<Embed>(x, w, 1e-5f));
    graph.result(y);
    const std::vector<float> data(10, 2.0f);
    const EvalInput input{x.id(), data.data(), {2, 5}};
    const std::vector<EvalResult> results = evaluate(Device::cpu(1), graph.record(), {&input, 1});
    EXPECT_NEAR(reinterpret_cast<const float*>(results[0].bytes.data())[9], 5, 1e-4);
  });
}

TEST(Threads, PlansOfOneGraph) {
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const auto y = materialize(softmax<Embed>(x) * 5.0f);
  graph.result(y);
  const Limits limits = Limits().set(graph.axis<Pos>(), 4).set(graph.axis<Embed>(), 5);
  for (const Device& device : devices()) {
    in_threads([&](int thread) {
      Plan plan = compile(device, graph.record(), limits);
      Bindings bindings = plan.bindings();
      const std::vector<float> data(20, static_cast<float>(thread));
      bindings.input(x.id(), data.data(), {4, 5});
      for (int i = 0; i < 5; ++i) {
        plan.run(bindings);
        EXPECT_NEAR(plan.output(y.id()).floats()[19], 1, 1e-6);
      }
    });
  }
}

TEST(Threads, ACheckpointItsModelAndItsTokenizer) {
  const std::shared_ptr<const Checkpoint> file = Checkpoint::open(test::shipped_model());
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(*file);
  const std::string text = "It is a truth universally acknowledged, that 1813 \xc3\xa9t\xc3\xa9.\n";
  const std::vector<int32_t> ids = tokenizer->encode(text, true);
  const LanguageModel shared = load_model(file);
  const auto first_logits = [&ids](const LanguageModel& model) {
    Engine engine(model, Device::cpu(1), {.context = 32, .batch = 32});
    const auto logits = engine.prefill(engine.cache().open(), std::span(ids).first(4));
    return std::vector<float>(logits.begin(), logits.end());
  };
  const std::vector<float> want = first_logits(shared);
  in_threads([&](int) {
    EXPECT_EQ(tokenizer->encode(text, true), ids);
    StreamDecoder decoder(*tokenizer);
    std::string streamed;
    for (const int32_t id : ids) streamed += decoder.push(id);
    EXPECT_EQ(streamed + decoder.flush(), tokenizer->decode(ids));
    EXPECT_EQ(load_tokenizer(*file)->encode(text, true), ids);
    EXPECT_EQ(first_logits(load_model(file)), want);
    EXPECT_EQ(first_logits(shared), want);
  });
}

TEST(Threads, AChatTemplate) {
  const ChatTemplate chat(
      "{%- set names = {'user': 'U', 'assistant': 'A'} -%}{% macro turn(m) %}{{ names[m.role] }}: {{ m.content | trim "
      "}}\n"
      "{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}{{ strftime_now('%Y') | length }}",
      "a test");
  const std::string messages =
      R"([{"role": "user", "content": " hello "}, {"role": "assistant", "content": "good day"}])";
  const std::string want = "U: hello\nA: good day\n4";
  in_threads([&](int) {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(chat.render(messages), want);
  });
}

}  // namespace
}  // namespace weft
