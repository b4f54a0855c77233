// Mixtral (Jiang et al. 2024, arXiv:2401.04088): Mistral's attention, and for every token the feed-forward networks of
// its best experts, weighted by the softmax over their scores. In GGUF files its architecture is "llama".
#pragma once

#include "models/parts/decoder.h"

namespace weft::mixtral {

struct Expert : axis<"expert"> {};
struct Choice : axis<"choice"> {};  // an expert chosen for a token

struct Experts {
  Weight<Expert, Embed> router;
  Weight<Expert, Hidden, Embed> gate, up;
  Weight<Expert, Embed, Hidden> down;
  int64_t chosen = 0;

  explicit Experts(const LayerFiles& files) {
    const auto& [config, loader, in, layer, traits, decoder, norms] = files;
    loader.extents<Expert, Hidden>(config.count("expert_count"), config.count("feed_forward_length"));
    chosen = config.count("expert_used_count");
    config.require(chosen <= config.count("expert_count"), "expert_used_count", "is more than there are experts");
    const auto each = [&in](const std::string& gguf, const std::string& hf) {
      return [=, &in](int64_t e) {
        const auto number = std::to_string(e);
        return in(gguf + "." + number + ".weight", "block_sparse_moe.experts." + number + "." + hf + ".weight");
      };
    };
    loader.load(router, loader.first_of({in("ffn_gate_inp.weight", "block_sparse_moe.gate.weight"),
                                         in("ffn_gate_inp.weight", "mlp.gate.weight")}));
    const auto gate_up = in("ffn_gate_up_exps.weight", "mlp.experts.gate_up_proj");
    loader.load_stack(gate,
                      {in("ffn_gate_exps.weight", "mlp.experts.gate_proj"), each("ffn_gate", "w1"), gate_up, 0, 2});
    loader.load_stack(up, {in("ffn_up_exps.weight", "mlp.experts.up_proj"), each("ffn_up", "w3"), gate_up, 1, 2});
    loader.load_stack(down, {in("ffn_down_exps.weight", "mlp.experts.down_proj"), each("ffn_down", "w2")});
  }

  Stream operator()(const LayerGraph& to, const Stream& f, const Residual& add) const {
    auto [scores, ids] = materialize(top_k<Expert, Choice>(contract<Embed>(f, router), chosen), to.at + "router");
    auto share = materialize(softmax<Choice>(scores), to.at + "share");
    auto g = materialize(silu(contract<Embed>(f, at<Expert>(gate, ids))) * contract<Embed>(f, at<Expert>(up, ids)),
                         to.at + "ffn_hidden");
    return add(contract<Choice, Hidden>(share * g, at<Expert>(down, ids)));
  }
};

inline const ModelFamily family = {
    .gguf = "llama",
    .gguf_mark = "expert_count",
    .assumed = {{"num_key_value_heads", int64_t{8}}, {"rope_theta", 1e6}},
};

inline LanguageModel load(const std::shared_ptr<const Checkpoint>& file) {
  return load_decoder(ModelConfig(file), {.gguf_pairs = RopePairs::interleaved,
                                          .windows = {.allowed = true},
                                          .feed_forward = [](const LayerFiles& files) { return Experts(files); }});
}

}  // namespace weft::mixtral
