// Quantizers against the errors that llama.cpp's leave on the same weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "runtime/files/gguf.h"
#include "runtime/files/json.h"
#include "tests/command.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

Format format_named(const std::string& wanted) {
  for (int i = 0; i < kFormatCount; ++i) {
    if (name(static_cast<Format>(i)) == wanted) return static_cast<Format>(i);
  }
  throw Error("no format " + wanted);
}

// Root of the squared error over that of the squared values.
double error_of_coding(Format format, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(row_bytes(format, values.size()));
  std::vector<float> out(values.size());
  encode_row(format, values.data(), values.size(), bytes.data());
  decode_row(format, bytes.data(), values.size(), out.data());
  double error = 0, whole = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto x = static_cast<double>(values[i]);
    error += (static_cast<double>(out[i]) - x) * (static_cast<double>(out[i]) - x);
    whole += x * x;
  }
  return std::sqrt(error / whole);
}

// The model's weights as they were before quantization.
GgufFile original(const std::filesystem::path& directory) {
  const TemporaryFolder scratch;
  const CommandResult run = run_weft({"convert", directory.string(), (scratch / "original.gguf").string()});
  if (run.code != 0) throw Error(run.err);
  return GgufFile::open(scratch / "original.gguf");
}

class QuantizationError : public ::testing::TestWithParam<const char*> {};

TEST_P(QuantizationError, IsAtMostThatOfLlamaCpp) {
  const std::string model = GetParam();
  WEFT_SHARED_OR_SKIP(directory, "data/golden/" + model + "/hf");
  const GgufFile file = original(directory);
  const Json expected = read_json(directory.parent_path() / "quantization_error.json");
  std::map<std::string, double> worst;  // by type: our error over theirs
  int compared = 0;
  for (const auto& [mix, tensors] : expected.items()) {
    for (const auto& [tensor_name, entry] : tensors.items()) {
      const std::string type = entry.at(0);
      if (type == "F32" || type == "F16" || type == "BF16") continue;
      const GgufTensor& tensor = file.tensor(tensor_name);
      size_t count = 1;
      for (const size_t extent : tensor.shape()) count *= extent;
      std::vector<float> values(count);
      decode_row(file.format(tensor), tensor.data, count, values.data());
      const double ours = error_of_coding(format_named(type), values);
      const double theirs = entry.at(1);
      // Better than the 1.02 that is asked for: what has been reached is held.
      EXPECT_LE(ours, theirs * 1.001) << model << " " << mix << " " << tensor_name << " as " << type;
      worst[type] = std::max(worst[type], ours / theirs);
      ++compared;
    }
  }
  for (const auto& [type, ratio] : worst) {
    std::printf("%s %s: %.4f of llama.cpp's error\n", model.c_str(), type.c_str(), ratio);
  }
  EXPECT_GT(compared, 20);
}

INSTANTIATE_TEST_SUITE_P(Golden, QuantizationError, ::testing::Values("llama3-gqa", "qwen2", "mixtral"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace weft::test
