#include "runtime/files/gguf.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <limits>

#include "runtime/files/mapped_file.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

using Strings = std::vector<std::string_view>;
using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;
using Extents = std::vector<size_t>;

Extents shape_of(const GgufTensor& tensor) { return {tensor.shape().begin(), tensor.shape().end()}; }

TEST(MappedFile, MapsMovesAndDrops) {
  const std::string text(100000, 'x');
  const TempFile file(text);
  MappedFile first(file.path());
  EXPECT_EQ(first.size(), text.size());
  const uint8_t* address = first.data();
  MappedFile second = std::move(first);
  EXPECT_EQ(second.data(), address);
  EXPECT_EQ(first.data(), nullptr);  // NOLINT: the moved-from state is part of the contract
  second.drop(0, second.size());
  second.drop(5000, std::numeric_limits<size_t>::max());
  second.drop(200000, 1);
  second.drop(1, 1);
  EXPECT_EQ(std::string(second.bytes().begin(), second.bytes().end()), text);
  const TempFile other("other");
  second = MappedFile(other.path());
  EXPECT_EQ(second.size(), 5u);
  EXPECT_EQ(second.path(), other.path().string());
}

TEST(MappedFile, EmptyFileIsEmpty) {
  const TempFile file("");
  const MappedFile map(file.path());
  EXPECT_EQ(map.size(), 0u);
  EXPECT_TRUE(map.bytes().empty());
  map.drop(0, 1);
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  EXPECT_CONTAINS(error_of([] { const MappedFile map("/no/such/file.gguf"); }), "/no/such/file.gguf");
  EXPECT_CONTAINS(error_of([] { const MappedFile map("/no/such/file.gguf"); }), "No such file or directory");
  EXPECT_CONTAINS(error_of([] { const MappedFile map(std::filesystem::temp_directory_path()); }), "directory");
  EXPECT_CONTAINS(error_of([] { const MappedFile map("/dev/null"); }), "/dev/null: is not a regular file");
  const TempFile pipe("", ".fifo");
  std::filesystem::remove(pipe.path());
  ASSERT_EQ(::mkfifo(pipe.path().c_str(), 0600), 0);
  EXPECT_CONTAINS(error_of([&] { MappedFile map(pipe.path()); }), "is not a regular file");
}

// One value of every type, and tensors of several.
GgufWriter all_types() {
  GgufWriter writer;
  writer.add("a.u8", GgufType::uint8, pod<uint8_t>(200))
      .add("a.i8", GgufType::int8, pod<int8_t>(-100))
      .add("a.u16", GgufType::uint16, pod<uint16_t>(60000))
      .add("a.i16", GgufType::int16, pod<int16_t>(-30000))
      .u32("a.u32", 4000000000u)
      .add("a.i32", GgufType::int32, pod<int32_t>(-2000000000))
      .f32("a.f32", 1.5f)
      .f32("a.whole", 32)
      .flag("a.bool", true)
      .string("a.string", "h\xC3\xA9llo")
      .add("a.u64", GgufType::uint64, pod<uint64_t>(18000000000000000000u))
      .add("a.i64", GgufType::int64, pod<int64_t>(-9000000000000000000))
      .add("a.f64", GgufType::float64, pod<double>(-2.25))
      .add("a.strings", GgufType::array, array({"x", "", "yz"}))
      .add("a.floats", GgufType::array, array<float>(GgufType::float32, {1, 2.5f, -3}))
      .add("a.bytes", GgufType::array, array<uint8_t>(GgufType::uint8, {1, 2, 255}))
      .add("a.bools", GgufType::array, array<uint8_t>(GgufType::bool8, {1, 0}))
      .add("a.nested", GgufType::array,
           array(GgufType::array, 2, array({"p", "q"}) + array<int16_t>(GgufType::int16, {-7})))
      .add("a.empty", GgufType::array, array<int32_t>(GgufType::int32, {}));
  writer.tensor("plain", {3, 2}, 0, std::string(24, 'a'))
      .tensor("half", {5}, 1, std::string(10, 'b'))
      .tensor("brain", {1, 1, 1, 2}, 30, std::string(4, 'c'))
      .tensor("q8", {64, 3}, 8, std::string(6 * 34, 'd'))
      .tensor("q4", {32}, 2, std::string(18, 'e'))
      .tensor("k", {256, 2}, 14, std::string(2 * 210, 'f'))
      .tensor("other", {256}, 19, std::string(50, 'f'))
      .tensor("ints", {4}, 26, std::string(16, 'g'));
  return writer;
}

