#include <algorithm>
#include <numeric>
#include <set>

#include "core/error.h"
#include "runtime/convert.h"
#include "runtime/model_config.h"
#include "runtime/reencode.h"
#include "runtime/utf8.h"

namespace weft {
namespace {

using Rows = ConvertedTensor::Rows;

// Collects tensors, and what is wrong with them.
class Collector {
 public:
  Collector(const Checkpoint& checkpoint, std::optional<Format> type) : checkpoint_(checkpoint), type_(type) {}

  bool has(const std::string& source) const { return checkpoint_.find(source) != nullptr; }
  void ignore(const std::string& source) { used_.insert(source); }

  // A matrix, or with `columns` 0 a vector, of `rows` rows that begin at row `first` of the source, which has
  // `source_rows` in all (0: those and no more).
  struct Wanted {
    std::string name, source;
    size_t rows, columns;
    size_t head_rows = 0;
    size_t first = 0, source_rows = 0;
    bool is_plain = false;  // F32, whatever its shape
  };
  void add(const Wanted& wanted) {
    const size_t all = wanted.source_rows != 0 ? wanted.source_rows : wanted.rows;
    const bool is_vector = wanted.columns == 0;
    std::vector<size_t> extents = {all};
    if (!is_vector) extents.push_back(wanted.columns);
    const CheckpointTensor* tensor = use(wanted.source, extents);
    if (tensor == nullptr) return;
    ConvertedTensor out{wanted.name, {wanted.rows}, is_vector || wanted.is_plain ? Format::f32 : format_of(*tensor)};
    if (!is_vector) out.shape = {wanted.columns, wanted.rows};
    out.parts = {{tensor, wanted.first, wanted.rows}};
    out.head_rows = wanted.head_rows;
    tensors_.push_back(std::move(out));
  }

  // A matrix per expert, from the first of these that is there: one tensor [experts, rows, columns]; a part of
  // [experts, shares * rows, columns], one below the other; a tensor per expert.
  struct WantedStack {
    std::string name, whole, fused;
    std::function<std::string(size_t)> each;
    size_t experts, rows, columns;
    size_t share = 0;
  };
  void add_stack(const WantedStack& wanted) {
    ConvertedTensor out{wanted.name, {wanted.columns, wanted.rows, wanted.experts}, Format::f32};
    if (has(wanted.whole)) {
      const CheckpointTensor* tensor = use(wanted.whole, {wanted.experts, wanted.rows, wanted.columns});
      if (tensor == nullptr) return;
      out.parts = {{tensor, 0, wanted.experts * wanted.rows}};
    } else if (!wanted.fused.empty() && has(wanted.fused)) {
      const CheckpointTensor* tensor = use(wanted.fused, {wanted.experts, 2 * wanted.rows, wanted.columns});
      if (tensor == nullptr) return;
      for (size_t e = 0; e < wanted.experts; ++e) {
        out.parts.push_back({tensor, (2 * e + wanted.share) * wanted.rows, wanted.rows});
      }
    } else if (wanted.experts > checkpoint_.tensors().size()) {
      return problem(wanted.each(0), "is not one of " + std::to_string(wanted.experts));
    } else {
      for (size_t e = 0; e < wanted.experts; ++e) {
        const CheckpointTensor* tensor = use(wanted.each(e), {wanted.rows, wanted.columns});
        if (tensor != nullptr) out.parts.push_back({tensor, 0, wanted.rows});
      }
    }
    if (!out.parts.empty()) out.format = format_of(*out.parts.front().tensor);
    for (const Rows& part : out.parts) {
      if (format_of(*part.tensor) != out.format) out.format = Format::f32;
    }
    tensors_.push_back(std::move(out));
  }

  std::vector<ConvertedTensor> finish() {
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (!used_.contains(tensor.name) && tensor.bytes != 0)
        problem(tensor.name, "is not part of this architecture");
    }
    if (problems_.empty()) return std::move(tensors_);
    std::string text = checkpoint_.path() + ": cannot be converted:";
    for (const std::string& problem : problems_) text += "\n  " + problem;
    throw Error(text);
  }

 private:
  void problem(std::string_view tensor, const std::string& what) {
    problems_.push_back("tensor " + in_quotes(tensor) + " " + what);
  }

  Format format_of(const CheckpointTensor& tensor) const {
    if (type_) return *type_;
    return info(*tensor.format).block_elements == 1 ? *tensor.format : Format::f32;
  }

  static std::string shape_text(const auto& extents) {
    std::string text;
    for (const auto extent : extents) text += (text.empty() ? "[" : ", ") + std::to_string(extent);
    return text.empty() ? "[]" : text + "]";
  }

