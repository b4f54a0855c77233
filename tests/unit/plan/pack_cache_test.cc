// Packed weights in files: mapped bytes are those that packing gives, and what is damaged, belongs to something else or
// cannot be written never keeps a plan from running, nor changes its results.
#include "runtime/plan/pack_cache.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "models/axes.h"
#include "ops/harness/random_blocks.h"
#include "ops/ops.h"
#include "runtime/files/gguf_writer.h"
#include "runtime/files/weight_loader.h"
#include "runtime/plan/packed_file.h"
#include "runtime/plan/plan.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

constexpr int64_t kEmbed = 512, kHidden = 80;

// Two matrices, of Q8_0 and Q4_0; those of one `seed` are the same. In parts, if `max_bytes` is given.
std::vector<std::string> write_model(const fs::path& path, uint64_t seed, std::optional<uint64_t> max_bytes = {},
                                     const std::string& title = "one") {
  GgufMetadata metadata;
  metadata.set("general.architecture", "any");
  metadata.set("general.name", title);
  GgufWriter writer(path, metadata, {{"up.weight", {kEmbed, kHidden}, 8}, {"down.weight", {32, kEmbed}, 2}}, max_bytes);
  std::mt19937_64 random(seed);
  const auto write = [&](Format format, int64_t rows, int64_t k) {
    std::vector<std::byte> row(row_bytes(format, static_cast<size_t>(k)));
    for (int64_t r = 0; r < rows; ++r) {
      random_blocks(format, static_cast<size_t>(k), 1.0f, 0, [&] { return random(); }, row.data());
      writer.write({reinterpret_cast<const uint8_t*>(row.data()), row.size()});
    }
  };
  write(Format::q8_0, kHidden, kEmbed);
  write(Format::q4_0, kEmbed, 32);
  writer.finish();
  return writer.paths();
}

struct Narrow : axis<"narrow"> {};

struct Result {
  std::vector<float> hidden, embed;
  PlanMemory memory;
  std::vector<std::string> warnings;
  bool is_mapped() const { return memory.packed_weights > 0 && memory.mapped_weights == memory.packed_weights; }
};