TEST(Gguf, ReadsEveryType) {
  const TempFile temp(all_types().bytes());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 32u);
  ASSERT_EQ(file.metadata().size(), 19u);
  EXPECT_EQ(file.metadata().front().key, "a.u8");
  EXPECT_EQ(file.metadata().back().key, "a.empty");
  EXPECT_EQ(file.metadata()[0].value.offset(), 24u + 8 + 4 + 4);

  EXPECT_EQ(file.find("a.u8")->as_u64(), 200u);
  EXPECT_EQ(file.find("a.i8")->as_i64(), -100);
  EXPECT_EQ(file.find("a.i8")->as_u64(), std::nullopt);
  EXPECT_EQ(file.find("a.u16")->as_i64(), 60000);
  EXPECT_EQ(file.find("a.i16")->as_i64(), -30000);
  EXPECT_EQ(file.find("a.u32")->as_u64(), 4000000000u);
  EXPECT_EQ(file.find("a.i32")->as_i64(), -2000000000);
  EXPECT_EQ(file.find("a.u64")->as_u64(), 18000000000000000000u);
  EXPECT_EQ(file.find("a.u64")->as_i64(), std::nullopt);
  EXPECT_EQ(file.find("a.i64")->as_i64(), -9000000000000000000);
  EXPECT_EQ(file.find("a.f32")->as_f64(), 1.5);
  EXPECT_EQ(file.find("a.f64")->as_f64(), -2.25);
  EXPECT_EQ(file.find("a.bool")->as_bool(), true);
  EXPECT_EQ(file.find("a.bool")->as_i64(), std::nullopt);
  EXPECT_EQ(file.find("a.string")->as_string(), "h\xC3\xA9llo");
  EXPECT_EQ(file.find("a.nothing"), nullptr);
  EXPECT_EQ(file.find("a.strings")->type_name(), "array of string");
  EXPECT_EQ(file.find("a.string")->type_name(), "string");
  EXPECT_TRUE(file.find("a.string")->elements().empty());

  const std::vector<GgufValue> nested = file.find("a.nested")->elements();
  ASSERT_EQ(nested.size(), 2u);
  EXPECT_EQ(nested[0].type_name(), "array of string");
  ASSERT_EQ(nested[0].elements().size(), 2u);
  EXPECT_EQ(nested[0].elements()[1].as_string(), "q");
  EXPECT_EQ(nested[1].elements()[0].as_i64(), -7);
  EXPECT_EQ(file.find("a.floats")->elements(2).size(), 2u);
  EXPECT_EQ(file.find("a.bools")->elements()[0].as_bool(), true);
}

TEST(Gguf, TensorsWithoutElements) {
  GgufWriter writer;
  writer.tensor("none", {0}, 0, "")
      .tensor("a", {2}, 0, "12345678")
      .tensor("rows", {64, 0}, 8, "")
      .tensor("last", {0, 3}, 14, "");
  for (const std::string& bytes : {writer.bytes(), GgufWriter().tensor("none", {0, 2}, 0, "").head()}) {
    const TempFile temp(bytes);
    const GgufFile file = GgufFile::open(temp.path());
    for (const GgufTensor& tensor : file.tensors()) {
      EXPECT_EQ(tensor.bytes, tensor.name == "a" ? 8u : 0u);
      EXPECT_EQ(tensor.elements(), tensor.name == "a" ? 2u : 0u);
      EXPECT_LE(tensor.offset, file.file().size());
      EXPECT_EQ(tensor.data, file.file().data() + tensor.offset);
    }
  }
}

