#include "tools/random_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "core/error.h"
#include "ops/harness/random_blocks.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/model_family.h"
#include "tools/gguf_output.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

MixFacts facts_of(const ModelShape& shape, const std::vector<ShapeTensor>& tensors) {
  MixFacts facts{.has_output = !shape.parts.tied,
                 .layers = shape.layers,
                 .experts = shape.parts.experts,
                 .heads_per_kv_head = shape.heads / shape.kv_heads};
  for (const ShapeTensor& tensor : tensors) facts.value_tensors += tensor.name.ends_with("attn_v.weight") ? 1 : 0;
  const ModelFamily* family = family_of_gguf(std::string(shape.architecture), {});
  facts.is_70b =
      family != nullptr && family->is_70b != nullptr && family->is_70b(shape.layers, shape.heads, shape.kv_heads);
  return facts;
}

// Bytes of random elements, in whole blocks, from which tensors are filled.
class Pools {
 public:
  // Rows of `elements` elements: sums over a row have about the size of what they multiply.
  void fill(GgufWriter& writer, Format format, size_t elements, size_t bytes) {
    const std::vector<uint8_t>& pool = pool_of(format, elements);
    // Tensors differ: each begins elsewhere.
    const size_t block = info(format).block_bytes, blocks = pool.size() / block;
    size_t at = random_() % blocks * block;
    while (bytes > 0) {
      const size_t part = std::min(bytes, pool.size() - at);
      writer.write(std::span(pool).subspan(at, part));
      bytes -= part;
      at = 0;
    }
  }

 private:
  const std::vector<uint8_t>& pool_of(Format format, size_t elements) {
    constexpr size_t kElements = size_t{1} << 20;  // a multiple of every block
    std::vector<uint8_t>& pool = pools_[{format, elements}];
    if (!pool.empty()) return pool;
    const auto magnitude = static_cast<float>(1.7 / std::sqrt(static_cast<double>(elements)));
    pool.resize(row_bytes(format, kElements));
    if (info(format).block_elements > 1) {
      random_blocks(
          format, kElements, magnitude, 0, [&] { return random_(); }, reinterpret_cast<std::byte*>(pool.data()));
    } else {
      std::uniform_real_distribution<float> uniform(-magnitude, magnitude);
      std::vector<float> values(kElements);
      for (float& value : values) value = uniform(random_);
      encode_row(format, values.data(), kElements, pool.data());
    }
    return pool;
  }

  std::mt19937_64 random_{1};
  std::map<std::pair<Format, size_t>, std::vector<uint8_t>> pools_;
};

}  // namespace

void write_random_model(const ModelShape& shape, const QuantizeTarget& type, const std::filesystem::path& path) {
  const std::vector<ShapeTensor> tensors = tensors_of(shape);
  const MixFacts facts = facts_of(shape, tensors);
  std::vector<GgufTensorPlan> plans;
  std::vector<Format> formats;
  size_t bytes = 0;
  for (const ShapeTensor& tensor : tensors) {
    const bool plain = tensor.role != TensorRole::matrix;
    formats.push_back(plain ? Format::f32 : choose_format(type, facts, tensor.name, tensor.shape.front()).format);
    plans.push_back({tensor.name, tensor.shape, ggml_type_id(formats.back())});
    bytes += tensor_bytes(plans.back());
  }
  std::error_code unknown;
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (const auto space = std::filesystem::space(folder, unknown); !unknown && space.available < bytes) {
    throw Error(format("%s: random weights of %.1f GB are wanted, and %s has room for %.1f GB", path.c_str(),
                       static_cast<double>(bytes) / 1e9, folder.c_str(), static_cast<double>(space.available) / 1e9));
  }
  GgufMetadata metadata = metadata_of(shape);
  if (type.file_type) metadata.set("general.file_type", *type.file_type);
  GgufOutput output(path, std::move(metadata), plans, {}, {});
  Pools pools;
  const std::vector<float> ones(std::max({shape.embed, shape.hidden, shape.head_dim}), 1.0f);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const size_t size = tensor_bytes(plans[i]);
    if (tensors[i].role == TensorRole::norm) {
      output.writer().write({reinterpret_cast<const uint8_t*>(ones.data()), size});
    } else {
      pools.fill(output.writer(), formats[i], tensors[i].shape.front(), size);
    }
  }
  output.finish();
}

}  // namespace weft::tools