// Two products with rows of the model.
Result run(const fs::path& model, const fs::path& folder, const std::string& kernel = "",
           const Device& device = Device::cpu(2)) {
  Weight<Hidden, Embed> up;
  Weight<Embed, Narrow> down;
  WeightLoader loader(Checkpoint::open(model));
  loader.extents<Hidden, Embed, Narrow>(kHidden, kEmbed, 32);
  loader.load(up, "up.weight");
  loader.load(down, "down.weight");
  loader.finish();
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const auto z = graph.input<f32, Pos, Narrow>("z");
  const auto hidden = materialize(contract<Embed>(x, up));
  const auto embed = materialize(contract<Narrow>(z, down));
  graph.result(hidden), graph.result(embed);
  Result result;
  PlanOptions options;
  options.kernel = kernel;
  options.pack_cache = folder.string();
  options.warn = [&](const std::string& line) { result.warnings.push_back(line); };
  Plan plan = compile(device, graph.record(), Limits().set(graph.axis<Pos>(), 2), options);
  Bindings bindings = plan.bindings();
  std::vector<float> xs(2 * kEmbed), zs(2 * 32);
  for (size_t i = 0; i < xs.size(); ++i) xs[i] = static_cast<float>(i % 7) - 3;
  for (size_t i = 0; i < zs.size(); ++i) zs[i] = static_cast<float>(i % 5) - 2;
  bindings.input(x.id(), xs.data(), {2, kEmbed});
  bindings.input(z.id(), zs.data(), {2, 32});
  plan.run(bindings);
  const auto copy = [&](ValueId value) {
    const Output output = plan.output(value);
    return std::vector<float>(output.floats().begin(), output.floats().end());
  };
  result.hidden = copy(hidden.id()), result.embed = copy(embed.id());
  result.memory = plan.memory();
  return result;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code none;
  for (fs::directory_iterator it(folder, none), end; !none && it != end; it.increment(none))
    files.push_back(it->path());
  std::sort(files.begin(), files.end());
  return files;
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class PackCache : public testing::Test {
 protected:
  PackCache() { write_model(model_, 1), want_ = run(model_, ""); }

  void expect_same(const Result& result, const Result& want) const {
    EXPECT_EQ(result.hidden, want.hidden);
    EXPECT_EQ(result.embed, want.embed);
  }
  // The results of the model; packed, with one warning that has this text (none: without any).
  void expect_packed(const std::string& warning, const fs::path& model = {}) const {
    const Result result = run(model.empty() ? model_ : model, cache_);
    expect_same(result, want_);
    EXPECT_FALSE(result.is_mapped());
    ASSERT_EQ(result.warnings.size(), warning.empty() ? 0u : 1u);
    if (warning.empty()) return;
    EXPECT_CONTAINS(result.warnings[0], warning);
    EXPECT_CONTAINS(result.warnings[0], "; weights are packed anew");
    EXPECT_EQ(result.warnings[0].rfind(cache_.string(), 0), 0u) << result.warnings[0];
  }
  void expect_mapped(const fs::path& model = {}) const {
    const Result result = run(model.empty() ? model_ : model, cache_);
    expect_same(result, want_);
    EXPECT_TRUE(result.is_mapped());
    EXPECT_TRUE(result.warnings.empty()) << result.warnings[0];
  }
  fs::path only_file() const {
    const std::vector<fs::path> files = files_in(cache_);
    EXPECT_EQ(files.size(), 1u);
    return files.empty() ? fs::path() : files[0];
  }

  TemporaryFolder folder_;
  fs::path model_ = folder_ / "model.gguf", cache_ = folder_ / "new" / "cache";
  Result want_;
};

TEST_F(PackCache, IsWrittenThenMapped) {
  EXPECT_EQ(want_.memory.mapped_weights, 0u);
  expect_packed("");
  EXPECT_EQ(only_file().filename().string().rfind("model-", 0), 0u);
  EXPECT_EQ(only_file().extension(), ".packed");
  expect_mapped();
  expect_mapped();
  EXPECT_EQ(files_in(cache_).size(), 1u);
}

// A plan that finds its weights on the device shares them, whatever its options say.
TEST_F(PackCache, IsLeftAloneWhereTheDeviceHasTheWeights) {
  const auto checkpoint = Checkpoint::open(model_);
  Weight<Hidden, Embed> up;
  WeightLoader loader(checkpoint);
  loader.extents<Hidden, Embed>(kHidden, kEmbed);
  loader.load(up, "up.weight");
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const auto hidden = materialize(contract<Embed>(x, up));
  graph.result(hidden);
  const Limits limits = Limits().set(graph.axis<Pos>(), 2);
  const Plan first = compile(Device::cpu(2), graph.record(), limits);
  PlanOptions options;
  options.pack_cache = cache_.string();
  const Plan second = compile(Device::cpu(2), graph.record(), limits, options);
  EXPECT_GT(second.memory().packed_weights, 0u);
  EXPECT_EQ(second.memory().mapped_weights, 0u);
  EXPECT_FALSE(fs::exists(cache_));
}

WantedWeight wanted_of(const std::shared_ptr<const Storage>& storage, int64_t rows, int64_t k) {
  return {storage, {kRows16, {1, rows, k}}};
}

TEST_F(PackCache, HasTheBytesThatPackingGives) {
  Weight<Hidden, Embed> up;
  Weight<Embed, Narrow> down;
  WeightLoader loader(Checkpoint::open(model_));
  loader.extents<Hidden, Embed, Narrow>(kHidden, kEmbed, 32);
  loader.load(up, "up.weight");
  loader.load(down, "down.weight");
  const auto own = std::make_shared<Storage>(*down.storage());  // of no file
  own->source = nullptr;
  const std::vector<WantedWeight> wanted = {wanted_of(up.storage(), kHidden, kEmbed),
                                            wanted_of(down.storage(), kEmbed, 32), wanted_of(own, kEmbed, 32)};
  PackedWeights plain, writer, reader;
  const auto packed = plain.interleaved(wanted, 2);
  for (PackedWeights* device : {&writer, &reader}) {
    const auto cached = interleaved_with_cache(*device, wanted, 2, cache_, {});
    ASSERT_EQ(cached.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(cached[i]->is_mapped, device == &reader && i < 2);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(cached[i]->bytes.data()) % 64, 0u);
      ASSERT_EQ(cached[i]->bytes.size(), packed[i]->bytes.size());
      EXPECT_EQ(std::memcmp(cached[i]->bytes.data(), packed[i]->bytes.data(), packed[i]->bytes.size()), 0);
    }
  }
  PackedWeights other;
  interleaved_with_cache(other, {&wanted[2], 1}, 1, folder_ / "unused", {});
  EXPECT_FALSE(fs::exists(folder_ / "unused"));
}

