// Models in several GGUF files: read whole from any part, refused where parts do not belong together, written.
#include "runtime/files/gguf_split.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <set>

#include "runtime/files/gguf_writer.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/hf_model.h"
#include "tests/model_logits.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using FileWriter = weft::GgufWriter;
using PartWriter = test::GgufWriter;

const std::vector<int32_t> kTokens = {1, 5, 9, 2, 33, 7};

void write_file(const fs::path& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// A file with another's metadata and tensors; in parts, if `max_bytes` is given. Returns its names.
std::vector<std::string> copy_model(const GgufFile& file, const fs::path& to, std::optional<uint64_t> max_bytes) {
  GgufMetadata metadata;
  for (const GgufEntry& entry : file.metadata()) metadata.set(entry.key, entry.value);
  std::vector<GgufTensorPlan> plans;
  for (const GgufTensor& tensor : file.tensors()) {
    plans.push_back({std::string(tensor.name), {tensor.shape().begin(), tensor.shape().end()}, tensor.type});
  }
  FileWriter writer(to, metadata, std::move(plans), max_bytes);
  for (const GgufTensor& tensor : file.tensors()) writer.write({tensor.data, tensor.bytes});
  writer.finish();
  return writer.paths();
}

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

std::string bytes_of(const GgufTensor& tensor) { return {reinterpret_cast<const char*>(tensor.data), tensor.bytes}; }

// The metadata and tensors of two models are the same, whatever their files.
void expect_same(const GgufFile& got, const GgufFile& want) {
  const auto is_split_key = [](std::string_view key) { return key.starts_with("split."); };
  for (const GgufEntry& entry : want.metadata()) {
    if (is_split_key(entry.key)) continue;
    const GgufValue* value = got.find(entry.key);
    ASSERT_NE(value, nullptr) << entry.key;
    EXPECT_EQ(value->type_name(), entry.value.type_name());
    EXPECT_TRUE(std::equal(value->payload().begin(), value->payload().end(), entry.value.payload().begin(),
                           entry.value.payload().end()));
  }
  ASSERT_EQ(got.tensors().size(), want.tensors().size());
  for (size_t i = 0; i < want.tensors().size(); ++i) {
    const GgufTensor &a = got.tensors()[i], &b = want.tensors()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.type, b.type);
    EXPECT_TRUE(std::equal(a.shape().begin(), a.shape().end(), b.shape().begin(), b.shape().end()));
    EXPECT_TRUE(bytes_of(a) == bytes_of(b)) << a.name;
    EXPECT_EQ(a.data, a.file->data() + a.offset);
    EXPECT_EQ(got.find_tensor(a.name), &a);
  }
}

