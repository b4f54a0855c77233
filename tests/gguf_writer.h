// Writes small GGUF files for tests, malformed ones too: nothing is checked.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/files/gguf.h"

namespace weft::test {

// Bytes of values, as a GGUF file has them.
template <class T>
std::string pod(T value) {
  std::string bytes(sizeof value, '\0');
  std::char_traits<char>::copy(bytes.data(), reinterpret_cast<const char*>(&value), sizeof value);
  return bytes;
}
inline std::string type_id(GgufType type) { return pod(static_cast<uint32_t>(type)); }
inline std::string text(std::string_view characters) { return pod<uint64_t>(characters.size()).append(characters); }
inline std::string array(GgufType element, uint64_t count, std::string_view elements) {
  return (type_id(element) + pod(count)).append(elements);
}
template <class T>
std::string array(GgufType element, const std::vector<T>& values) {
  std::string bytes;
  for (const T& value : values) bytes += pod(value);
  return array(element, values.size(), bytes);
}
inline std::string array(const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& value : values) bytes += text(value);
  return array(GgufType::string, values.size(), bytes);
}

class GgufWriter {
 public:
  struct Header {
    std::string magic = "GGUF";
    uint32_t version = 3;
    std::optional<uint64_t> tensor_count, metadata_count;  // if not the true ones
  } header;
  uint64_t alignment = 32;  // used for the layout; general.alignment is written only by `add`

  GgufWriter& add(std::string_view key, GgufType type, std::string_view value) {
    metadata_ += text(key) + type_id(type);
    metadata_ += value;
    ++metadata_count_;
    return *this;
  }
  GgufWriter& u32(std::string_view key, uint32_t value) { return add(key, GgufType::uint32, pod(value)); }
  GgufWriter& f32(std::string_view key, float value) { return add(key, GgufType::float32, pod(value)); }
  GgufWriter& flag(std::string_view key, bool value) { return add(key, GgufType::bool8, pod(value)); }
  GgufWriter& string(std::string_view key, std::string_view value) { return add(key, GgufType::string, text(value)); }

  // `offset` in the data section replaces the next free one.
  GgufWriter& tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type, std::string_view data,
                     std::optional<uint64_t> offset = {}) {
    tensors_ += text(name) + pod(static_cast<uint32_t>(shape.size()));
    for (const uint64_t extent : shape) tensors_ += pod(extent);
    tensors_ += pod(type) + pod(offset.value_or(data_.size()));
    data_ += data;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    ++tensor_count_;
    return *this;
  }

  std::string bytes() const {
    std::string file = head();
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data_;
  }

  // Header, metadata and tensor table only.
  std::string head() const {
    return header.magic + pod(header.version) + pod(header.tensor_count.value_or(tensor_count_)) +
           pod(header.metadata_count.value_or(metadata_count_)) + metadata_ + tensors_;
  }

 private:
  std::string metadata_, tensors_, data_;
  uint64_t metadata_count_ = 0, tensor_count_ = 0;
};

// A file that lives as long as the object.
class TempFile {
 public:
  explicit TempFile(std::string_view bytes, std::string_view suffix = ".gguf") {
    static std::atomic<int> next{0};
    path_ = std::filesystem::temp_directory_path() /
            ("weft_test_" + std::to_string(::getpid()) + "_" + std::to_string(next++) + std::string(suffix));
    std::ofstream file(path_, std::ios::binary);
    file.write(bytes.data(), std::ssize(bytes));
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path_.string());
  }
  ~TempFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  // Replaces the contents. In place: cutting a file to nothing first makes some file systems flush it.
  void write(std::string_view bytes) const {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.write(bytes.data(), std::ssize(bytes));
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path_.string());
    std::filesystem::resize_file(path_, bytes.size());
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Metadata of a small SentencePiece vocabulary: 0 <unk>, 1 <s>, 2 </s>, 3..258 bytes, then `pieces`.
struct Piece {
  std::string text;
  float score;
  int32_t type = 1;
};
inline GgufWriter& add_spm_vocabulary(GgufWriter& writer, const std::vector<Piece>& pieces) {
  std::vector<std::string> texts = {"<unk>", "<s>", "</s>"};
  std::vector<float> scores(259, 0.0f);
  std::vector<int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789ABCDEF";
    texts.push_back(std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">");
    types.push_back(6);
  }
  for (const Piece& piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(piece.type);
  }
  return writer.string("tokenizer.ggml.model", "llama")
      .add("tokenizer.ggml.tokens", GgufType::array, array(texts))
      .add("tokenizer.ggml.scores", GgufType::array, array(GgufType::float32, scores))
      .add("tokenizer.ggml.token_type", GgufType::array, array(GgufType::int32, types));
}

}  // namespace weft::test