TEST_F(PackCache, FileOfAnyLengthIsReplaced) {
  run(model_, cache_);
  const fs::path file = only_file();
  const std::string whole = test::read_file(file);
  const size_t data = whole.size() - want_.memory.packed_weights;
  const std::vector<std::pair<size_t, std::string>> lengths = {
      {0, "is damaged: it ends within its header"},       {47, "is damaged: it ends within its header"},
      {48, "is damaged: it ends within its directory"},   {200, "is damaged: it ends within its directory"},
      {4096, "is damaged: it has 4096 bytes, expected "}, {data, "is damaged: it has "},
      {whole.size() - 1, "is damaged: it has "},          {whole.size() - 4096, "is damaged: it has "}};
  for (const auto& [length, why] : lengths) {
    SCOPED_TRACE(length);
    write_bytes(file, whole.substr(0, length));
    expect_packed(why);
    EXPECT_TRUE(test::read_file(file) == whole);
    expect_mapped();
  }
  write_bytes(file, whole + "x");
  expect_packed("is damaged: it has ");
  expect_mapped();
}

TEST_F(PackCache, EveryChangedBitIsFound) {
  run(model_, cache_);
  const fs::path file = only_file();
  const std::string whole = test::read_file(file);
  const size_t head = whole.find('\0', 48 + 400);  // texts take more than 400 bytes
  ASSERT_LT(head, whole.size());
  std::mt19937 random(1);
  int data = 0;
  for (int i = 0; i < 120; ++i) {
    // Header and texts, byte by byte in steps; then the weights.
    const size_t at = i < 60 ? static_cast<size_t>(i) * 9 : 4096 + random() % (whole.size() - 4096);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1 << random() % 8);
    write_bytes(file, damaged);
    const Result result = run(model_, cache_);
    SCOPED_TRACE(at);
    expect_same(result, want_);
    if (result.is_mapped()) {
      // What fills the pages between weights is of no use to anybody.
      EXPECT_EQ(whole[at], '\0');
      continue;
    }
    data += at >= 4096;
    ASSERT_EQ(result.warnings.size(), 1u);
    EXPECT_CONTAINS(result.warnings[0], at < 8                ? "is not a file of packed weights"
                                        : at >= 16 && at < 24 ? "was written by another version of Weft"
                                                              : "is damaged: ");
    EXPECT_TRUE(test::read_file(file) == whole);
  }
  EXPECT_GT(data, 30);
}

TEST_F(PackCache, ForgedDirectoryIsRefused) {
  const PackedFileContent content{"files\n", {{"a", "form", 100}, {"b", "form", 5000}}};
  const std::vector<std::byte> bytes(5000, std::byte{7});
  const std::vector<std::span<const std::byte>> weights = {std::span(bytes).first(100), bytes};
  const fs::path path = folder_ / "f.packed";
  write_packed_file(path, content, weights, 2);
  const auto file = PackedFile::open(path, content, 2);
  EXPECT_EQ(std::memcmp(file->weight(1).data(), bytes.data(), bytes.size()), 0);
  const auto refused = [&](const PackedFileContent& other) {
    return test::error_of([&] { PackedFile::open(path, other, 1); });
  };
  EXPECT_CONTAINS(refused({"other\n", content.weights}), "was made of other files, or before these have changed");
  EXPECT_CONTAINS(refused({content.source, {{"a", "form", 100}}}), "has other weights, or in other layouts");
  EXPECT_CONTAINS(refused({content.source, {{"a", "form", 100}, {"b", "another", 5000}}}), "has other weights");
  EXPECT_CONTAINS(refused({content.source, {{"a", "form", 100}, {"b", "form", 50000}}}), "is damaged: it has ");
  // Sizes of parts that are far beyond the file.
  const std::string whole = test::read_file(path);
  for (const size_t field : {24, 32, 40}) {
    for (const uint64_t size : {uint64_t{1} << 20, uint64_t{1} << 61, UINT64_MAX, UINT64_MAX - 100}) {
      std::string forged = whole;
      std::memcpy(forged.data() + field, &size, sizeof size);
      write_bytes(path, forged);
      EXPECT_CONTAINS(refused(content), "is damaged: it ends within its directory");
    }
  }
}