TEST(GgufSplit, Names) {
  EXPECT_EQ(split_path({"dir/m", 0, 3}), "dir/m-00001-of-00003.gguf");
  EXPECT_EQ(split_suffix(99998, 123456), "-99999-of-123456.gguf");
  const auto name = parse_split_name("/x/Model-7B.Q4_K-00002-of-00011.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "/x/Model-7B.Q4_K");
  EXPECT_EQ(name->no, 1u);
  EXPECT_EQ(name->count, 11u);
  EXPECT_EQ(parse_split_name("-00001-of-00001.gguf")->prefix, "");
  EXPECT_EQ(parse_split_name("a-00001-of-00002-00003-of-00004.gguf")->prefix, "a-00001-of-00002");
  for (const char* other :
       {"m.gguf", "m-00001-of-00003", "m-00001-of-00003.bin", "m-1-of-3.gguf", "m-00000-of-00003.gguf",
        "m-00004-of-00003.gguf", "m-000001-of-00003.gguf", "m00001-of-00003.gguf", "m-00001of-00003.gguf",
        "-of-00003.gguf", "00003.gguf", "m-99999999999-of-99999999999.gguf", ".gguf", ""}) {
    EXPECT_FALSE(parse_split_name(other)) << other;
  }
}

class SplitModel : public testing::Test {
 protected:
  SplitModel() { write_file(whole_, HfModel::random("llama").gguf()); }

  std::vector<std::string> split(std::optional<uint64_t> max_bytes, const std::string& name = "m.gguf") const {
    return copy_model(GgufFile::open(whole_), folder_ / name, max_bytes);
  }

  TemporaryFolder folder_;
  fs::path whole_ = folder_ / "whole.gguf";
};

TEST_F(SplitModel, IsReadWholeFromAnyPart) {
  const GgufFile whole = GgufFile::open(whole_);
  const std::vector<float> want = exact_logits(whole_, kTokens);
  for (const uint64_t max_bytes : {10000, 20000}) {
    const std::vector<std::string> paths = split(max_bytes);
    ASSERT_GE(paths.size(), 3u);
    uint64_t bytes = 0;
    for (const std::string& path : paths) bytes += fs::file_size(path);
    for (const std::string& path : paths) {
      SCOPED_TRACE(path);
      const GgufFile file = GgufFile::open(path);
      expect_same(file, whole);
      ASSERT_EQ(file.parts().size(), paths.size());
      size_t tensors = 0;
      for (size_t i = 0; i < paths.size(); ++i) {
        EXPECT_EQ(file.parts()[i].file->path(), paths[i]);
        tensors += file.parts()[i].tensors;
      }
      EXPECT_EQ(tensors, whole.tensors().size());
      EXPECT_EQ(file.bytes(), bytes);
      EXPECT_EQ(file.path(), paths[0]);
      const auto checkpoint = Checkpoint::open(path);
      EXPECT_EQ(checkpoint->bytes(), bytes);
      EXPECT_EQ(checkpoint->path(), path);
      EXPECT_EQ(exact_logits(path, kTokens), want);
    }
  }
}

TEST_F(SplitModel, SharedSample) {
  WEFT_SHARED_OR_SKIP(folder, "data/field");
  WEFT_SHARED_OR_SKIP(whole, "data/models/stories260K/stories260K.gguf");
  const std::vector<float> want = exact_logits(whole, kTokens);
  const GgufFile file = GgufFile::open(whole);
  for (const char* number : {"1", "2", "3"}) {
    const fs::path part = folder / ("m3-0000" + std::string(number) + "-of-00003.gguf");
    expect_same(GgufFile::open(part), file);
    EXPECT_EQ(exact_logits(part, kTokens), want);
    EXPECT_EQ(load_tokenizer(part)->encode("Once upon a time", true, false),
              load_tokenizer(whole)->encode("Once upon a time", true, false));
  }
}

TEST_F(SplitModel, PartsAreAsLargeAsTheyMayBe) {
  const uint64_t metadata = [&] {
    const GgufFile file = GgufFile::open(whole_);
    return file.data_offset();
  }();
  for (const uint64_t max_bytes : {uint64_t{1}, uint64_t{3000}, metadata + 2000, uint64_t{20000}, uint64_t{10000000}}) {
    const std::vector<std::string> paths = split(max_bytes);
    SCOPED_TRACE(max_bytes);
    const GgufFile file = GgufFile::open(paths[0]);
    for (size_t i = 0; i < paths.size(); ++i) {
      const GgufPart& part = file.parts()[i];
      // Larger only where nothing is left to take out.
      if (part.file->size() > max_bytes) {
        EXPECT_LE(part.tensors, i == 0 ? 0u : 1u);
      }
      if (i == 0 || i + 1 == paths.size()) continue;
      // The next tensor would not have fitted.
      size_t next = 0;
      for (size_t p = 0; p <= i; ++p) next += file.parts()[p].tensors;
      EXPECT_GT(part.file->size() + file.tensors()[next].bytes + 100, max_bytes);
    }
    if (max_bytes == 1) {
      EXPECT_EQ(paths.size(), file.tensors().size() + 1);
    }
    if (max_bytes == 10000000) {
      EXPECT_EQ(paths, std::vector<std::string>{(folder_ / "m-00001-of-00001.gguf").string()});
    }
  }
  // A file has the keys that llama.cpp reads, of its types; the first has the metadata, the others nothing else.
  const std::vector<std::string> paths = split(10000);
  for (size_t i = 0; i < paths.size(); ++i) {
    fs::copy(paths[i], folder_ / "alone.gguf", fs::copy_options::overwrite_existing);
    std::string bytes = read_file(folder_ / "alone.gguf");
    // Without its count it is a file like any other.
    bytes.replace(bytes.find("split.count"), 11, "other.count");
    write_file(folder_ / "alone.gguf", bytes);
    const GgufFile part = GgufFile::open(folder_ / "alone.gguf");
    EXPECT_EQ(part.find("split.no")->type_name(), "u16");
    EXPECT_EQ(part.get_u32("split.no"), i);
    EXPECT_EQ(part.find("other.count")->type_name(), "u16");
    EXPECT_EQ(part.get_u32("other.count"), paths.size());
    EXPECT_EQ(part.find("split.tensors.count")->type_name(), "i32");
    EXPECT_EQ(part.metadata().size(), i == 0 ? GgufFile::open(whole_).metadata().size() + 3 : 3);
  }
}

TEST_F(SplitModel, MissingPartIsNamed) {
  const std::vector<std::string> paths = split(20000);
  for (size_t missing = 0; missing < paths.size(); ++missing) {
    fs::rename(paths[missing], folder_ / "away");
    for (size_t named = 0; named < paths.size(); ++named) {
      const std::string error = error_of([&] { Checkpoint::open(paths[named]); });
      EXPECT_EQ(error.find(paths[missing] + ": "), 0u) << error;
      EXPECT_EQ(error.find('\n'), std::string::npos) << error;
      if (named == missing) continue;
      EXPECT_CONTAINS(error,
                      "is missing: it is part " + std::to_string(missing + 1) + " of " + std::to_string(paths.size()));
      EXPECT_CONTAINS(error, fs::path(paths[named]).filename().string());
    }
    fs::rename(folder_ / "away", paths[missing]);
  }
  EXPECT_NO_THROW(Checkpoint::open(paths[0]));
}

TEST_F(SplitModel, LinksAreFollowed) {
  const std::vector<std::string> paths = split(20000);
  fs::create_directories(folder_ / "links");
  // A link of another name to a part, over a second link.
  fs::create_symlink(paths[1], folder_ / "links" / "second");
  fs::create_symlink("second", folder_ / "links" / "model.gguf");
  EXPECT_EQ(GgufFile::open(folder_ / "links" / "model.gguf").parts().size(), paths.size());
  // Parts that are links to files of any name, elsewhere.
  fs::create_directories(folder_ / "blobs");
  for (size_t i = 0; i < paths.size(); ++i) {
    const fs::path blob = folder_ / "blobs" / std::to_string(i);
    fs::rename(paths[i], blob);
    fs::create_symlink(fs::path("..") / "blobs" / std::to_string(i), folder_ / "links" / fs::path(paths[i]).filename());
  }
  const fs::path linked = folder_ / "links" / fs::path(paths[2]).filename();
  EXPECT_EQ(exact_logits(linked, kTokens), exact_logits(whole_, kTokens));
  EXPECT_CONTAINS(error_of([&] { GgufFile::open(folder_ / "blobs" / "1"); }),
                  "the file's name must end in '-00002-of-0000");
}

TEST_F(SplitModel, FolderWithOneModel) {
  fs::create_directories(folder_ / "model");
  const std::vector<std::string> paths = split(20000, "model/m.gguf");
  EXPECT_EQ(exact_logits(folder_ / "model", kTokens), exact_logits(whole_, kTokens));
  fs::remove(paths[0]);
  EXPECT_EQ(error_of([&] { Checkpoint::open(folder_ / "model"); }).find(paths[0] + ": is missing"), 0u);
  write_file(folder_ / "model" / "other.gguf", read_file(whole_));
  const std::string error = error_of([&] { Checkpoint::open(folder_ / "model"); });
  EXPECT_CONTAINS(error, "holds 2 GGUF models; name one of them: m-00002-of-0000");
  EXPECT_CONTAINS(error, ", other.gguf");
  for (const std::string& path : paths) fs::remove(path);
  EXPECT_EQ(Checkpoint::open(folder_ / "model")->architecture(), "llama");
  // GGUF files that come with a config.json.
  write_file(folder_ / "model" / "config.json", "{}");
  EXPECT_EQ(Checkpoint::open(folder_ / "model")->architecture(), "llama");
  fs::remove(folder_ / "model" / "other.gguf");
  EXPECT_CONTAINS(error_of([&] { Checkpoint::open(folder_ / "model"); }), "config.json");
}

// Three parts of two tensors each, with something changed.
class Parts : public testing::Test {
 protected:
  struct Keys {
    std::optional<uint16_t> no, count;
    std::optional<int32_t> tensors = 6;
  };
  static constexpr uint16_t kCount = 3;

  Parts() {
    for (uint16_t i = 0; i < kCount; ++i) write(i, Keys{i, kCount});
  }
  fs::path path(uint16_t no, uint16_t count = kCount) const { return split_path({folder_ / "m", no, count}); }
  void write(uint16_t no, const Keys& keys, const std::function<void(PartWriter&)>& change = {}) const {
    PartWriter writer;
    if (no == 0) writer.string("general.architecture", "llama").u32("a.number", 7);
    if (keys.no) writer.add("split.no", GgufType::uint16, pod(*keys.no));
    if (keys.count) writer.add("split.count", GgufType::uint16, pod(*keys.count));
    if (keys.tensors) writer.add("split.tensors.count", GgufType::int32, pod(*keys.tensors));
    if (change) change(writer);
    for (int i = 0; i < 2; ++i) {
      writer.tensor("t" + std::to_string(2 * no + i), {4}, 0, std::string(16, static_cast<char>('a' + 2 * no + i)));
    }
    write_file(path(no), writer.bytes());
  }
  // Of opening each part: all say the same, but for the name of the file where the search began.
  void expect_refused(const fs::path& at_fault, const std::string& reason) const {
    for (uint16_t i = 0; i < kCount; ++i) {
      const std::string error = error_of([&] { GgufFile::open(path(i)); });
      EXPECT_CONTAINS(error, reason);
      EXPECT_EQ(error.find(at_fault.string() + ": "), 0u) << error;
      EXPECT_EQ(error.find('\n'), std::string::npos) << error;
    }
  }

  TemporaryFolder folder_;
};

TEST_F(Parts, Unchanged) {
  const GgufFile file = GgufFile::open(path(1));
  ASSERT_EQ(file.tensors().size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(file.tensors()[i].name, "t" + std::to_string(i));
    EXPECT_EQ(bytes_of(file.tensors()[i]), std::string(16, static_cast<char>('a' + i)));
    EXPECT_EQ(file.tensors()[i].file->path(), path(static_cast<uint16_t>(i / 2)).string());
  }
  EXPECT_EQ(file.get_u32("a.number"), 7u);
}

TEST_F(Parts, KeysThatContradictNamesOrEachOther) {
  write(1, {2, 3});
  // Named first, the part is told from its name; else from the place where it was looked for.
  for (const uint16_t named : {uint16_t{0}, uint16_t{1}, uint16_t{2}}) {
    const std::string error = error_of([&] { GgufFile::open(path(named)); });
    EXPECT_EQ(error.find(path(1).string() + ": byte "), 0u) << error;
    EXPECT_CONTAINS(error, "key 'split.no': ");
  }
  write(1, {1, 4});
  for (const uint16_t named : {uint16_t{0}, uint16_t{1}, uint16_t{2}}) {
    const std::string error = error_of([&] { GgufFile::open(path(named)); });
    EXPECT_EQ(error.find(path(1).string() + ": byte "), 0u) << error;
    EXPECT_CONTAINS(error, "key 'split.count': ");
  }
  write(1, {3, 3});
  EXPECT_CONTAINS(error_of([&] { GgufFile::open(path(1)); }), "is 3, but the parts are numbered from 0");
  // All numbered from 1.
  for (uint16_t i = 0; i < kCount; ++i) write(i, {static_cast<uint16_t>(i + 1), 3});
  EXPECT_CONTAINS(error_of([&] { GgufFile::open(path(0)); }),
                  "key 'split.no': says part 2 of 3, but the file's name says part 1 of 3");
}

TEST_F(Parts, KeysThatAreAbsentOrOfAnotherType) {
  write(2, {{}, 3});
  expect_refused(path(2), "key 'split.no': is absent");
  write(2, {2, 3}, [](PartWriter& w) { w.string("k", "v"); });
  EXPECT_NO_THROW(GgufFile::open(path(2)));
  write(2, {2, {}}, [](PartWriter& w) { w.string("split.count", "3"); });
  expect_refused(path(2), "key 'split.count': is of type string");
  write(2, {2, {}}, [](PartWriter& w) { w.add("split.count", GgufType::int64, pod<int64_t>(-3)); });
  expect_refused(path(2), "key 'split.count': is of type i64 and value -3");
  write(2, {2, {}}, [](PartWriter& w) { w.u32("split.count", 3); });
  EXPECT_NO_THROW(GgufFile::open(path(2)));
  // A stranger beside them that has the name.
  write(2, {{}, {}});
  for (const uint16_t named : {uint16_t{0}, uint16_t{1}}) {
    EXPECT_EQ(error_of([&] { GgufFile::open(path(named)); }).find(path(2).string() + ": key 'split.count': is absent"),
              0u);
  }
}

TEST_F(Parts, TensorsThatAreTooManyOrTooFew) {
  for (uint16_t i = 0; i < kCount; ++i) write(i, {i, 3, 7});
  expect_refused(path(0), "key 'split.tensors.count': is 7, but 3 files have 6 tensors");
  for (uint16_t i = 0; i < kCount; ++i) write(i, {i, 3, i == 1 ? 5 : 6});
  expect_refused(path(1), "key 'split.tensors.count': is 5, expected 6 as in " + path(0).string());
  for (uint16_t i = 0; i < kCount; ++i) write(i, {i, 3, -1});
  expect_refused(path(0), "key 'split.tensors.count': is of type i32 and value -1");
  for (uint16_t i = 0; i < kCount; ++i) write(i, {i, 3, {}});
  EXPECT_EQ(GgufFile::open(path(1)).tensors().size(), 6u);
  for (uint16_t i = 0; i < kCount; ++i) write(i, {i, 3});
  write(2, {2, 3}, [](PartWriter& w) { w.tensor("t1", {4}, 0, std::string(16, 'x')); });
  expect_refused(path(2), "tensor 't1': is also in " + path(0).string());
}

TEST_F(Parts, MetadataMayBeRepeatedButNotContradict) {
  for (uint16_t i = 1; i < kCount; ++i) {
    write(i, {i, 3},
          [](PartWriter& w) { w.string("general.architecture", "llama").u32("a.number", 7).u32("more", 1); });
  }
  const GgufFile file = GgufFile::open(path(2));
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  EXPECT_EQ(file.find("more"), nullptr);  // metadata are those of the first part
  write(1, {1, 3}, [](PartWriter& w) { w.u32("a.number", 8); });
  expect_refused(path(1), "key 'a.number': is not what it is in " + path(0).string());
  write(1, {1, 3}, [](PartWriter& w) { w.string("a.number", "7"); });
  expect_refused(path(1), "key 'a.number': is not what it is in ");
  // Each file has its own layout.
  write(1, {1, 3}, [](PartWriter& w) { w.u32("general.alignment", 64).alignment = 64; });
  EXPECT_EQ(bytes_of(GgufFile::open(path(0)).tensor("t3")), "dddddddddddddddd");
}

TEST_F(Parts, ErrorsNameThePart) {
  for (uint16_t i = 0; i < kCount; ++i) {
    if (i != 1) write(i, {i, 3, 7});
  }
  write(1, {1, 3, 7}, [](PartWriter& w) { w.tensor("odd", {256}, 19, std::string(50, 'x')); });
  const GgufFile file = GgufFile::open(path(0));
  EXPECT_EQ(error_of([&] { file.format(file.tensor("odd")); }).find(path(1).string() + ": tensor 'odd'"), 0u);
  const std::string bytes = read_file(path(2));
  write_file(path(2), bytes.substr(0, bytes.size() - 32));
  expect_refused(path(2), "tensor 't5': takes 16 bytes at offset 32 of the data, which has 32 bytes");
  write_file(path(2), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 340000\n");
  expect_refused(path(2), "is a Git LFS pointer to a file of 340000 bytes");
  fs::remove(path(2));
  fs::create_directories(path(2));
  for (const uint16_t named : {uint16_t{0}, uint16_t{1}}) {
    EXPECT_CONTAINS(error_of([&] { GgufFile::open(path(named)); }), path(2).string() + ": is a directory");
  }
}

// Counts that nothing is allocated by, and nothing loops over: the first file that is missing ends it.
TEST_F(Parts, HugeCounts) {
  const auto open = [&](uint32_t no, uint32_t count) {
    PartWriter writer;
    writer.u32("split.no", no).u32("split.count", count);
    const fs::path file = split_path({folder_ / "huge", no, count});
    write_file(file, writer.bytes());
    return error_of([&] { GgufFile::open(file); });
  };
  EXPECT_EQ(open(0, 65535).find((folder_ / "huge-00002-of-65535.gguf").string() + ": is missing"), 0u);
  EXPECT_EQ(open(0, 4294967295u).find((folder_ / "huge-00002-of-4294967295.gguf").string() + ": is missing"), 0u);
  fs::remove(folder_ / "huge-00001-of-4294967295.gguf");
  EXPECT_EQ(open(4294967293u, 4294967295u).find((folder_ / "huge-00001-of-4294967295.gguf").string() + ": is missing"),
            0u);
  // As many links to one file, which is not all of them.
  for (uint32_t no = 0; no < 40; ++no) {
    const fs::path link = split_path({folder_ / "same", no, 40});
    fs::create_symlink(folder_ / "same", link);
  }
  PartWriter same;
  same.u32("split.no", 3).u32("split.count", 40).tensor("t", {4}, 0, std::string(16, 'x'));
  write_file(folder_ / "same", same.bytes());
  EXPECT_EQ(error_of([&] {
              GgufFile::open(split_path({folder_ / "same", 3, 40}));
            }).find(split_path({folder_ / "same", 0, 40}).string() + ": byte "),
            0u);
}

TEST_F(Parts, WholeFilesWithSplitKeys) {
  const auto open = [&](const Keys& keys) {
    PartWriter writer;
    if (keys.no) writer.add("split.no", GgufType::uint16, pod(*keys.no));
    if (keys.count) writer.add("split.count", GgufType::uint16, pod(*keys.count));
    if (keys.tensors) writer.add("split.tensors.count", GgufType::int32, pod(*keys.tensors));
    writer.tensor("t", {4}, 0, std::string(16, 'x'));
    write_file(folder_ / "any.gguf", writer.bytes());
    return error_of([&] { EXPECT_EQ(GgufFile::open(folder_ / "any.gguf").tensors().size(), 1u); });
  };
  EXPECT_EQ(open({0, 0, 48}), "(no error)");  // as llama.cpp joins parts
  EXPECT_EQ(open({0, 1, 1}), "(no error)");
  EXPECT_EQ(open({{}, 1, {}}), "(no error)");
  EXPECT_EQ(open({{}, {}, 2}), "(no error)");
  EXPECT_CONTAINS(open({0, 1, 2}), "key 'split.tensors.count': is 2, but 1 file has 1 tensors");
  EXPECT_CONTAINS(open({1, 1, 1}), "key 'split.no': is 1, but the parts are numbered from 0");
  EXPECT_CONTAINS(open({0, 2, 1}),
                  "key 'split.count': says part 1 of 2: the file's name must end in '-00001-of-00002.gguf'");
}

TEST_F(SplitModel, WrittenAllOrNone) {
  const GgufFile whole = GgufFile::open(whole_);
  const std::vector<std::string> paths = split(20000);
  for (const std::string& path : paths) write_file(path, "older");
  const size_t files = files_in(folder_ / ".");
  GgufMetadata metadata;
  for (const GgufEntry& entry : whole.metadata()) metadata.set(entry.key, entry.value);
  std::vector<GgufTensorPlan> plans;
  for (const GgufTensor& tensor : whole.tensors()) {
    plans.push_back({std::string(tensor.name), {tensor.shape().begin(), tensor.shape().end()}, tensor.type});
  }
  const auto expect_older = [&] {
    for (const std::string& path : paths) EXPECT_EQ(read_file(path), "older");
    EXPECT_EQ(files_in(folder_ / "."), files);
  };
  {  // Not finished; and the names under which parts are written are told before.
    FileWriter writer(folder_ / "m.gguf", metadata, plans, 20000);
    const std::vector<std::string> temporaries = writer.temporaries();
    EXPECT_EQ(writer.paths(), paths);
    ASSERT_EQ(temporaries.size(), paths.size());
    for (const GgufTensor& tensor : whole.tensors()) writer.write({tensor.data, tensor.bytes});
    for (const std::string& temporary : temporaries) EXPECT_TRUE(fs::exists(temporary)) << temporary;
    EXPECT_THROW(writer.write(std::vector<uint8_t>(1)), Error);
  }
  expect_older();
  {  // Data are missing.
    FileWriter writer(folder_ / "m.gguf", metadata, plans, 20000);
    for (size_t i = 0; i + 1 < whole.tensors().size(); ++i)
      writer.write({whole.tensors()[i].data, whole.tensors()[i].bytes});
    EXPECT_CONTAINS(error_of([&] { writer.finish(); }), "lacks");
  }
  expect_older();
  // A part's name belongs to something else.
  fs::remove(paths[1]);
  fs::create_directories(paths[1]);
  EXPECT_CONTAINS(error_of([&] { FileWriter(folder_ / "m.gguf", metadata, plans, 20000); }),
                  paths[1] + ": is not a regular file");
  EXPECT_CONTAINS(error_of([&] { FileWriter("/dev/null", metadata, plans, 20000); }),
                  "/dev/null: is not a regular file");
  EXPECT_EQ(read_file(paths[0]), "older");
  EXPECT_EQ(files_in(folder_ / "."), files);
  fs::remove(paths[1]);
  // One cannot be put in place at the end: those that were new are taken back.
  {
    FileWriter writer(folder_ / "new.gguf", metadata, plans, 20000);
    for (const GgufTensor& tensor : whole.tensors()) writer.write({tensor.data, tensor.bytes});
    writer.complete();
    fs::create_directories(fs::path(writer.paths()[0]) / "in the way");
    EXPECT_CONTAINS(error_of([&] { writer.finish(); }),
                    writer.paths()[0] + ": cannot put the complete file in its place");
    for (size_t i = 1; i < writer.paths().size(); ++i) EXPECT_FALSE(fs::exists(writer.paths()[i]));
    fs::remove_all(writer.paths()[0]);
  }
  EXPECT_EQ(files_in(folder_ / "."), files - 1);
}

TEST_F(SplitModel, KeysOfTheInputAreReplaced) {
  const std::vector<std::string> paths = split(20000);
  const GgufFile file = GgufFile::open(paths[1]);
  copy_model(file, folder_ / "joined.gguf", {});
  EXPECT_EQ(read_file(folder_ / "joined.gguf"), [&] {
    copy_model(GgufFile::open(whole_), folder_ / "copy.gguf", {});
    return read_file(folder_ / "copy.gguf");
  }());
  const std::vector<std::string> again = copy_model(file, folder_ / "again", 10000);
  ASSERT_GT(again.size(), paths.size());
  EXPECT_EQ(again[0], split_path({folder_ / "again", 0, static_cast<uint32_t>(again.size())}));
  expect_same(GgufFile::open(again.back()), file);
}

TEST(GgufSplit, AlignmentAndEmptyTensorsAreWritten) {
  const TemporaryFolder folder;
  GgufMetadata metadata;
  metadata.set("general.alignment", uint32_t{256});
  std::vector<GgufTensorPlan> plans = {{"none", {0}, 0},      {"a", {3}, 0},  {"scalar", {}, 0},
                                       {"none2", {64, 0}, 8}, {"b", {32}, 8}, {"last", {4, 0, 2}, 0}};
  for (const std::optional<uint64_t> max_bytes : {std::optional<uint64_t>(), std::optional<uint64_t>(300)}) {
    FileWriter writer(folder / "x.gguf", metadata, plans, max_bytes);
    writer.write(std::vector<uint8_t>(12, 'a'));
    writer.write(std::vector<uint8_t>(4, 's'));
    writer.write(std::vector<uint8_t>(34, 'b'));
    writer.finish();
    const GgufFile file = GgufFile::open(writer.paths().back());
    EXPECT_EQ(file.alignment(), 256u);
    ASSERT_EQ(file.tensors().size(), plans.size());
    EXPECT_EQ(bytes_of(file.tensor("a")), std::string(12, 'a'));
    EXPECT_EQ(bytes_of(file.tensor("scalar")), std::string(4, 's'));
    EXPECT_EQ(bytes_of(file.tensor("b")), std::string(34, 'b'));
    EXPECT_EQ(file.tensor("scalar").n_dims, 0u);
    EXPECT_EQ(file.tensor("scalar").elements(), 1u);
    for (const char* name : {"none", "none2", "last"}) {
      EXPECT_EQ(file.tensor(name).bytes, 0u);
      EXPECT_EQ(file.tensor(name).elements(), 0u);
    }
  }
  metadata.set("general.alignment", uint64_t{256});
  EXPECT_CONTAINS(error_of([&] { FileWriter(folder / "y.gguf", metadata, plans); }), "general.alignment");
  metadata.set("general.alignment", uint32_t{48});
  EXPECT_CONTAINS(error_of([&] { FileWriter(folder / "y.gguf", metadata, plans); }), "general.alignment");
}

}  // namespace
}  // namespace weft::test
