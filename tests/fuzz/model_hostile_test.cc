// Whole models from hostile files: each file runs a token, or is refused by an error that names it. Small Llama files
// with wrong hyperparameters, tensors of wrong shapes and formats, and bits flipped anywhere.
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/test_data.h"

namespace weft {
namespace {

using test::GgufWriter;

struct Shape {
  uint64_t vocab = 7, embed = 32, heads = 4, kv_heads = 2, head_dim = 8, hidden = 32;
};

// What a test changes about the file.
struct Change {
  std::string key = {}, tensor = {};   // left out
  std::optional<uint32_t> count = {};  // the value of `key` instead
  std::optional<float> number = {};
  std::optional<std::string> text = {};
  std::vector<uint64_t> shape = {};   // of `tensor` instead
  std::optional<uint32_t> type = {};  // ggml type of `tensor` instead
};

std::string llama_file(const Change& change = {}) {
  const Shape s;
  GgufWriter w;
  w.string("general.architecture", "llama");
  const auto key = [&](const std::string& name, auto value) {
    const std::string full = "llama." + name;
    if (name == change.key) {
      if (change.count) w.u32(full, *change.count);
      if (change.number) w.f32(full, *change.number);
      if (change.text) w.string(full, *change.text);
    } else if constexpr (std::is_same_v<decltype(value), float>) {
      w.f32(full, value);
    } else {
      w.u32(full, static_cast<uint32_t>(value));
    }
  };
  key("context_length", 32), key("embedding_length", s.embed), key("block_count", 1);
  key("feed_forward_length", s.hidden), key("attention.head_count", s.heads);
  key("attention.head_count_kv", s.kv_heads), key("attention.layer_norm_rms_epsilon", 1e-5f);
  key("rope.dimension_count", s.head_dim), key("rope.freq_base", 10000.0f);
  for (const char* option :
       {"attention.key_length", "attention.value_length", "rope.scaling.type", "rope.scaling.factor", "expert_count",
        "expert_shared_count", "attention.logit_softcapping", "attention.sliding_window"}) {
    if (change.key == option) key(option, 0);
  }
  std::mt19937 random(1);
  const auto tensor = [&](const std::string& name, std::vector<uint64_t> shape) {
    uint32_t type = 0;
    if (name == change.tensor) {
      if (change.shape.empty() && !change.type) return;
      if (!change.shape.empty()) shape = change.shape;
      type = change.type.value_or(0);
    }
    uint64_t elements = 1;
    for (const uint64_t extent : shape) elements *= extent;
    std::string bytes;
    const uint64_t size = type == 8 ? elements / 32 * 34 : type == 1 || type == 30 ? elements * 2 : elements * 4;
    for (uint64_t i = 0; i < size; ++i) bytes += static_cast<char>(random() % 64);
    w.tensor(name, shape, type, bytes);
  };
  tensor("token_embd.weight", {s.embed, s.vocab}), tensor("output_norm.weight", {s.embed});
  tensor("blk.0.attn_norm.weight", {s.embed}), tensor("blk.0.ffn_norm.weight", {s.embed});
  tensor("blk.0.attn_q.weight", {s.embed, s.heads * s.head_dim});
  tensor("blk.0.attn_k.weight", {s.embed, s.kv_heads * s.head_dim});
  tensor("blk.0.attn_v.weight", {s.embed, s.kv_heads * s.head_dim});
  tensor("blk.0.attn_output.weight", {s.heads * s.head_dim, s.embed});
  tensor("blk.0.ffn_gate.weight", {s.embed, s.hidden}), tensor("blk.0.ffn_up.weight", {s.embed, s.hidden});
  tensor("blk.0.ffn_down.weight", {s.hidden, s.embed});
  if (change.tensor == "rope_freqs.weight") tensor(change.tensor, {s.head_dim / 2});
  return w.bytes();
}

// "" if the file ran a token, else its error.
std::string use(const std::filesystem::path& path) {
  return test::error_of([&] {
    const auto file = Checkpoint::open(path);
    Engine engine(load_model(file), Device::cpu(1), {.context = 8, .batch = 4});
    engine.prefill(engine.cache().open(), std::vector<int32_t>{0, 1, 2});
  });
}

constexpr const char* kRan = "(no error)";

TEST(HostileModel, TheUnchangedFileRuns) {
  const test::TempFile file(llama_file());
  EXPECT_EQ(use(file.path()), kRan);
}

TEST(HostileModel, WrongHyperparametersAreNamed) {
  constexpr uint32_t kHuge[] = {0, 3, 5, 65537, 400000000, 2147483646, 2147483647, 2147483648u, 4294967295u};
  int refused = 0;
  for (const char* key :
       {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
        "attention.head_count_kv", "rope.dimension_count", "attention.key_length"}) {
    for (const uint32_t value : kHuge) {
      if (std::string(key) == "context_length" && value != 0) continue;
      const test::TempFile file(llama_file({.key = key, .count = value}));
      const std::string error = use(file.path());
      if (error == kRan) continue;
      ++refused;
      EXPECT_CONTAINS(error, file.path().filename().string());
    }
    const test::TempFile text(llama_file({.key = key, .text = "many"}));
    EXPECT_CONTAINS(use(text.path()), std::string(key));
  }
  EXPECT_GE(refused, 55);
  for (const char* key : {"attention.layer_norm_rms_epsilon", "rope.freq_base"}) {
    for (const float value :
         {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const test::TempFile file(llama_file({.key = key, .number = value}));
      EXPECT_CONTAINS(use(file.path()), std::string(key));
    }
  }
}

TEST(HostileModel, OptionsThatWouldChangeTheResultAreNamed) {
  for (const char* key : {"expert_shared_count", "attention.logit_softcapping", "attention.value_length"}) {
    const test::TempFile file(llama_file({.key = key, .count = 4}));
    EXPECT_CONTAINS(use(file.path()), std::string(key));
  }
  const test::TempFile window(llama_file({.key = "attention.sliding_window", .count = 4}));
  EXPECT_EQ(use(window.path()), kRan);
  const test::TempFile experts(llama_file({.key = "expert_count", .count = 4}));
  EXPECT_CONTAINS(use(experts.path()), std::string("expert_used_count"));
  const test::TempFile factor(llama_file({.key = "rope.scaling.factor", .number = 8.0f}));
  EXPECT_EQ(use(factor.path()), kRan);  // linear
  const test::TempFile type(llama_file({.key = "rope.scaling.type", .text = "longrope"}));
  EXPECT_CONTAINS(use(type.path()), std::string("rope.scaling"));
  const test::TempFile unscaled(llama_file({.key = "rope.scaling.type", .text = "yarn"}));
  EXPECT_CONTAINS(use(unscaled.path()), std::string("rope.scaling.factor"));
  const test::TempFile none(llama_file({.key = "rope.scaling.type", .text = "none"}));
  EXPECT_EQ(use(none.path()), kRan);
}

TEST(HostileModel, TensorsThatDoNotFitAreNamed) {
  for (const char* name : {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_output.weight",
                           "blk.0.ffn_down.weight"}) {
    for (const std::vector<uint64_t>& shape :
         std::vector<std::vector<uint64_t>>{{}, {16}, {32, 3}, {32, 2, 3}, {1, 1, 1, 64}}) {
      const test::TempFile file(llama_file({.tensor = name, .shape = shape}));
      const std::string error = use(file.path());
      if (error == kRan) continue;  // another vocabulary
      EXPECT_CONTAINS(error, std::string(name));
      EXPECT_CONTAINS(error, file.path().filename().string());
    }
    for (const uint32_t type : {26u, 14u, 28u}) {  // I32, Q6_K, F64
      const test::TempFile file(llama_file({.tensor = name, .type = type}));
      const std::string error = use(file.path());
      EXPECT_NE(error, kRan);
      EXPECT_CONTAINS(error, file.path().filename().string());
    }
    for (const uint32_t type : {1u, 8u, 30u}) {  // norms, too, may be in any float format
      const test::TempFile file(llama_file({.tensor = name, .type = type}));
      EXPECT_EQ(use(file.path()), kRan) << name << " as " << type;
    }
  }
  const test::TempFile ints(llama_file({.tensor = "rope_freqs.weight", .type = 26}));
  EXPECT_CONTAINS(use(ints.path()), std::string("rope_freqs.weight"));
}

// Harmless where nothing reads them, as some converters leave them.
TEST(HostileModel, TensorsWithoutElements) {
  for (const std::vector<uint64_t>& shape : std::vector<std::vector<uint64_t>>{{0}, {0, 64}, {64, 0}}) {
    const test::TempFile extra(llama_file({.tensor = "rope_freqs.weight", .shape = shape}));
    const std::string error = use(extra.path());
    EXPECT_CONTAINS(error, std::string("tensor 'rope_freqs.weight' is ["));  // a tensor that is known
    std::string bytes = test::read_file(extra.path());
    bytes.replace(bytes.find("rope_freqs.weight"), 17, "feature.flag.here");
    extra.write(bytes);
    EXPECT_EQ(use(extra.path()), kRan);
    for (const char* name : {"output_norm.weight", "blk.0.attn_q.weight", "token_embd.weight"}) {
      const test::TempFile file(llama_file({.tensor = name, .shape = shape}));
      EXPECT_CONTAINS(use(file.path()), std::string("tensor '") + name + "' ");
      EXPECT_CONTAINS(use(file.path()), file.path().filename().string());
    }
  }
}

TEST(HostileModel, FlippedBitsRunOrAreRefused) {
  const std::string good = llama_file();
  std::mt19937 random(5);
  int refused = 0;
  const test::TempFile file(good);
  for (int i = 0; i < 400; ++i) {
    std::string bad = good;
    // Most of them in the metadata and the tensor table, which lead.
    const size_t range = i % 4 == 0 ? bad.size() : 1800;
    bad[random() % std::min(range, bad.size())] ^= static_cast<char>(1 << random() % 8);
    if (i % 10 == 9) bad.resize(random() % bad.size());
    file.write(bad);
    const std::string error = use(file.path());
    if (error == kRan) continue;
    ++refused;
    EXPECT_CONTAINS(error, file.path().filename().string());
  }
  EXPECT_GE(refused, 100);
}

}  // namespace
}  // namespace weft