TEST_F(PackCache, HasAFileForEachModelAndLayout) {
  const fs::path other = folder_ / "other.gguf";
  write_model(other, 2);
  const Result of_other = run(other, cache_);
  expect_packed("");
  expect_mapped();
  EXPECT_NE(of_other.hidden, want_.hidden);
  EXPECT_TRUE(run(other, cache_).is_mapped());
  EXPECT_EQ(run(other, cache_).hidden, of_other.hidden);
  EXPECT_EQ(files_in(cache_).size(), 2u);
  // A kernel that reads one of the weights as stored.
  const Result stored = run(model_, cache_, "f32-dot");
  EXPECT_TRUE(stored.warnings.empty());
  EXPECT_TRUE(stored.memory.packed_weights == 0 || files_in(cache_).size() == 3);
  expect_mapped();
}

// As if names of files had collided, or somebody had renamed them.
TEST_F(PackCache, FileOfAnotherModelIsReplaced) {
  const fs::path other = folder_ / "other.gguf";
  write_model(other, 2);
  run(other, cache_);
  const fs::path of_other = only_file();
  run(model_, cache_);
  for (const fs::path& file : files_in(cache_)) {
    if (file != of_other) fs::copy_file(of_other, file, fs::copy_options::overwrite_existing);
  }
  expect_packed("was made of other files, or before these have changed");
  expect_mapped();
}

TEST_F(PackCache, ChangedModelIsPackedAnew) {
  run(model_, cache_);
  const std::string changed = "was made of other files, or before these have changed";
  const fs::file_time_type time = fs::last_write_time(model_);

  fs::last_write_time(model_, time + std::chrono::nanoseconds(1000));
  expect_packed(changed);
  expect_mapped();
  fs::last_write_time(model_, time);
  expect_packed(changed);

  // The same size and time, but other metadata; then other weights.
  const uintmax_t size = fs::file_size(model_);
  write_model(model_, 1, {}, "two");
  ASSERT_EQ(fs::file_size(model_), size);
  fs::last_write_time(model_, time);
  expect_packed(changed);
  expect_mapped();
  write_model(model_, 2, {}, "two");
  ASSERT_EQ(fs::file_size(model_), size);
  fs::last_write_time(model_, time);
  want_ = run(model_, "");
  expect_packed(changed);
  expect_mapped();

  write_model(model_, 2, {}, "a longer name, so that the file is longer");
  fs::last_write_time(model_, time);
  ASSERT_NE(fs::file_size(model_), size);
  expect_packed(changed);
  EXPECT_EQ(files_in(cache_).size(), 1u);
}

TEST_F(PackCache, SplitModelIsOneFromAnyPart) {
  const std::vector<std::string> parts = write_model(folder_ / "split.gguf", 1, 20000);
  ASSERT_GE(parts.size(), 2u);
  expect_packed("", parts[0]);
  for (const std::string& part : parts) expect_mapped(part);
  EXPECT_EQ(files_in(cache_).size(), 1u);
  for (const std::string& part : parts) {
    fs::last_write_time(part, fs::last_write_time(part) + std::chrono::seconds(1));
    expect_packed("was made of other files", parts[0]);
    expect_mapped(parts.back());
  }
}

// Weights of safetensors are not quantized: packed for kernels that want them so.
TEST_F(PackCache, ShardsAreChecked) {
  test::HfModel model = test::HfModel::random("llama");
  const test::TempDirectory directory;
  directory.write(model, "F32", 3);
  const auto run_shards = [&] {
    Weight<Hidden, Embed> gate;
    const auto checkpoint = Checkpoint::open(directory.path());
    WeightLoader loader(checkpoint);
    loader.extents<Hidden, Embed>(test::HfModel::kHidden, test::HfModel::kEmbed);
    loader.load(gate, loader.layer(0)("ffn_gate.weight", "mlp.gate_proj.weight"));
    EXPECT_EQ(checkpoint->files().size(), 3u);
    PackedWeights device;
    const WantedWeight wanted = wanted_of(gate.storage(), test::HfModel::kHidden, test::HfModel::kEmbed);
    std::vector<std::string> warnings;
    const auto weights = interleaved_with_cache(device, {&wanted, 1}, 1, cache_,
                                                [&](const std::string& line) { warnings.push_back(line); });
    return std::pair(weights[0]->is_mapped, warnings.size());
  };
  EXPECT_EQ(run_shards(), std::pair(false, size_t{0}));
  EXPECT_EQ(run_shards(), std::pair(true, size_t{0}));
  for (const fs::path& file : files_in(directory.path())) {
    if (file.extension() != ".safetensors") continue;
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(1));
    EXPECT_EQ(run_shards(), std::pair(false, size_t{1})) << file;
    EXPECT_EQ(run_shards(), std::pair(true, size_t{0})) << file;
  }
}

