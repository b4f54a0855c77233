// Where tests find files.
#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weft::test {

// The root of the repository.
inline std::filesystem::path source_dir() { return WEFT_SOURCE_DIR; }

// A file of the shared data folder ($WEFT_SHARED, else the folder that the build was configured with, else ../shared
// beside the repository), else of the selection of it that is in tests/data. Nothing if it is in neither: the test that
// needs it skips.
inline std::optional<std::filesystem::path> shared_data(std::string_view relative) {
  const char* variable = std::getenv("WEFT_SHARED");
#ifdef WEFT_SHARED_DIR
  const std::filesystem::path configured = WEFT_SHARED_DIR;
#else
  const std::filesystem::path configured = source_dir() / ".." / "shared";
#endif
  const auto path =
      (variable != nullptr && *variable != '\0' ? std::filesystem::path(variable) : configured) / relative;
  std::error_code error;
  if (std::filesystem::exists(path, error)) return path;
  const auto selected = source_dir() / "tests" / relative;
  if (std::filesystem::exists(selected, error)) return selected;
  return std::nullopt;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// A file of little-endian f32.
inline std::vector<float> read_floats(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// The model that comes with the repository. Throws if there is none.
inline std::filesystem::path shipped_model() {
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "models/shipped")) {
    if (entry.path().extension() == ".gguf") return entry.path();
  }
  throw std::runtime_error("models/shipped holds no model");
}

}  // namespace weft::test

// In a test body: declares `name`, a path, or skips the test if the shared file is absent.
#define WEFT_SHARED_OR_SKIP(name, relative)                                                           \
  const auto name##_found = ::weft::test::shared_data(relative);                                      \
  if (!name##_found) GTEST_SKIP() << "shared data is absent: " << (relative) << " (see WEFT_SHARED)"; \
  const auto& name = *name##_found