// What is named as the model and is something else.
TEST(Gguf, OtherFilesAreNamed) {
  for (const auto& [bytes, part] : std::vector<std::pair<std::string, std::string>>{
           {"", "is empty"},
           {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n", "`git lfs pull`"},
           {"<!DOCTYPE html><html>", "is a web page"},
           {std::string("PK\3\4\0", 5), "save the model as safetensors"},
           {std::string("\2\0\0\0\0\0\0\0{}", 10), "is a safetensors file"},
           {std::string("tjgg\3\0\0\0", 8), "is a GGJT file"},
           {std::string("GGUF\1\0\0\0\0\0\0\0\0\0\0\0", 16), "byte 4: is a GGUF file of version 1"},
           {std::string("GGUF\0\0\0\3\0\0\0\0\0\0\0\0", 16), "byte 4: is a big-endian GGUF file"}}) {
    const TempFile temp(bytes);
    EXPECT_CONTAINS(error_of([&] { GgufFile::open(temp.path()); }), part);
    EXPECT_EQ(error_of([&] { GgufFile::open(temp.path()); }).find(temp.path().string() + ": byte "), 0u);
  }
}

TEST(Gguf, Lookups) {
  const TempFile temp(all_types().bytes());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_EQ(file.get_u32("a.u8"), 200u);
  EXPECT_EQ(file.get_u32("a.u32"), 4000000000u);
  EXPECT_EQ(file.get_u32("absent", 7), 7u);
  EXPECT_EQ(file.get_u32("a.whole"), 32u);
  EXPECT_EQ(file.get_f32("a.f32"), 1.5f);
  EXPECT_EQ(file.get_f32("a.f64", 9), -2.25f);
  EXPECT_EQ(file.get_f32("absent", 9), 9.0f);
  EXPECT_TRUE(file.get_bool("a.bool", false));
  EXPECT_FALSE(file.get_bool("absent", false));
  EXPECT_EQ(file.get_string("a.string"), "h\xC3\xA9llo");
  EXPECT_EQ(file.get_string("absent", "d"), "d");
  EXPECT_EQ(file.get_string_array("a.strings"), (Strings{"x", "", "yz"}));
  EXPECT_EQ(file.get_string_array("absent", {"d"}), (Strings{"d"}));
  EXPECT_EQ(file.get_f32_array("a.floats"), (Floats{1, 2.5f, -3}));
  EXPECT_EQ(file.get_f32_array("absent", {4}), (Floats{4}));
  EXPECT_EQ(file.get_i32_array("a.bytes"), (Ints{1, 2, 255}));
  EXPECT_EQ(file.get_i32_array("a.empty"), (Ints{}));
  EXPECT_EQ(file.get_i32_array("absent", {-1}), (Ints{-1}));

  const std::string name = temp.path().string();
  EXPECT_EQ(error_of([&] { file.get_u32("absent"); }), name + ": key 'absent': is absent");
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.i32"); }), name);
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.i32"); }), "byte ");
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.i32"); }), "key 'a.i32'");
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.i32"); }), "type i32 and value -2000000000, wanted a u32");
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.u64", 1); }), "18000000000000000000");
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.floats"); }), "is of type array of f32, wanted an integer");
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.bool"); }), "is of type bool");
  EXPECT_CONTAINS(error_of([&] { file.get_u32("a.f32"); }), "is of type f32, wanted an integer");
  EXPECT_CONTAINS(error_of([&] { file.get_f32("a.u8"); }), "is of type u8, wanted f32");
  EXPECT_CONTAINS(error_of([&] { file.get_bool("a.u8"); }), "is of type u8, wanted bool");
  EXPECT_CONTAINS(error_of([&] { file.get_string("a.strings"); }), "wanted string");
  EXPECT_CONTAINS(error_of([&] { file.get_string_array("a.bytes"); }), "is of type array of u8");
  EXPECT_CONTAINS(error_of([&] { file.get_f32_array("a.bytes"); }), "wanted array of f32");
  EXPECT_CONTAINS(error_of([&] { file.get_i32_array("a.floats"); }), "wanted array of i32");
}

TEST(Gguf, LookupsThatDoNotFit) {
  GgufWriter writer;
  writer.add("big", GgufType::float64, pod(1e300))
      .add("infinite", GgufType::float64, pod(std::numeric_limits<double>::infinity()))
      .add("bigs", GgufType::array, array<double>(GgufType::float64, {1, -1e300}))
      .add("ids", GgufType::array, array<uint32_t>(GgufType::uint32, {1, 3000000000u}));
  const TempFile temp(writer.bytes());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_CONTAINS(error_of([&] { file.get_f32("big"); }), "too large");
  EXPECT_TRUE(std::isinf(file.get_f32("infinite")));
  EXPECT_CONTAINS(error_of([&] { file.get_f32_array("bigs"); }), "element 1 is too large");
  EXPECT_CONTAINS(error_of([&] { file.get_i32_array("ids"); }), "element 1 is 3000000000");
}

TEST(Gguf, Tensors) {
  const TempFile temp(all_types().bytes());
  GgufFile opened = GgufFile::open(temp.path());
  const GgufFile file = std::move(opened);  // views stay valid
  ASSERT_EQ(file.tensors().size(), 8u);
  const GgufTensor& plain = file.tensors()[0];
  EXPECT_EQ(plain.name, "plain");
  EXPECT_EQ(shape_of(plain), (Extents{3u, 2u}));
  EXPECT_EQ(plain.type, 0u);
  EXPECT_EQ(plain.type_name, "F32");
  EXPECT_EQ(plain.bytes, 24u);
  EXPECT_EQ(plain.offset, file.data_offset());
  EXPECT_EQ(std::string(plain.data, plain.data + plain.bytes), std::string(24, 'a'));
  EXPECT_EQ(file.format(plain), Format::f32);
  EXPECT_EQ(file.format(file.tensor("half")), Format::f16);
  EXPECT_EQ(file.format(file.tensor("brain")), Format::bf16);
  EXPECT_EQ(file.format(file.tensor("q8")), Format::q8_0);
  EXPECT_EQ(file.format(file.tensor("q4")), Format::q4_0);
  EXPECT_EQ(file.tensor("q8").bytes, 6u * 34);
  EXPECT_EQ(file.tensor("q8").data[0], 'd');
  EXPECT_EQ(shape_of(file.tensor("brain")), (Extents{1, 1, 1, 2}));
  EXPECT_EQ(file.find_tensor("nothing"), nullptr);
  const std::string name = temp.path().string();
  EXPECT_EQ(error_of([&] { file.tensor("nothing"); }), name + ": there is no tensor 'nothing'");
  EXPECT_EQ(error_of([&] { file.format(file.tensor("other")); }),
            name + ": tensor 'other' is stored as IQ1_S, which this build does not read");
  EXPECT_EQ(file.format(file.tensor("k")), Format::q6_k);
  EXPECT_CONTAINS(error_of([&] { file.format(file.tensor("ints")); }), "tensor 'ints' is stored as I32");
}

TEST(Gguf, VersionTwoAndOtherAlignment) {
  GgufWriter writer;
  writer.header.version = 2;
  writer.alignment = 4096;
  writer.u32("general.alignment", 4096).tensor("a", {1}, 0, "1234").tensor("b", {1}, 0, "5678");
  const TempFile temp(writer.bytes());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_EQ(file.version(), 2u);
  EXPECT_EQ(file.tensor("b").offset, 8192u);
}

TEST(Gguf, NoTensorsNoMetadata) {
  const TempFile temp(GgufWriter().head());
  const GgufFile file = GgufFile::open(temp.path());
  EXPECT_TRUE(file.metadata().empty());
  EXPECT_TRUE(file.tensors().empty());
}

// Sizes of all types, from the tensors of files that llama.cpp wrote: each tensor must end where the next
// begins, up to the padding.
TEST(Gguf, SharedFilesAreDense) {
  WEFT_SHARED_OR_SKIP(golden, "data/golden");
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(golden)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().string());
    const GgufFile file = GgufFile::open(entry.path());
    uint64_t end = file.data_offset();
    for (const GgufTensor& tensor : file.tensors()) {
      EXPECT_EQ(tensor.offset, end) << tensor.name;
      end = (tensor.offset + tensor.bytes + file.alignment() - 1) / file.alignment() * file.alignment();
    }
    EXPECT_LE(file.file().size(), end);
    EXPECT_GT(file.file().size() + file.alignment(), end);
    ++files;
  }
  EXPECT_GE(files, 9u);
}

TEST(Gguf, Stories) {
  WEFT_SHARED_OR_SKIP(path, "data/models/stories260K/stories260K.gguf");
  const GgufFile file = GgufFile::open(path);
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.tensors().size(), 48u);
  EXPECT_EQ(file.metadata().size(), 19u);
  EXPECT_EQ(file.get_u32("llama.embedding_length"), 64u);
  EXPECT_EQ(shape_of(file.tensor("blk.0.attn_k.weight")), (Extents{64u, 32u}));
  EXPECT_EQ(file.get_string_array("tokenizer.ggml.tokens").size(), 512u);
}

}  // namespace
}  // namespace weft::test
