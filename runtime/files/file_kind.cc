#include "runtime/files/file_kind.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace weft {
namespace {

using namespace std::string_view_literals;

constexpr size_t kHead = 1024;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// ASCII, ignoring case; `start` is in lower case.
bool starts_like(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
         });
}

bool starts_with_one_of(std::string_view text, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(), [&](std::string_view start) { return text.starts_with(start); });
}

// The number in the line "size N" of a pointer file; empty without such a line.
std::string_view pointer_size(std::string_view text) {
  constexpr std::string_view kField = "\nsize ";
  const size_t at = text.find(kField);
  if (at == text.npos) return {};
  const std::string_view rest = text.substr(at + kField.size());
  return rest.substr(0, std::min(rest.find_first_not_of("0123456789"), rest.size()));
}

std::string describe_gguf(std::string_view text) {
  uint32_t version = 0;
  if (text.size() >= 8) std::memcpy(&version, text.data() + 4, sizeof version);
  if (version == 1) {
    return "is a GGUF file of version 1, which was in use in August 2023 only: convert the original model again with a "
           "current converter, or get a newer GGUF file of it";
  }
  if (version != 0 && (version & 0xffffu) == 0) {
    return "is a big-endian GGUF file; only little-endian ones are read: convert it with gguf_convert_endian.py of "
           "llama.cpp, or get a little-endian one";
  }
  return "is a GGUF file: name this file as the model";
}

// The formats before GGUF: a magic number of four letters, little-endian, so that they appear reversed in the
// file.
std::string describe_ggml(std::string_view magic) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kNames = {
      {{"lmgg", "GGML"}, {"fmgg", "GGMF"}, {"tjgg", "GGJT"}, {"algg", "GGLA"}, {"nsgg", "GGSN"}}};
  for (const auto& [reversed, name] : kNames) {
    if (magic != reversed) continue;
    return "is a " + std::string(name) +
           " file, a format that GGUF replaced in 2023: convert the original model again " +
           "with a current converter, or get a GGUF file of it";
  }
  return {};
}

bool is_safetensors(std::string_view text) {
  constexpr uint64_t kMaxHeader = 100'000'000;
  uint64_t length = 0;
  if (text.size() < sizeof length + 1) return false;
  std::memcpy(&length, text.data(), sizeof length);
  return length >= 2 && length <= kMaxHeader && text[sizeof length] == '{';
}

bool is_plain_text(std::string_view text) {
  return is_utf8(text) && std::all_of(text.begin(), text.end(),
                                      [](char c) { return static_cast<unsigned char>(c) >= ' ' || is_blank(c); });
}

bool is_lfs_pointer(std::string_view text) {
  return starts_with_one_of(text,
                            {"version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/"});
}

std::string describe_text(std::string_view text) {
  if (is_lfs_pointer(text)) {
    const std::string_view size = pointer_size(text);
    return "is a Git LFS pointer" + (size.empty() ? "" : " to a file of " + std::string(size) + " bytes") +
           ", not the file itself: get it with `git lfs pull`";
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text = without_blanks(text);
  if (starts_like(text, "<!doctype") || starts_like(text, "<html") || starts_like(text, "<head") ||
      starts_like(text, "<?xml") || starts_like(text, "<!--")) {
    return "is a web page (HTML or XML), as servers send it in place of a file: download the file again, from the link "
           "to the file itself";
  }
  if (text.starts_with("{") || text.starts_with("[")) {
    return "is JSON text, not a model: if there is a config.json beside it, name the directory";
  }
  // A message that the server sent instead of the file: "Entry not found".
  if (!text.empty()) return "is text, which begins with " + in_quotes(text, 40) + ": download the file again";
  return "is text without any characters: download the file again";
}

}  // namespace

std::string describe_foreign(std::string_view text) {
  if (text.empty()) return "is empty: download it again";
  const std::string_view head = text.substr(0, kHead);
  if (head.starts_with("GGUF")) return describe_gguf(head);
  if (std::string kind = describe_ggml(head.substr(0, 4)); !kind.empty()) return kind;
  if (is_safetensors(head)) {
    return "is a safetensors file: name the directory that holds it together with config.json and the tokenizer";
  }
  if (head.starts_with("PK\3\4")) {
    return "is a zip archive, as PyTorch's .bin, .pt and .pth files are: save the model as safetensors "
           "(save_pretrained "
           "of Transformers), or unpack the archive";
  }
  if (head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) {
    return "is a Python pickle, as PyTorch's old .bin, .pt and .pth files are: save the model as safetensors "
           "(save_pretrained of Transformers)";
  }
  if (head.starts_with("\x89HDF\r\n\x1a\n")) {
    return "is an HDF5 file, as Keras writes them: save the model as safetensors";
  }
  if (starts_with_one_of(head, {"\x1f\x8b"sv, "\x28\xb5\x2f\xfd"sv,
                                "\xfd"
                                "7zXZ\0"sv,
                                "BZh"sv, "7z\xbc\xaf\x27\x1c"sv, "Rar!\x1a\x07"sv}) ||
      (head.size() > 262 && head.substr(257, 5) == "ustar")) {
    return "is an archive or a compressed file: unpack it first";
  }
  if (starts_with_one_of(head, {"\x7f"
                                "ELF"sv,
                                "MZ"sv, "#!"sv}))
    return "is a program, not a model";
  if (head.find_first_not_of('\0') == head.npos) {
    return "begins with " + std::to_string(head.size()) + " zero bytes: the download is not complete";
  }
  // The end of the head may cut a character.
  std::string_view whole = head;
  for (int i = 0; i < 3 && text.size() > head.size() && !is_utf8(whole); ++i) whole.remove_suffix(1);
  if (is_plain_text(whole)) return describe_text(whole);
  return {};
}

void refuse_lfs_pointer(std::string_view text, const std::string& path) {
  if (is_lfs_pointer(text)) throw Error(path + ": " + describe_foreign(text));
}

}  // namespace weft
