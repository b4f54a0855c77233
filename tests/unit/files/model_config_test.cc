// What a family declares of its configuration and of its tensors' names, and lists of numbers.
#include "runtime/files/model_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/axes.h"
#include "runtime/files/model_family.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/hf_model.h"

namespace weft {
namespace {

using nlohmann::json;
using test::error_of;

class DeclaredFamily : public testing::Test {
 protected:
  DeclaredFamily() {
    declare_family({.name = "aliased",
                    .keys = {{"embedding_length", {"n_embd"}}, {"rope.dimension_sections", {"sections"}}},
                    .ignored = {"summary_type"},
                    .prefixes = {"transformer.", "model."},
                    .layer_prefixes = {"h.", "layers."},
                    .assumed = {{"n_embd", int64_t{48}}}});
  }
  std::shared_ptr<const Checkpoint> open(json config, const std::vector<std::string>& tensors = {"any"}) const {
    config["model_type"] = "aliased";
    test::HfTensors all;
    for (const std::string& name : tensors) all[name] = {{2}, {1, 2}};
    directory_.write("config.json", config.dump());
    directory_.write("model.safetensors", test::safetensors_bytes(all));
    return Checkpoint::open(directory_.path());
  }
  ModelConfig config(const json& values) const { return ModelConfig(open(values)); }

  test::TempDirectory directory_;
};

TEST_F(DeclaredFamily, KeysHaveFurtherNames) {
  EXPECT_EQ(config({{"n_embd", 32}}).count("embedding_length"), 32);
  EXPECT_EQ(config({{"hidden_size", 24}}).count("embedding_length"), 24);
  EXPECT_EQ(config(json::object()).count("embedding_length"), 48);
  EXPECT_EQ(config({{"n_embd", 32}, {"hidden_size", 32}}).count("embedding_length"), 32);
  const ModelConfig both = config({{"n_embd", 32}, {"hidden_size", 24}});
  EXPECT_CONTAINS(error_of([&] { both.count("embedding_length"); }),
                  "config.json: key 'n_embd': contradicts hidden_size");
  const ModelConfig wrong = config({{"n_embd", "wide"}});
  EXPECT_CONTAINS(error_of([&] { wrong.count("embedding_length"); }),
                  "key 'n_embd': is the string 'wide', not an integer");
}

TEST_F(DeclaredFamily, IgnoredKeysAreNoUnknownOptions) {
  config({{"summary_type", "first"}}).refuse_unknown();
  EXPECT_CONTAINS(error_of([&] { config({{"summary_kind", "first"}}).refuse_unknown(); }), "summary_kind");
}

TEST_F(DeclaredFamily, NumbersAreListsOrOneForAll) {
  const ModelConfig given = config({{"sections", {16, 24, 24, 0}}, {"one", 2.5}, {"many", {0.5, -1, 3}}});
  EXPECT_EQ(given.counts("rope.dimension_sections"), (std::vector<int64_t>{16, 24, 24, 0}));
  EXPECT_EQ(given.counts("rope.dimension_sections", 4), (std::vector<int64_t>{16, 24, 24, 0}));
  EXPECT_EQ(given.numbers("one", 3), (std::vector<double>{2.5, 2.5, 2.5}));
  EXPECT_EQ(given.numbers("one"), std::vector<double>{2.5});
  EXPECT_EQ(given.numbers("many", 3), (std::vector<double>{0.5, -1, 3}));
  const auto error = [&](const auto& read) { return error_of(read); };
  EXPECT_CONTAINS(error([&] { given.counts("rope.dimension_sections", 3); }),
                  "config.json: key 'sections': has 4 values, expected 3");
  EXPECT_CONTAINS(error([&] { given.counts("many", 3); }),
                  "key 'many': is 0.5 at index 0, not an integer between 0 and 2147483647");
  EXPECT_CONTAINS(error([&] { given.numbers("none", 3); }), "key 'none': is missing");
  EXPECT_CONTAINS(error([&] { config({{"many", {"a", "b"}}}).numbers("many"); }), "not a number or a list of numbers");
  EXPECT_CONTAINS(error([&] { config({{"many", {1, -2}}}).counts("many"); }), "is -2 at index 1");
}

TEST_F(DeclaredFamily, GgufFilesHaveListsToo) {
  test::GgufWriter writer;
  writer.string("general.architecture", "aliased");
  writer.u32("aliased.embedding_length", 40);
  writer.u32("aliased.attention.head_count", 4);
  const test::TempFile file(writer.bytes());
  const ModelConfig config(Checkpoint::open(file.path()));
  EXPECT_EQ(config.count("embedding_length"), 40);
  EXPECT_EQ(config.counts("attention.head_count", 3), (std::vector<int64_t>{4, 4, 4}));
  EXPECT_CONTAINS(error_of([&] { config.numbers("rope.dimension_sections"); }),
                  "key 'aliased.rope.dimension_sections': is missing");
}

TEST_F(DeclaredFamily, TensorsMayHaveAPrefix) {
  const auto names = [&](const std::vector<std::string>& tensors) {
    WeightLoader loader(open(json::object(), tensors));
    return loader.names()("", "wte.weight").here() + " " + loader.layer(3)("", "ln.weight").here() + " " +
           loader.head_names()("", "lm_head.weight").here();
  };
  EXPECT_EQ(names({"transformer.h.0.ln", "lm_head"}),
            "transformer.wte.weight transformer.h.3.ln.weight lm_head.weight");
  EXPECT_EQ(names({"h.0.ln", "wte"}), "wte.weight h.3.ln.weight lm_head.weight");
  EXPECT_EQ(names({"model.layers.0.ln"}), "model.wte.weight model.layers.3.ln.weight lm_head.weight");
  EXPECT_EQ(names({"layers.0.ln"}), "wte.weight layers.3.ln.weight lm_head.weight");
  EXPECT_EQ(names({"transformers.h"}), "wte.weight h.3.ln.weight lm_head.weight");
}

}  // namespace
}  // namespace weft
