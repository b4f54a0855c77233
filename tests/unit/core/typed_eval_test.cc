// A fixed sample of typed expressions, every kind of region among them: eval on the CPU (exact and fast, 1 and 2
// threads) and on OpenCL against the double-precision reference of the very record that materialize makes.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/record/verify.h"
#include "models/axes.h"
#include "ops/harness/reference.h"
#include "ops/ops.h"
#include "runtime/plan/eval.h"
#include "runtime/plan/extents.h"
#include "tests/gpu_device.h"

namespace weft {
namespace {

struct Expert : axis<"expert"> {};
struct Choice : axis<"choice"> {};
struct Part : axis<"part"> {};
struct Value_ : axis<"value"> {};

template <class T, class... A>
Tensor<T, A...> random(std::array<int64_t, sizeof...(A)> extents, unsigned seed = 1) {
  std::mt19937 source(seed);
  Tensor<T, A...> tensor(extents);
  for (T& x : tensor.values()) {
    const float uniform = static_cast<float>(source()) / 2147483648.0f - 1.0f;
    if constexpr (std::is_same_v<T, i32>) x = static_cast<i32>(source() % 5);
    else x = T(uniform);
  }
  return tensor;
}

template <class... A>
Weight<A...> quantized(Format format, std::array<int64_t, sizeof...(A)> extents) {
  auto storage = allocate_storage("w", format, axis_list<Axes<A...>>::get(), extents);
  const auto row = static_cast<size_t>(extents.back());
  std::mt19937 source(7);
  std::vector<float> values(row);
  for (size_t at = 0; at < storage->bytes(); at += row_bytes(format, row)) {
    for (float& x : values) x = static_cast<float>(source()) / 2147483648.0f - 1.0f;
    encode_row(format, values.data(), row, storage->data + at);
  }
  return Weight<A...>(storage);
}

// The reference's results of a one-step graph whose leaves are all tensors.
std::vector<std::vector<float>> reference(const StepRequest& request) {
  const auto recorder = std::make_shared<Recorder>();
  const std::vector<ValueId> outputs = record_step(request, recorder);
  const GraphRecord& graph = *recorder->record();
  verify(graph);
  const ExtentTable extents = ExtentTable::of_graph(graph);
  std::vector<std::vector<std::byte>> memory(graph.values.size());
  std::vector<void*> data(graph.values.size());
  std::vector<size_t> counts(graph.values.size());
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const ValueRecord& value = graph.values[i];
    if (value.storage) {
      data[i] = value.storage->data;
      continue;
    }
    counts[i] = 1;
    for (const AxisId axis : value.axes) counts[i] *= static_cast<size_t>(extents[axis]);
    memory[i].resize(std::max<size_t>(counts[i] * 4, 1));
    data[i] = memory[i].data();
  }
  StepArgs args;
  args.extents = extents.data();
  args.data = data.data();
  run_reference(graph, graph.steps[0], args);
  std::vector<std::vector<float>> results;
  for (const ValueId id : outputs) {
    std::vector<float> result(counts[id]);
    for (size_t i = 0; i < result.size(); ++i) {
      const std::byte* at = memory[id].data();
      if (graph.values[id].format == Format::f32) result[i] = reinterpret_cast<const float*>(at)[i];
      else if (graph.values[id].format == Format::i32)
        result[i] = static_cast<float>(reinterpret_cast<const i32*>(at)[i]);
      else result[i] = static_cast<float>(at[i]);
    }
    results.push_back(std::move(result));
  }
  return results;
}

template <class T, class... A>
std::vector<float> floats(const Tensor<T, A...>& tensor) {
  return std::vector<float>(tensor.values().begin(), tensor.values().end());
}
template <class... T>
std::vector<std::vector<float>> all_floats(const std::tuple<T...>& tensors) {
  return std::apply([](const auto&... t) { return std::vector<std::vector<float>>{floats(t)...}; }, tensors);
}
template <class T, class... A>
std::vector<std::vector<float>> all_floats(const Tensor<T, A...>& tensor) {
  return {floats(tensor)};
}

void expect_near(const std::vector<std::vector<float>>& got, const std::vector<std::vector<float>>& want,
                 double tolerance, const std::string& where) {
  ASSERT_EQ(got.size(), want.size()) << where;
  for (size_t r = 0; r < got.size(); ++r) {
    ASSERT_EQ(got[r].size(), want[r].size()) << where;
    float largest = 1;
    for (const float x : want[r]) {
      if (std::isfinite(x)) largest = std::max(largest, std::fabs(x));
    }
    for (size_t i = 0; i < got[r].size(); ++i) {
      if (std::isnan(want[r][i])) {
        EXPECT_TRUE(std::isnan(got[r][i])) << where << ", element " << i;
      } else if (std::isinf(want[r][i])) {
        EXPECT_EQ(got[r][i], want[r][i]) << where << ", element " << i;
      } else {
        EXPECT_NEAR(got[r][i], want[r][i], tolerance * largest) << where << ", element " << i;
      }
    }
  }
}

template <class X>
StepRequest request_of(const X& x) {
  using E = expr_of<X>;
  return {.regions = {{as_expr(x).node, axis_list<typename E::axes>::get()}}};
}
template <class List, bool V>
StepRequest request_of(const Choose<List, V>& choose) {
  return select_detail::request(choose, {});
}
template <class Result, class Query>
StepRequest request_of(const WithStatistics<Result, Query>& attention) {
  return attention_detail::request(attention, {});
}

// `fast`: what rounded activations may cost, relative to the largest result.
template <class X>
void check(const std::string& what, const X& x, double fast = 1e-5) {
  const auto want = reference(request_of(x));
  for (const int threads : {1, 2}) {
    expect_near(all_floats(eval(Device::cpu(threads), x)), want, 1e-5, what + ", cpu");
  }
  const PlanOptions rounded{.precision = Precision::fast};
  expect_near(all_floats(eval(Device::cpu(1), x, rounded)), want, fast, what + ", cpu fast");
  if (const auto& gpu = test::opencl_device()) expect_near(all_floats(eval(*gpu, x)), want, 2e-5, what + ", opencl");
}

TEST(TypedEval, Maps) {
  const auto x = random<f32, Pos, Embed>({3, 17});
  const auto y = random<f32, Embed>({17}, 2);
  const auto n = random<i32, Pos>({3}, 3);
  check("broadcast", x * y + 1.0f);
  check("gate", silu(x) * y);
  check("function", map([](auto a, auto b) { return where(a > b, exp(a), tanh(b) - a / 3.0f); }, x, y));
  check("coordinates", where(index<Embed>() % 3 == n, x, -inf));
  check("cast", cast<f32>(n) * x + cast<f32>(x > 0.0f && !(y > x)));
  check("ints", n * 3 - index<Pos>());
  check("gelu", gelu_tanh(x) + pow(abs(x), 0.5f));
  check("exact gelu", gelu(x * 3.0f) + softplus(x * 5.0f) * log1p(abs(x)) - rsqrt(abs(x) + 0.1f));
  check("extents", cast<f32>(extent<Embed>() - index<Embed>()) * x / cast<f32>(extent<Pos>()));
  check("length 1", exp(random<f32, Pos, Embed>({1, 1})));
  check("empty", exp(random<f32, Pos, Embed>({0, 5})));
}

TEST(TypedEval, ViewsAndGathers) {
  const auto x = random<f32, Pos, Embed>({4, 24});
  const auto ids = random<i32, Key, Choice>({3, 2});
  check("split", split<Embed, KvHead, HeadDim>(x) * random<f32, KvHead>({3}) + random<f32, HeadDim>({8}));
  check("merge", merge<Pos, Embed, Value_>(x) + 1.0f);
  check("slice", slice<Embed, Part>(x, 5, 7) * 2.0f);
  check("rename", contract<Embed>(x, rename<Pos, Key>(x)));
  check("gather", at<Pos>(x, ids) * 2.0f);  // id 4 is out of range: zeros
  check("gather per row", at<Embed>(x, random<i32, Pos, Choice>({4, 3})) + 0.5f);
  check("shifted rows", at<Pos>(x, index<Pos>() - 1) + x);
  check("one row", at<Pos>(x, 2) * 3.0f);
  check("computed ids", at<Embed>(x, index<Key>() * 3 - random<i32, Key>({5})));
  check("ids by a norm", at<Pos>(x, argmax<Embed>(random<f32, Key, Embed>({5, 24}, 4)) / 5));
  check("ids by a contraction", at<Pos>(x, cast<i32>(contract<Embed>(random<f32, Key, Embed>({3, 24}, 8), x))));
  const auto narrow = random<f32, Pos, Part>({4, 7}, 3);
  check("concat", concat<Embed, Part, Value_>(x, narrow) * 2.0f);
  check("concat of rows", concat<Pos, Key, Value_>(x, random<f32, Key, Embed>({3, 24}, 9)));
  check("concat of ints", concat<Key, Choice, Value_>(random<i32, Key>({3}), random<i32, Choice>({2}, 2)) + 1);
  check("contracted concat",
        contract<Value_>(concat<Embed, Part, Value_>(x, narrow), random<f32, Hidden, Value_>({5, 31}, 4)));
  for (const Format format : {Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    check("computed rows of " + std::string(name(format)),
          at<Vocab>(quantized<Vocab, Embed>(format, {6, 64}), index<Pos>() * 2 + random<i32, Pos>({3})));
    check("rows of " + std::string(name(format)), at<Vocab>(quantized<Vocab, Embed>(format, {6, 64}), ids));
  }
}

TEST(TypedEval, NormsAndReductions) {
  const auto x = random<f32, Pos, KvHead, Embed>({3, 2, 33});
  const auto w = random<f32, Embed>({33}, 2);
  const auto pos = random<i32, Pos>({3}, 5);
  check("rms_norm", rms_norm<Embed>(x, w, 1e-5f));
  check("l2_norm", l2_norm<Embed>(x, 1e-6f));
  check("layer_norm", layer_norm<Embed>(x, w, w * 2.0f, 1e-5f));
  check("softmax", softmax<Embed>(x * 4.0f));
  check("softmax of another axis", softmax<Pos>(x) + x);
  check("softmax with a sink", softmax<Embed>(x * 4.0f, random<f32, Pos>({3}, 9)) * 2.0f);
  check("softmax with a sink, contracted",
        contract<Embed>(softmax<Embed>(x, 1.0f), random<f32, Hidden, Embed>({5, 33}, 10)));
  check("masked softmax with a sink", softmax<Embed>(where(index<Embed>() < pos, x, -inf), 0.5f));
  check("masked softmax", softmax<Embed>(where(index<Embed>() < pos, x, -inf)));
  check("sums", sum<Embed>(x) * mean<Embed>(x * x) - max<Embed>(x));
  check("argmax", cast<f32>(argmax<KvHead>(x)) + max<KvHead>(x));
  const auto heads = random<f32, Pos, KvHead, HeadDim>({3, 2, 16});
  check("rope", rope<HeadDim>(heads, pos));
  check("rope of a norm",
        rope<HeadDim>(rms_norm<HeadDim>(heads, 1e-5f), pos, {.pairs = RopePairs::interleaved}) * 0.5f);
  check("partial rope", rope<HeadDim>(heads, pos, {.frequencies = rope_frequencies(500.0f, 6), .scale = 1.5f}));
  const auto row = random<i32, Pos>({3}, 6), column = random<i32, Pos>({3}, 7);
  check("rope by three positions", rope<HeadDim>(heads, pos, row, column, {.sections = {4, 2, 2}}));
  check("rope by two positions",
        rope<HeadDim>(heads, pos, row, {.frequencies = rope_frequencies(500.0f, 6), .sections = {1, 2}}) + 1.0f);
  check("top_k", top_k<Embed, Choice>(x, 4));
  check("top_k of a softmax", top_k<Embed, Choice>(softmax<Embed>(x), 2));
}

TEST(TypedEval, Contractions) {
  const auto x = random<f32, Pos, Embed>({5, 64});
  const auto pos = random<i32, Pos>({5}, 5);
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    const std::string label(name(format));
    // Activations are rounded to int8; or to bf16, where the CPU has AMX, if they meet elements of 16 bits.
    const double fast = info(format).block_elements > 1 ? 3e-2 : format == Format::f32 ? 1e-5 : 1e-2;
    const auto w = quantized<Hidden, Embed>(format, {19, 64});
    const auto heads = quantized<KvHead, HeadDim, Embed>(format, {2, 8, 64});
    check(label, contract<Embed>(x, w), fast);
    check(label + " norm before, gate after",
          silu(contract<Embed>(rms_norm<Embed>(x, 1e-5f), w)) * contract<Embed>(rms_norm<Embed>(x, 1e-5f), w), fast);
    check(label + " residual", random<f32, Pos, Hidden>({5, 19}) + contract<Embed>(x, w), fast);
    check(label + " rope", rope<HeadDim>(contract<Embed>(x, heads), pos), fast);
    check(label + " argmax", argmax<Hidden>(contract<Embed>(x, w)), 100.0);
  }
  const auto gain = random<f32, HeadDim>({8}, 6);
  const auto heads = random<f32, KvHead, HeadDim, Embed>({2, 8, 64}, 7);
  const auto wide = random<f32, Hidden, Embed>({700, 64}, 8);
  check("norm of each head", rms_norm<HeadDim>(contract<Embed>(x, heads), gain, 1e-2f));
  check("norm of each head, turned",
        rope<HeadDim>(rms_norm<HeadDim>(contract<Embed>(x, heads) + gain, gain, 1e-2f), pos) * 0.5f);
  check("norm of other axes", layer_norm<KvHead>(contract<Embed>(x, heads), 1e-1f));
  check("norm of wide rows", random<f32, Pos, Hidden>({5, 700}) + rms_norm<Hidden>(contract<Embed>(x, wide), 1e-2f));
  check("norm of a norm", layer_norm<Hidden>(rms_norm<Hidden>(contract<Embed>(x, wide), 1e-2f) + 1.0f, 1e-1f));
  check("norm beside what it is of",
        contract<Embed>(x, wide) * 0.1f + rms_norm<Hidden>(contract<Embed>(x, wide), 1e-2f));
  check("choice of a norm", top_k<Hidden, Choice>(rms_norm<Hidden>(contract<Embed>(x, wide), 1e-2f), 3));
  // Blocks that span axes: rows of 288 are nine blocks, heads of 48 are one and a half.
  for (const Format format : {Format::q8_0, Format::q4_0}) {
    const std::string label = std::string(name(format)) + " heads of 48";
    auto storage = allocate_storage("w", format, axis_list<Axes<Embed, KvHead, Group, HeadDim>>::get(),
                                    std::array<int64_t, 4>{7, 2, 3, 48});
    const auto source = random<f32, Embed>({7 * 288}, 11);
    encode_row(format, source.data(), source.size(), storage->data);
    const Weight<Embed, KvHead, Group, HeadDim> w(storage);
    const auto a = random<f32, Pos, KvHead, Group, HeadDim>({5, 2, 3, 48}, 12);
    check(label, contract<KvHead, Group, HeadDim>(a, w), 3e-2);
    check(label + ", one head at a time", contract<HeadDim>(random<f32, Pos, HeadDim>({5, 48}), w), 3e-2);
    check(label + ", elementwise", w * 2.0f);
    check(label + ", sliced", contract<Part>(random<f32, Pos, Part>({3, 40}), slice<HeadDim, Part>(w, 5, 40)), 3e-2);
    check(label + ", transposed", contract<Embed>(random<f32, Pos, Embed>({3, 7}), w), 3e-2);
  }
  check("batch axes",
        contract<HeadDim>(random<f32, Pos, KvHead, HeadDim>({3, 2, 9}), random<f32, KvHead, Key, HeadDim>({2, 4, 9})));
  check("transposed", contract<Hidden>(random<f32, Pos, Hidden>({3, 10}), random<f32, Hidden, Embed>({10, 7})));
  check("top_k", top_k<Hidden, Choice>(contract<Embed>(x, random<f32, Hidden, Embed>({12, 64})), 3));
  const auto ids = random<i32, Pos, Choice>({5, 2}, 9);
  const auto up = random<f32, Expert, Hidden, Embed>({6, 11, 64});
  check("selected weights", contract<Embed>(x, at<Expert>(up, ids)));
  const auto p = random<f32, Pos, Choice>({5, 2});
  const auto down = random<f32, Expert, Embed, Hidden>({6, 64, 11});
  check("weighted sum over choices",
        contract<Choice, Hidden>(random<f32, Pos, Choice, Hidden>({5, 2, 11}) * p, at<Expert>(down, ids)));
}

// The same elements with scales beside them: one, or one for each coordinate of the first axis.
template <class... A>
Weight<A...> with_scale(const Weight<A...>& weight, std::vector<float> scales) {
  auto scale = std::make_shared<Storage>();
  scale->name = "scale";
  if (scales.size() > 1) scale->extents = {static_cast<int64_t>(scales.size())};
  const auto owner = std::make_shared<std::vector<float>>(std::move(scales));
  scale->data = reinterpret_cast<std::byte*>(owner->data());
  scale->owner = owner;
  auto storage = std::make_shared<Storage>(*weight.storage());
  storage->scale = scale;
  return Weight<A...>(storage);
}

// An expression with scaled weights has the value of one that multiplies itself.
template <class X, class Y>
void check_same(const std::string& what, const X& scaled, const Y& multiplied) {
  expect_near(reference(request_of(scaled)), reference(request_of(multiplied)), 1e-6, what + ", reference");
  check(what, scaled, 3e-2);
}

TEST(TypedEval, WeightsWithScales) {
  const auto x = random<f32, Pos, Embed>({5, 64});
  const auto ids = random<i32, Pos, Choice>({5, 2}, 9);
  for (const Format format : {Format::nvfp4, Format::f32, Format::q8_0}) {
    SCOPED_TRACE(name(format));
    const auto w = quantized<Hidden, Embed>(format, {19, 64});
    const auto by = with_scale(w, {0.375f});
    check_same("contraction", contract<Embed>(x, by), contract<Embed>(x, w) * 0.375f);
    check_same("epilogue", silu(contract<Embed>(x, by)) + 1.0f, silu(contract<Embed>(x, w) * 0.375f) + 1.0f);
    check_same("renamed", contract<Part>(rename<Embed, Part>(x), rename<Embed, Part>(by)),
               contract<Embed>(x, w) * 0.375f);
    check_same("elementwise", by + 1.0f, w * 0.375f + 1.0f);
    check_same("gather", at<Hidden>(by, ids), at<Hidden>(w, ids) * 0.375f);
    const auto heads = quantized<KvHead, HeadDim, Embed>(format, {2, 8, 64});
    const auto pos = random<i32, Pos>({5}, 5);
    check_same("rope", rope<HeadDim>(contract<Embed>(x, with_scale(heads, {-2.5f})), pos),
               rope<HeadDim>(contract<Embed>(x, heads) * -2.5f, pos));

    const std::vector<float> numbers = {0.5f, -1, 2, 0.25f, 3, 1.5f};
    Tensor<f32, Expert> s({6});
    std::copy(numbers.begin(), numbers.end(), s.values().begin());
    const auto up = quantized<Expert, Hidden, Embed>(format, {6, 11, 64});
    const auto ups = with_scale(up, numbers);
    check_same("each expert", contract<Embed>(x, ups), contract<Embed>(x, up) * s);
    check_same("selected experts", contract<Embed>(x, at<Expert>(ups, ids)),
               contract<Embed>(x, at<Expert>(up, ids)) * at<Expert>(s, ids));
    check_same("a slice of experts", contract<Embed>(x, slice<Expert, Part>(ups, 2, 3)),
               contract<Embed>(x, slice<Expert, Part>(up, 2, 3)) * slice<Expert, Part>(s, 2, 3));
    // Terms of one sum have different scales.
    const auto down = quantized<Expert, Hidden, Embed>(format, {6, 11, 64});
    const auto h = random<f32, Pos, Choice, Embed>({5, 2, 64});
    check_same("sum over choices", contract<Choice, Embed>(h, at<Expert>(with_scale(down, numbers), ids)),
               contract<Choice, Embed>(h * at<Expert>(s, ids), at<Expert>(down, ids)));
  }
  const auto scaled = with_scale(quantized<Embed, Hidden>(Format::f32, {6, 8}), {1, 2, 3, 4, 5, 6});
  const auto splitting = split<Embed, KvHead, HeadDim>(scaled) * random<f32, KvHead>({3});
  EXPECT_THROW(eval(Device::cpu(1), splitting), Error);
}

TEST(TypedEval, Attention) {
  const auto q = random<f32, Pos, KvHead, Group, HeadDim>({7, 2, 3, 16});
  const auto k = random<f32, Key, KvHead, HeadDim>({7, 2, 16}, 2);
  const auto v = random<f32, Key, KvHead, Value_>({7, 2, 9}, 3);
  const auto slope = random<f32, KvHead, Group>({2, 3}, 4);
  const auto score = contract<HeadDim>(q, k) * 0.25f;
  const auto distance = index<Pos>() - index<Key>();
  // `fast` may round all that is multiplied to bf16.
  const auto check_attention = [](const std::string& what, const auto& x) { check(what, x, 0.01); };
  const auto attend = [&](const auto& s) { return contract<Key>(softmax<Key>(s), v); };
  const auto causal = distance >= 0;
  const auto window = distance < 3 && distance > -3;
  const auto prefix = distance >= 0 || index<Key>() < 4;
  check_attention("plain", attend(score));
  check_attention("causal", attend(where(causal, score, -inf)));
  check_attention("window", attend(where(window, score, -inf)));
  check_attention("ALiBi", attend(where(causal, score - slope * cast<f32>(distance), -inf)));
  check_attention("soft cap", attend(2.0f * tanh(score / 2.0f)));
  check_attention("prefix-LM", attend(where(prefix, score, -inf)));
  check_attention("causal window", attend(where(causal && window, score, -inf)));
  check_attention("prefix-LM, ALiBi", attend(where(prefix, score - slope * cast<f32>(distance), -inf)));
  check_attention("soft cap, causal", attend(where(causal, 2.0f * tanh(score / 2.0f), -inf)));
  check_attention("rows that see nothing", attend(where(distance >= 3, score, -inf)));
  check("with statistics", with_statistics(attend(where(window, score, -inf))));
  check("with statistics, rows that see nothing", with_statistics(attend(where(distance >= 3, score, -inf))));
  const auto attend_beside = [&](const auto& s, const auto& sink) { return contract<Key>(softmax<Key>(s, sink), v); };
  const auto sinks = random<f32, KvHead, Group>({2, 3}, 8);
  check_attention("sink", attend_beside(where(causal, score, -inf), sinks));
  check_attention("sink of a number", attend_beside(score, 0.0f));
  check_attention("sink of each row",
                  attend_beside(where(window, score, -inf), sinks * 2.0f + cast<f32>(index<Pos>())));
  check_attention("sink, rows that see nothing", attend_beside(where(distance >= 3, score, -inf), sinks));
  check("sink with statistics", with_statistics(attend_beside(where(window, score, -inf), sinks)));
  check_attention("two contractions", attend(score + contract<Part>(random<f32, Pos, KvHead, Group, Part>({7, 2, 3, 5}),
                                                                    random<f32, Key, Part>({7, 5}))));
  check_attention("length 1",
                  contract<Key>(softmax<Key>(contract<HeadDim>(random<f32, Pos, KvHead, Group, HeadDim>({1, 1, 1, 8}),
                                                               random<f32, Key, KvHead, HeadDim>({1, 1, 8}))),
                                random<f32, Key, KvHead, HeadDim>({1, 1, 8})));
}

// Extents that disagree are found where inputs are bound; the error names the axis, both extents, both operands.
// Formulas, where the reference evaluates the same record.
TEST(TypedEval, ValuesOfSmallOperations) {
  const Tensor<f32, Pos, Embed> x({2, 3}, {3, 0, 4, -1, 2, 0.5});
  const auto unit = eval(Device::cpu(1), l2_norm<Embed>(x, 0.0f));
  EXPECT_NEAR(unit.values()[0], 0.6, 1e-6);
  EXPECT_NEAR(unit.values()[2], 0.8, 1e-6);
  const auto exact = eval(Device::cpu(1), gelu(x));
  for (size_t i = 0; i < 6; ++i) {
    const auto v = static_cast<double>(x.values()[i]);
    EXPECT_NEAR(exact.values()[i], v / 2 * (1 + std::erf(v / std::sqrt(2.0))), 1e-6);
  }
  const Tensor<f32, Pos, Part> y({2, 1}, {7, 8});
  const auto both = eval(Device::cpu(1), concat<Part, Embed, Value_>(y, x));
  EXPECT_EQ(floats(both), (std::vector<float>{7, 3, 0, 4, 8, -1, 2, 0.5}));
  EXPECT_EQ(floats(eval(Device::cpu(1), at<Embed>(x, index<Embed>() - 1))), (std::vector<float>{0, 3, 0, 0, -1, 2}));
  const Tensor<f32, Value_> wide({9});
  EXPECT_THROW(eval(Device::cpu(1), concat<Part, Embed, Value_>(y, x) * wide), Error);  // 1 + 3 is not 9
  EXPECT_THROW(rope<Embed>(x, random<i32, Pos>({2}), {.sections = {1, 1}}), Error);
}

TEST(TypedEval, ExtentsThatDisagree) {
  const auto x = random<f32, Pos, Embed>({3, 64});
  const auto w = random<f32, Hidden, Embed>({19, 32});
  try {
    eval(Device::cpu(1), contract<Embed>(x, w));
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("embed"), std::string::npos) << text;
    EXPECT_NE(text.find("64"), std::string::npos) << text;
    EXPECT_NE(text.find("32"), std::string::npos) << text;
    EXPECT_NE(text.find("tensor 0"), std::string::npos) << text;
    EXPECT_NE(text.find("tensor 1"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace weft