TEST_F(PackCache, FolderThatCannotBeWrittenIsAWarning) {
  write_bytes(folder_ / "file", "x");
  for (const fs::path& folder : {folder_ / "file", folder_ / "file" / "below", fs::path("/proc/none")}) {
    const Result result = run(model_, folder);
    expect_same(result, want_);
    ASSERT_EQ(result.warnings.size(), 1u) << folder;
    EXPECT_CONTAINS(result.warnings[0], folder.string() + ": cannot make this folder: ");
    EXPECT_CONTAINS(result.warnings[0], "; packed weights are not kept");
  }
}

TEST_F(PackCache, ReadOnlyFolder) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  fs::create_directories(cache_);
  fs::permissions(cache_, fs::perms::owner_read | fs::perms::owner_exec);
  const Result result = run(model_, cache_);
  expect_same(result, want_);
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_CONTAINS(result.warnings[0], ".packed: cannot make a file beside it: Permission denied");
  fs::permissions(cache_, fs::perms::owner_all);
  run(model_, cache_);
  fs::permissions(cache_, fs::perms::owner_read | fs::perms::owner_exec);
  expect_mapped();
  fs::permissions(cache_, fs::perms::owner_all);
}

TEST_F(PackCache, WhatIsInTheWayStays) {
  run(model_, cache_);
  const fs::path file = only_file();
  fs::remove(file);
  fs::create_directory(file);
  const Result result = run(model_, cache_);
  expect_same(result, want_);
  ASSERT_EQ(result.warnings.size(), 2u);
  EXPECT_CONTAINS(result.warnings[0], "is a directory");
  EXPECT_CONTAINS(result.warnings[1], "is in the way");
  EXPECT_TRUE(fs::is_directory(file));
}

TEST_F(PackCache, LeftoversOfEndedProcessesAreRemoved) {
  run(model_, cache_);
  const fs::path file = only_file();
  fs::remove(file);
  const pid_t ended = fork();
  if (ended == 0) _exit(0);
  waitpid(ended, nullptr, 0);
  const std::string begin = file.string() + ".partial.";
  const std::set<fs::path> stay = {begin + std::to_string(::getppid()), begin + "x", begin + "1x",
                                   cache_ / ("other.packed.partial." + std::to_string(ended))};
  for (const fs::path& path : stay) write_bytes(path, "x");
  write_bytes(begin + std::to_string(ended), "x");
  run(model_, cache_);
  std::set<fs::path> want = stay;
  want.insert(file);
  const std::vector<fs::path> files = files_in(cache_);
  EXPECT_EQ(std::set<fs::path>(files.begin(), files.end()), want);
}

TEST_F(PackCache, ThreadsMayWriteAtOnce) {
  std::vector<std::thread> threads;
  std::vector<Result> results(6);
  for (Result& result : results) threads.emplace_back([&] { result = run(model_, cache_, "", Device::cpu(1)); });
  for (std::thread& thread : threads) thread.join();
  for (const Result& result : results) {
    expect_same(result, want_);
    EXPECT_TRUE(result.warnings.empty()) << result.warnings[0];
  }
  expect_mapped();
}

TEST_F(PackCache, IsOfNoUseToOpenCl) {
  if (!test::opencl_device()) GTEST_SKIP() << "there is no OpenCL device";
  const Result result = run(model_, cache_, "", *test::opencl_device());
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_CONTAINS(result.warnings[0], "no packed weights are kept there for OpenCL");
  EXPECT_FALSE(fs::exists(cache_));
}

}  // namespace
}  // namespace weft
