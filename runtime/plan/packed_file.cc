#include "runtime/plan/packed_file.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/align.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/pages.h"
#include "core/utf8.h"
#include "ops/cpu/team.h"
#include "runtime/files/output_file.h"

namespace weft {
namespace {

using Bytes = std::span<const std::byte>;

constexpr char kMagic[8] = {'w', 'e', 'f', 't', 'p', 'a', 'c', 'k'};
// Of this form alone: a layout that has changed changes its line.
constexpr uint64_t kVersion = 1;
constexpr size_t kPage = 4096;
// Bytes that are checked, and written, at a time: several huge pages. Where a file is written so, from a place that
// they divide, systems keep it in memory in such pages, and map these as a whole.
constexpr size_t kChunk = size_t{4} << 20;

// Numbers are as the machine has them: on one of the other byte order, the version differs.
struct Header {
  char magic[8];
  uint64_t checksum;  // of all from `version` to the weights
  uint64_t version;
  uint64_t source_bytes, forms_bytes, weights;
};
static_assert(sizeof(Header) == 48);
constexpr size_t kChecked = offsetof(Header, version);

std::string forms_of(const PackedFileContent& content) {
  std::string text;
  for (const PackedFileContent::Weight& weight : content.weights) text += weight.form + " " + weight.name + "\n";
  return text;
}

// Header, source, forms and checksums.
std::string head_of(const PackedFileContent& content, std::span<const uint64_t> checksums) {
  const std::string forms = forms_of(content);
  Header header{{}, 0, kVersion, content.source.size(), forms.size(), content.weights.size()};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::string head(sizeof header, '\0');
  head += content.source + forms;
  head.append(reinterpret_cast<const char*>(checksums.data()), checksums.size_bytes());
  std::memcpy(head.data(), &header, sizeof header);
  header.checksum = checksum(std::string_view(head).substr(kChecked));
  std::memcpy(head.data(), &header, sizeof header);
  return head;
}

// Where each weight begins, and at last the end of the file.
std::vector<size_t> places_of(const PackedFileContent& content, size_t head) {
  std::vector<size_t> places = {align_up(head, kPage)};
  for (const PackedFileContent::Weight& weight : content.weights) {
    places.push_back(align_up(places.back() + weight.bytes, kPage));
  }
  return places;
}

std::vector<uint64_t> checksums_of(std::span<const Bytes> weights, int threads) {
  struct Chunk {
    size_t weight;
    Bytes bytes;
  };
  std::vector<Chunk> chunks;
  for (size_t w = 0; w < weights.size(); ++w) {
    for (size_t at = 0; at < weights[w].size(); at += kChunk) {
      chunks.push_back({w, weights[w].subspan(at).first(std::min(kChunk, weights[w].size() - at))});
    }
  }
  std::vector<uint64_t> of_chunks(chunks.size());
  sleep_between_regions();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t i = 0; i < chunks.size(); ++i) of_chunks[i] = checksum(chunks[i].bytes);
  std::vector<uint64_t> sums;
  for (size_t w = 0, chunk = 0; w < weights.size(); ++w) {
    const size_t first = chunk;
    while (chunk < chunks.size() && chunks[chunk].weight == w) ++chunk;
    sums.push_back(checksum(std::as_bytes(std::span(of_chunks).subspan(first, chunk - first))));
  }
  return sums;
}

}  // namespace

std::shared_ptr<const PackedFile> PackedFile::open(const std::filesystem::path& path, const PackedFileContent& content,
                                                   int threads) {
  std::shared_ptr<PackedFile> opened(new PackedFile(MappedFile(path)));
  const MappedFile& file = opened->file_;
  const auto refuse = [&](const std::string& why) { throw Error(file.path() + ": " + why); };
  const auto bytes = std::as_bytes(file.bytes());

  Header header;
  if (bytes.size() < sizeof header) refuse("is damaged: it ends within its header");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) refuse("is not a file of packed weights");
  if (header.version != kVersion) refuse("was written by another version of Weft");

  // The parts that it says it has, before they are compared: damage is told from other content.
  size_t head = sizeof header, sums_bytes = 0;
  if (__builtin_add_overflow(head, header.source_bytes, &head) ||
      __builtin_add_overflow(head, header.forms_bytes, &head) ||
      __builtin_mul_overflow(header.weights, sizeof(uint64_t), &sums_bytes) ||
      __builtin_add_overflow(head, sums_bytes, &head) || head > bytes.size()) {
    refuse("is damaged: it ends within its directory");
  }
  if (checksum(bytes.first(head).subspan(kChecked)) != header.checksum) {
    refuse("is damaged: its directory has another checksum");
  }

  const std::string_view source = file.text().substr(sizeof header, header.source_bytes);
  const std::string_view forms = file.text().substr(sizeof header + header.source_bytes, header.forms_bytes);
  if (source != content.source) refuse("was made of other files, or before these have changed");
  if (forms != forms_of(content) || header.weights != content.weights.size()) {
    refuse("has other weights, or in other layouts than this machine's kernels read");
  }
  const std::vector<size_t> places = places_of(content, head);
  if (bytes.size() != places.back()) {
    refuse("is damaged: it has " + std::to_string(bytes.size()) + " bytes, expected " + std::to_string(places.back()));
  }

  use_huge_pages(bytes.data(), bytes.data() + bytes.size());  // with small ones, decoding is a quarter slower
  for (size_t i = 0; i < content.weights.size(); ++i) {
    opened->weights_.push_back(bytes.subspan(places[i], content.weights[i].bytes));
  }
  const std::vector<uint64_t> sums = checksums_of(opened->weights_, threads);
  for (size_t i = 0; i < sums.size(); ++i) {
    uint64_t wanted;
    std::memcpy(&wanted, bytes.data() + head - sums_bytes + i * sizeof wanted, sizeof wanted);
    if (sums[i] != wanted) refuse("is damaged: weight " + in_quotes(content.weights[i].name) + " has another checksum");
  }
  return opened;
}

void write_packed_file(const std::filesystem::path& path, const PackedFileContent& content,
                       std::span<const std::span<const std::byte>> weights, int threads) {
  const std::string head = head_of(content, checksums_of(weights, threads));
  const std::vector<size_t> places = places_of(content, head.size());
  OutputFile file(path);
  std::vector<std::byte> chunk;
  chunk.reserve(kChunk);
  const auto write = [&](Bytes bytes) {
    while (!bytes.empty()) {
      const Bytes part = bytes.first(std::min(bytes.size(), kChunk - chunk.size()));
      chunk.insert(chunk.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (chunk.size() < kChunk) return;
      file.write(chunk.data(), chunk.size());
      chunk.clear();
    }
  };
  const std::vector<std::byte> zeros(kPage);
  const auto fill_to = [&](size_t place) { write(Bytes(zeros).first(place - file.written() - chunk.size())); };
  write(std::as_bytes(std::span(std::as_const(head))));
  for (size_t i = 0; i < weights.size(); ++i) {
    fill_to(places[i]);
    write(weights[i]);
  }
  fill_to(places.back());
  file.write(chunk.data(), chunk.size());
  file.finish();
}

}  // namespace weft
