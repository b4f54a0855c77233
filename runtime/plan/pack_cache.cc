#include "runtime/plan/pack_cache.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "core/checksum.h"
#include "core/error.h"
#include "runtime/files/mapped_file.h"
#include "runtime/files/output_file.h"
#include "runtime/plan/packed_file.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::string hexadecimal(uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

std::string absolute(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::canonical(path, error);
  return error ? path : whole.string();
}

std::vector<SourceFile> sources_of(std::span<const WantedWeight> wanted) {
  std::vector<SourceFile> files;
  std::set<const WeightSource*> seen;
  for (const WantedWeight& want : wanted) {
    if (!seen.insert(want.storage->source.get()).second) continue;
    for (SourceFile& file : want.storage->source->files()) files.push_back(std::move(file));
  }
  for (SourceFile& file : files) file.path = absolute(file.path);
  return files;
}

// Checksums of what some rows are packed into: they change whenever the code that packs does.
class LayoutChecksums {
 public:
  uint64_t of(Format format, const ChosenLayout& chosen) {
    const auto [at, is_new] = known_.try_emplace({format, chosen.layout, chosen.shape.k});
    if (is_new) {
      const Interleaved to(format, chosen.layout, {1, chosen.layout.rows, chosen.shape.k});
      std::vector<std::byte> stored(to.stored_at(1)), packed(to.bytes());
      uint32_t state = 1;
      for (std::byte& byte : stored) byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
      to.pack_groups(stored.data(), 0, 1, packed.data());
      at->second = checksum(std::span<const std::byte>(packed));
    }
    return at->second;
  }

 private:
  std::map<std::tuple<Format, Layout, int64_t>, uint64_t> known_;
};

PackedFileContent content_of(std::span<const WantedWeight> wanted, std::span<const SourceFile> files) {
  PackedFileContent content;
  for (const SourceFile& file : files) {
    content.source += std::to_string(file.bytes) + " bytes, changed at " + std::to_string(file.changed) +
                      " ns, content " + hexadecimal(file.content) + ": " + file.path + "\n";
  }
  LayoutChecksums checksums;
  for (const WantedWeight& want : wanted) {
    const auto& [layout, shape] = want.chosen;
    const Format format = want.storage->format;
    std::string extents;
    for (const int64_t extent : want.storage->extents)
      extents += (extents.empty() ? "" : " x ") + std::to_string(extent);
    const std::string form =
        std::string(name(format)) + ", " + name(layout) + " in runs of " + std::to_string(layout.run) + ", packing " +
        hexadecimal(checksums.of(format, want.chosen)) + ", " + std::to_string(shape.slices) + " matrices of " +
        std::to_string(shape.rows) + " x " + std::to_string(shape.k) + ", of " + extents + ":";
    content.weights.push_back({want.storage->name, form, Interleaved(format, layout, shape).bytes()});
  }
  return content;
}

// Named by the model and by what is wanted of it, not by what may change: a changed model replaces its file.
fs::path path_in(const fs::path& folder, const PackedFileContent& content, const std::string& model) {
  constexpr size_t kLongest = 100;  // bytes, far below what file systems allow
  std::string key = model;
  for (const PackedFileContent::Weight& weight : content.weights) key += "\n" + weight.form + " " + weight.name;
  return folder / (fs::path(model).stem().string().substr(0, kLongest) + "-" + hexadecimal(checksum(key)) + ".packed");
}

// What processes that have ended before their file was complete have left beside it.
void remove_leftovers(const fs::path& path) {
  const std::string begin = path.filename().string() + ".partial.";
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator it(path.parent_path(), error), end; !error && it != end; it.increment(error)) {
    const std::string file = it->path().filename().string();
    if (!file.starts_with(begin)) continue;
    pid_t process = 0;
    const auto [stop, failed] = std::from_chars(file.data() + begin.size(), file.data() + file.size(), process);
    const bool is_number = failed == std::errc() && stop == file.data() + file.size() && process > 0;
    if (is_number && ::kill(process, 0) != 0 && errno == ESRCH) leftovers.push_back(it->path());
  }
  for (const fs::path& leftover : leftovers) fs::remove(leftover, error);
}

void write(const fs::path& path, const PackedFileContent& content, std::span<const PackedWeightPtr> weights,
           int threads) {
  static std::mutex writing;  // the name of an unfinished file is that of the process
  const std::lock_guard lock(writing);
  std::error_code error;
  const fs::path folder = path.parent_path();
  fs::create_directories(folder, error);
  if (error) throw Error(folder.string() + ": cannot make this folder: " + error.message());
  if (const fs::file_status status = fs::status(path, error); fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(path.string() + ": is in the way of a file of that name");
  }
  remove_leftovers(path);
  std::vector<std::span<const std::byte>> bytes;
  for (const PackedWeightPtr& weight : weights) bytes.push_back(weight->bytes);
  write_packed_file(path, content, bytes, threads);
}

}  // namespace

std::vector<PackedWeightPtr> interleaved_with_cache(PackedWeights& device, std::span<const WantedWeight> wanted,
                                                    int threads, const fs::path& folder,
                                                    const std::function<void(const std::string&)>& warn) {
  std::vector<WantedWeight> of_files;
  std::ranges::copy_if(wanted, std::back_inserter(of_files),
                       [](const WantedWeight& want) { return want.storage->source != nullptr; });
  if (of_files.empty() || device.holds(of_files)) return device.interleaved(wanted, threads);
  const auto tell = [&](const std::string& line) {
    if (warn) warn(line);
  };

  const std::vector<SourceFile> sources = sources_of(of_files);
  const PackedFileContent content = content_of(of_files, sources);
  const fs::path path = path_in(folder, content, sources.front().path);
  std::shared_ptr<const PackedFile> file;
  try {
    if (is_there(path)) file = PackedFile::open(path, content, threads);
  } catch (const Error& error) {
    tell(std::string(error.what()) + "; weights are packed anew");
  }
  std::vector<PackedWeightPtr> held;  // until all are returned
  for (size_t i = 0; file != nullptr && i < of_files.size(); ++i) {
    held.push_back(device.hold(of_files[i], file->weight(i), file));
  }
  std::vector<PackedWeightPtr> weights = device.interleaved(wanted, threads);
  if (file != nullptr) return weights;
  try {
    write(path, content, device.interleaved(of_files, threads), threads);
  } catch (const Error& error) {
    tell(std::string(error.what()) + "; packed weights are not kept");
  }
  return weights;
}

}  // namespace weft