  const CheckpointTensor* use(const std::string& source, const std::vector<size_t>& extents) {
    used_.insert(source);
    const CheckpointTensor* tensor = checkpoint_.find(source);
    if (tensor == nullptr) {
      problem(source, "is missing");
      return nullptr;
    }
    if (tensor->bytes == 0) {
      problem(source, "has no elements");
      return nullptr;
    }
    if (!std::equal(extents.begin(), extents.end(), tensor->extents.begin(), tensor->extents.end(),
                    [](size_t a, int64_t b) { return static_cast<int64_t>(a) == b; })) {
      problem(source, "is " + shape_text(tensor->extents) + ", expected " + shape_text(extents));
      return nullptr;
    }
    if (!tensor->format || !info(*tensor->format).is_float) {
      problem(source, "holds " + std::string(tensor->type_name) + ", which is not read");
      return nullptr;
    }
    return tensor;
  }

  const Checkpoint& checkpoint_;
  std::optional<Format> type_;  // of all matrices
  std::vector<ConvertedTensor> tensors_;
  std::set<std::string, std::less<>> used_;
  std::vector<std::string> problems_;
};

struct Sizes {
  size_t embed, heads, kv_heads, head_dim, hidden;
  size_t rotated_rows;  // of a head, in the order that GGUF changes; 0 where it keeps it
};

void add_attention(Collector& to, const Sizes& n, const std::string& in, const std::string& out, bool biases) {
  const size_t q = n.heads * n.head_dim, kv = n.kv_heads * n.head_dim, all = q + 2 * kv;
  struct Part {
    const char *name, *source;
    size_t rows, first, head_rows;
  };
  const Part parts[] = {{"attn_q", "q_proj", q, 0, n.rotated_rows},
                        {"attn_k", "k_proj", kv, q, n.rotated_rows},
                        {"attn_v", "v_proj", kv, q + kv, 0}};
  for (const auto& [kind, columns] : {std::pair<std::string, size_t>{".weight", n.embed}, {".bias", 0}}) {
    const std::string fused = in + "self_attn.qkv_proj" + kind;
    for (const Part& part : parts) {
      const std::string source = in + "self_attn." + part.source + kind;
      if (to.has(fused)) {
        to.add({out + part.name + kind, fused, part.rows, columns, part.head_rows, part.first, all});
      } else if (columns != 0 || biases || to.has(source)) {
        to.add({out + part.name + kind, source, part.rows, columns, part.head_rows});
      }
    }
  }
  to.add({out + "attn_output.weight", in + "self_attn.o_proj.weight", n.embed, q});
  if (const std::string bias = in + "self_attn.o_proj.bias"; to.has(bias)) {
    to.add({out + "attn_output.bias", bias, n.embed, 0});
  }
  to.ignore(in + "self_attn.rotary_emb.inv_freq");
}

void add_feed_forward(Collector& to, const Sizes& n, const std::string& in, const std::string& out) {
  for (const auto& [kind, columns] : {std::pair<std::string, size_t>{".weight", n.embed}, {".bias", 0}}) {
    const std::string fused = in + "mlp.gate_up_proj" + kind;
    size_t first = 0;
    const std::pair<const char*, const char*> parts[] = {{"ffn_gate", "mlp.gate_proj"}, {"ffn_up", "mlp.up_proj"}};
    for (const auto& [name, source] : parts) {
      if (to.has(fused)) {
        to.add({out + name + kind, fused, n.hidden, columns, 0, first, 2 * n.hidden});
      } else if (columns != 0 || to.has(in + source + kind)) {
        to.add({out + name + kind, in + source + kind, n.hidden, columns});
      }
      first += n.hidden;
    }
  }
  to.add({out + "ffn_down.weight", in + "mlp.down_proj.weight", n.embed, n.hidden});
  if (const std::string bias = in + "mlp.down_proj.bias"; to.has(bias)) {
    to.add({out + "ffn_down.bias", bias, n.embed, 0});
  }
}

void add_experts(Collector& to, const Sizes& n, const std::string& in, const std::string& out, size_t experts) {
  const std::string old = in + "block_sparse_moe.", stacks = in + "mlp.experts.", fused = stacks + "gate_up_proj";
  const std::string router = to.has(old + "gate.weight") ? old + "gate.weight" : in + "mlp.gate.weight";
  to.add({out + "ffn_gate_inp.weight", router, experts, n.embed, 0, 0, 0, true});
  const auto each = [&](const char* matrix) {
    return [=](size_t e) { return old + "experts." + std::to_string(e) + "." + matrix + ".weight"; };
  };
  const std::string name = out + "ffn_";
  const size_t hidden = n.hidden, embed = n.embed;
  to.add_stack({name + "gate_exps.weight", stacks + "gate_proj", fused, each("w1"), experts, hidden, embed, 0});
  to.add_stack({name + "up_exps.weight", stacks + "up_proj", fused, each("w3"), experts, hidden, embed, 1});
  to.add_stack({name + "down_exps.weight", stacks + "down_proj", "", each("w2"), experts, embed, hidden});
}

size_t extent(int64_t value) { return static_cast<size_t>(value); }

}  // namespace

