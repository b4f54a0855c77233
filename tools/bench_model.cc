#include "tools/bench_model.h"

#include <vector>

#include "models/shapes.h"
#include "runtime/convert/quantize_mix.h"
#include "tools/random_model.h"

namespace weft::tools {

namespace {

ModelShape shape_of(const BenchFlags& flags) {
  const ModelShape* known = find_model_shape(flags.shape);
  if (known == nullptr) {
    throw CLI::ValidationError("--shape", "no shape '" + flags.shape + "': there are " + model_shape_names());
  }
  ModelShape shape = *known;
  if (flags.layers > 0) shape.layers = static_cast<uint32_t>(flags.layers);
  return shape;
}

const QuantizeTarget& type_of(const BenchFlags& flags) {
  if (const QuantizeTarget* type = find_quantize_target(flags.type)) return *type;
  std::string all;
  for (const QuantizeTarget& target : quantize_targets()) all += (all.empty() ? "" : ", ") + std::string(target.name);
  throw CLI::ValidationError("--type", "no type '" + flags.type + "': there are " + all);
}

}  // namespace

BenchModel::BenchModel(const BenchFlags& flags, const std::string& keep) : path_(flags.model.model) {
  if (flags.shape.empty()) return;
  const ModelShape shape = shape_of(flags);
  const QuantizeTarget& type = type_of(flags);
  type_ = type.name;
  if (keep.empty()) temporary_.emplace(TemporaryPath::file("weft-bench-", ".gguf"));
  path_ = temporary_ ? temporary_->path().string() : keep;
  waiting_for("writing random weights", [&] { return write_random_model(shape, type, path_), true; });
  if (temporary_) guard_.emplace(std::vector{path_});  // from here on; while it was written, the writer had its own
}

}  // namespace weft::tools
