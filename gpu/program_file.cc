// The files that store built programs.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "gpu/program_cache.h"

namespace weft {
namespace {

constexpr char kMagic[8] = {'w', 'e', 'f', 't', 'c', 'l', '0', '1'};

struct Header {
  char magic[8];
  uint64_t key_bytes, binary_bytes, checksum;
};

uint64_t checksum(const std::string& key, const std::vector<unsigned char>& binary) {
  return text_hash(key) * 31 + text_hash({reinterpret_cast<const char*>(binary.data()), binary.size()});
}

}  // namespace

uint64_t text_hash(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::string default_program_folder() {
  const char* off = std::getenv("WEFT_PROGRAM_CACHE");
  if (off != nullptr && std::strcmp(off, "off") == 0) return "";
  if (const char* base = std::getenv("XDG_CACHE_HOME"); base != nullptr && *base != '\0') {
    return std::string(base) + "/weft";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return std::string(home) + "/.cache/weft";
  }
  return "";
}

std::vector<unsigned char> read_program_file(const std::string& path, const std::string& key) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size < sizeof(Header) + key.size()) return {};
  std::ifstream file(path, std::ios::binary);
  Header header;
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) return {};
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.key_bytes != key.size() ||
      header.binary_bytes != size - sizeof(Header) - key.size()) {
    return {};
  }
  std::string stored(key.size(), '\0');
  std::vector<unsigned char> binary(header.binary_bytes);
  if (!file.read(stored.data(), static_cast<std::streamsize>(stored.size()))) return {};
  if (!file.read(reinterpret_cast<char*>(binary.data()), static_cast<std::streamsize>(binary.size()))) return {};
  if (stored != key || checksum(key, binary) != header.checksum) return {};
  return binary;
}

void write_program_file(const std::string& path, const std::string& key, const std::vector<unsigned char>& binary) {
  static std::atomic<int> count{0};
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const std::string temporary = path + "." + std::to_string(getpid()) + "." + std::to_string(count++);
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.key_bytes = key.size();
  header.binary_bytes = binary.size();
  header.checksum = checksum(key, binary);
  std::ofstream file(temporary, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header), sizeof header);
  file.write(key.data(), static_cast<std::streamsize>(key.size()));
  file.write(reinterpret_cast<const char*>(binary.data()), static_cast<std::streamsize>(binary.size()));
  file.close();
  if (file) {
    std::filesystem::rename(temporary, path, error);
    if (!error) return;
  }
  std::filesystem::remove(temporary, error);
}

}  // namespace weft