size_t ConvertedTensor::elements() const {
  return std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>());
}

std::vector<ConvertedTensor> convert_tensors(const std::shared_ptr<const Checkpoint>& checkpoint,
                                             std::optional<Format> type) {
  const ModelConfig config(checkpoint);
  const std::string& family = checkpoint->architecture();
  const bool is_qwen2 = family == "qwen2", is_mixtral = family == "mixtral";
  if (!is_qwen2 && !is_mixtral && family != "llama" && family != "mistral") {
    config.require(false, "model_type",
                   in_quotes(family) + " is not converted; llama, mistral, mixtral and qwen2 are");
  }
  Sizes n{};
  n.embed = extent(config.count("embedding_length"));
  n.heads = extent(config.count("attention.head_count"));
  n.kv_heads = extent(config.count("attention.head_count_kv", config.count("attention.head_count")));
  const auto usual = static_cast<int64_t>(std::max(n.embed / n.heads, size_t{1}));
  n.head_dim = extent(config.count("attention.key_length", usual));
  n.hidden = extent(config.count("feed_forward_length"));
  n.rotated_rows = is_qwen2 ? 0 : n.head_dim;
  config.require(n.head_dim % 2 == 0, "attention.key_length", "is odd");

  Collector to(*checkpoint, type);
  const CheckpointTensor* embedding = checkpoint->find("model.embed_tokens.weight");
  const bool has_rows = embedding != nullptr && embedding->extents.size() == 2;
  const size_t vocab = extent(has_rows ? embedding->extents[0] : config.count("vocab_size"));
  to.add({"token_embd.weight", "model.embed_tokens.weight", vocab, n.embed});
  for (size_t layer = 0; layer < config.layers(); ++layer) {
    const std::string number = std::to_string(layer) + ".", in = "model.layers." + number, out = "blk." + number;
    to.add({out + "attn_norm.weight", in + "input_layernorm.weight", n.embed, 0});
    add_attention(to, n, in, out, is_qwen2 || config.flag("attention_bias", false));
    to.add({out + "ffn_norm.weight", in + "post_attention_layernorm.weight", n.embed, 0});
    if (is_mixtral) {
      add_experts(to, n, in, out, extent(config.count("expert_count")));
    } else {
      add_feed_forward(to, n, in, out);
    }
  }
  to.add({"output_norm.weight", "model.norm.weight", n.embed, 0});
  if (config.flag("tie_word_embeddings", false) &&
      !checkpoint->differ("lm_head.weight", "model.embed_tokens.weight")) {
    to.ignore("lm_head.weight");
  } else {
    to.add({"output.weight", "lm_head.weight", vocab, n.embed});
  }
  std::vector<ConvertedTensor> tensors = to.finish();
  if (std::vector<float> factors = llama3_frequency_factors(checkpoint); !factors.empty()) {
    ConvertedTensor stretched{"rope_freqs.weight", {factors.size()}, Format::f32};
    stretched.values = std::move(factors);
    tensors.push_back(std::move(stretched));
  }
  return tensors;
}

void write_converted(const std::string& path, const ConvertedTensor& tensor, int threads,
                     const std::function<void(std::span<const uint8_t>)>& sink) {
  if (tensor.parts.empty()) {
    std::vector<uint8_t> bytes(row_bytes(tensor.format, tensor.values.size()));
    encode_row(tensor.format, tensor.values.data(), tensor.values.size(), bytes.data());
    return sink(bytes);
  }
  const size_t row = tensor.shape.size() > 1 ? tensor.shape[0] : 1;
  for (const Rows& part : tensor.parts) {
    const Format from = *part.tensor->format;
    const std::string what = path + ": tensor " + in_quotes(part.tensor->name);
    const std::byte* data = part.tensor->data + row_bytes(from, part.first * row);
    ReencodeJob job = whole_tensor(what, from, tensor.format, data, part.count * row);
    if (tensor.head_rows != 0) {
      const size_t half = tensor.head_rows / 2;
      job.count = part.count;
      job.piece = [=](size_t i) {
        const size_t in_head = i % tensor.head_rows;
        const size_t source = i - in_head + in_head / 2 + in_head % 2 * half;
        return Piece{data + row_bytes(from, source * row), row};
      };
    }
    reencode(job, threads, sink);
    const MappedFile& file = *part.tensor->file;
    const auto offset = static_cast<size_t>(reinterpret_cast<const uint8_t*>(data) - file.data());
    file.drop(offset, row_bytes(from, part.count * row));
  }
}

}  // namespace weft
