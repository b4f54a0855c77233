#include "tools/bench_model.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "models/shapes.h"
#include "runtime/convert/quantize_mix.h"
#include "tools/interrupt.h"
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

// A file that is removed at the end, and by the signals that end the program.
class BenchModel::TemporaryFile {
 public:
  TemporaryFile() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-bench-XXXXXX.gguf").string();
    const int file = ::mkstemps(name.data(), 5);
    if (file < 0) throw Error(name + ": " + std::strerror(errno));
    ::close(file);
    ::unlink(name.c_str());  // the writer makes it, once it is complete
    path_ = name;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }
  // From here on; while it is written, the writer does.
  void remove_on_signal() { guard_.emplace(std::vector{path_.string()}); }

 private:
  std::filesystem::path path_;
  std::optional<RemoveOnSignal> guard_;
};

BenchModel::BenchModel(const BenchFlags& flags, const std::string& keep) : path_(flags.model.model) {
  if (flags.shape.empty()) return;
  const ModelShape shape = shape_of(flags);
  const QuantizeTarget& type = type_of(flags);
  type_ = type.name;
  if (keep.empty()) temporary_ = std::make_unique<TemporaryFile>();
  path_ = temporary_ ? temporary_->path().string() : keep;
  waiting_for("writing random weights", [&] { return write_random_model(shape, type, path_), true; });
  if (temporary_) temporary_->remove_on_signal();
}

BenchModel::~BenchModel() = default;

}  // namespace weft::tools
