// The model that `weft bench` measures: a file, or random weights in the shape of a well-known model.
#pragma once

#include <optional>
#include <string>

#include "tools/bench_flags.h"
#include "tools/interrupt.h"
#include "tools/temporary_path.h"

namespace weft::tools {

// Random weights are written when it is made, and removed with it, or by the signals that end the program. One at a
// time.
class BenchModel {
 public:
  // `keep`: where random weights stay; empty: they do not. Throws CLI11's ValidationError for a shape or a type that
  // there is not, Error where the file cannot be written.
  explicit BenchModel(const BenchFlags& flags, const std::string& keep = {});
  BenchModel(const BenchModel&) = delete;
  BenchModel& operator=(const BenchModel&) = delete;

  // A value of -m; empty: the shipped model.
  const std::string& path() const { return path_; }
  bool is_temporary() const { return temporary_.has_value(); }
  // The type of random weights; empty without them.
  const std::string& type() const { return type_; }

 private:
  std::optional<TemporaryPath> temporary_;
  std::optional<RemoveOnSignal> guard_;  // of the temporary file
  std::string path_, type_;
};

}  // namespace weft::tools
