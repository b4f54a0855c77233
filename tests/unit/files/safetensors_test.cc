// safetensors files: what the reader takes, what it refuses and how it says so, and that the writer's files are
// read.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <numeric>

#include "runtime/files/safetensors.h"
#include "runtime/files/safetensors_writer.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/safetensors_bytes.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::float_bytes;
using test::safetensors_bytes;
using test::TempFile;
using test::TemporaryFolder;

SafetensorsFile opened(const std::string& bytes) {
  const TempFile file(bytes, ".safetensors");
  return SafetensorsFile::open(file.path());  // the map outlives the name
}

std::string refused(const std::string& header, std::string_view data = "") {
  const TempFile file(safetensors_bytes(header, data), ".safetensors");
  const std::string error = error_of([&] { SafetensorsFile::open(file.path()); });
  EXPECT_EQ(error.rfind(file.path().string() + ": ", 0), 0u) << error;
  return error;
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirData) {
  const std::string data = float_bytes({1, 2, 3, 4, 5, 6}) + std::string("\x80\x3f\x00\x40", 4) + float_bytes({7});
  const auto file = opened(
      safetensors_bytes(R"({"z":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"__metadata__":{"a":"b","":""},)"
                        R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[28,32]},)"
                        R"("half":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]}})",
                        data));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "z");
  EXPECT_EQ(file.tensors()[1].name, "half");
  EXPECT_EQ(file.tensors()[2].name, "scalar");
  EXPECT_EQ(file.tensors()[0].extents, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.tensors()[0].format, Format::f32);
  EXPECT_EQ(file.tensors()[1].format, Format::bf16);
  EXPECT_EQ(file.tensors()[1].type_name, "BF16");
  EXPECT_TRUE(file.tensors()[2].extents.empty());
  EXPECT_EQ(file.tensors()[2].bytes, 4u);
  float seven = 0;
  std::memcpy(&seven, file.find_tensor("scalar")->data, sizeof seven);
  EXPECT_EQ(seven, 7);
  EXPECT_EQ(file.find_tensor("absent"), nullptr);
  EXPECT_EQ(file.find_tensor(""), nullptr);
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"a", "b"}, {"", ""}}));
}

TEST(Safetensors, ReadsEmptyFilesAndEmptyTensors) {
  EXPECT_TRUE(opened(safetensors_bytes("{}", "")).tensors().empty());
  EXPECT_TRUE(opened(safetensors_bytes("{}      ", "")).tensors().empty());  // padding
  const auto file = opened(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},)"
                                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                             R"("c":{"dtype":"I64","shape":[3,0],"data_offsets":[4,4]}})",
                                             float_bytes({1})));
  EXPECT_EQ(file.find_tensor("a")->bytes, 0u);
  EXPECT_EQ(file.find_tensor("b")->bytes, 4u);
  EXPECT_EQ(file.find_tensor("c")->extents, (std::vector<int64_t>{3, 0}));
  EXPECT_FALSE(file.find_tensor("c")->format.has_value());  // known, but nothing computes with it
}

TEST(Safetensors, DataMayLieAtAnyAddress) {
  const auto file = opened(safetensors_bytes(R"({"odd":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                             R"("x":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                                             "!" + float_bytes({2.5f})));
  float x = 0;
  std::memcpy(&x, file.find_tensor("x")->data, sizeof x);
  EXPECT_EQ(x, 2.5f);
}

TEST(Safetensors, SaysWhatAFileIsInstead) {
  const auto error = [](const std::string& bytes) { return error_of([&] { opened(bytes); }); };
  EXPECT_CONTAINS(error("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5368709120\n"),
                  ".safetensors: is a Git LFS pointer to a file of 5368709120 bytes, not the file itself: get it with "
                  "`git lfs pull`");
  EXPECT_CONTAINS(error("<!DOCTYPE html><html>"), ".safetensors: is a web page");
  EXPECT_CONTAINS(error("Entry not found"), ".safetensors: is text, which begins with 'Entry not found'");
  EXPECT_CONTAINS(error(test::GgufWriter().bytes()), ".safetensors: is a GGUF file");
  EXPECT_CONTAINS(error(std::string("PK\3\4") + std::string(60, 'x')), ".safetensors: is a zip archive");
  EXPECT_CONTAINS(error(""), ".safetensors: is empty");
  EXPECT_CONTAINS(error(std::string(7, '\0')), ".safetensors: begins with 7 zero bytes");
}

// Some types take less than a byte for an element.
TEST(Safetensors, TypesThatNothingComputesWith) {
  const auto file = opened(safetensors_bytes(R"({"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]},)"
                                             R"("b":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[3,6]},)"
                                             R"("c":{"dtype":"F8_E4M3FNUZ","shape":[2],"data_offsets":[6,8]}})",
                                             std::string(8, 'x')));
  EXPECT_EQ(file.find_tensor("a")->type_name, "F4");
  EXPECT_FALSE(file.find_tensor("a")->format.has_value());
  EXPECT_EQ(file.find_tensor("b")->bytes, 3u);
  EXPECT_CONTAINS(refused(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", "x"),
                  "tensor 'a': shape does not fill whole bytes");
}

TEST(Safetensors, RefusesHeadersThatDoNotFit) {
  EXPECT_CONTAINS(error_of([&] { opened("\1\2\3"); }), "byte 0: the file has 3 bytes, fewer than a header");
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{99'999'999}, uint64_t{100'000'001}, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_CONTAINS(error_of([&] { opened(safetensors_bytes("{}", "", &length)); }),
                    "byte 0: a header of " + std::to_string(length));
  }
  const uint64_t empty = 0, half = 1;
  EXPECT_CONTAINS(error_of([&] { opened(safetensors_bytes("", "\1", &empty)); }), "is not JSON");
  EXPECT_CONTAINS(error_of([&] { opened(safetensors_bytes("{}", "", &half)); }), "is not JSON");
  // Cut at any byte.
  const std::string whole =
      safetensors_bytes(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", float_bytes({1, 2}));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(error_of([&] { opened(whole.substr(0, size)); }), "(no error)") << size;
  }
  EXPECT_EQ(opened(whole).tensors().size(), 1u);
}

TEST(Safetensors, RefusesWhatIsNoHeader) {
  EXPECT_CONTAINS(refused("[]"), "the header is not an object");
  EXPECT_CONTAINS(refused("17"), "the header is not an object");
  EXPECT_CONTAINS(refused("{\"x\":"), "is not JSON");
  EXPECT_CONTAINS(refused("{} {}"), "is not JSON");
  EXPECT_CONTAINS(refused("{\"\xff\":1}"), "is not JSON");
  EXPECT_CONTAINS(refused(R"({"x":1})"), "tensor 'x': is not an object");
  EXPECT_CONTAINS(refused(R"({"x":null})"), "tensor 'x': is not an object");
  EXPECT_CONTAINS(refused(R"({"__metadata__":[]})"), "'__metadata__': is not an object");
  EXPECT_CONTAINS(refused(R"({"__metadata__":{"a":1}})"), "'a' is not a string");
  EXPECT_CONTAINS(refused(std::string(100'000, '[')), "nested deeper");
  EXPECT_CONTAINS(refused(R"({"x":{"shape":)" + std::string(1000, '[') + std::string(1000, ']') + "}}"),
                  "nested deeper");
}

TEST(Safetensors, RefusesDuplicates) {
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_CONTAINS(refused("{\"x\":" + entry + ",\"x\":" + entry + "}", "1234"), "'x' appears twice");
  EXPECT_CONTAINS(refused("{\"x\":" + entry + R"(,"\u0078":)" + entry + "}", "1234"), "'x' appears twice");
  EXPECT_CONTAINS(refused(R"({"__metadata__":{"a":"1","a":"2"}})"), "'a' appears twice");
  EXPECT_CONTAINS(refused(R"({"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "1234"),
                  "'dtype' appears twice");
}

TEST(Safetensors, RefusesEntriesThatAreNotTensors) {
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  EXPECT_CONTAINS(refused(entry("\"F33\"", "[1]", "[0,4]"), "1234"), "tensor 'x': dtype 'F33' is not known");
  EXPECT_CONTAINS(refused(entry("32", "[1]", "[0,4]"), "1234"), "dtype is missing or not a string");
  EXPECT_CONTAINS(refused(R"({"x":{"shape":[1],"data_offsets":[0,4]}})", "1234"), "dtype is missing");
  EXPECT_CONTAINS(refused(R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", "1234"), "shape is missing");
  EXPECT_CONTAINS(refused(R"({"x":{"dtype":"F32","shape":[1]}})", "1234"), "data_offsets is missing");
  EXPECT_CONTAINS(refused(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]}})", "1234"),
                  "unknown field 'strides'");
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[[1]]", "[1e3]", "[18446744073709551616]"}) {
    EXPECT_CONTAINS(refused(entry("\"F32\"", shape, "[0,4]"), "1234"), "shape holds something that is not an extent")
        << shape;
  }
  EXPECT_CONTAINS(refused(entry("\"F32\"", "{}", "[0,4]"), "1234"), "shape is missing or not a list");
  EXPECT_CONTAINS(refused(entry("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "1234"), "more than 8 extents");
  for (const char* offsets : {"[]", "[0]", "[0,4,8]", "[-4,0]", "[0,4.0]", "\"0-4\"", "[\"0\",4]", "{}"}) {
    EXPECT_CONTAINS(refused(entry("\"F32\"", "[1]", offsets), "1234"), "data_offsets is missing or not a pair")
        << offsets;
  }
}

TEST(Safetensors, RefusesShapesThatOverflow) {
  for (const char* shape : {"[18446744073709551615]", "[9223372036854775808]", "[4294967296,4294967296]",
                            "[4611686018427387904,4]", "[2,2,2,2305843009213693952]", "[4611686018427387905]"}) {
    const std::string error =
        refused(std::string(R"({"x":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,4]}})", "1234");
    EXPECT_CONTAINS(error, "shape overflows") << shape;
  }
  // 2^61 elements of 8 bytes come to 0 bytes in 64 bits, and so do 2^62 of 4.
  EXPECT_CONTAINS(refused(R"({"x":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})"),
                  "shape overflows");
  EXPECT_CONTAINS(refused(R"({"x":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})"),
                  "shape overflows");
}

TEST(Safetensors, RefusesRangesThatDoNotCoverTheData) {
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };
  EXPECT_EQ(opened(safetensors_bytes(two("[4,8]", "[0,4]"), "12345678")).tensors()[0].name, "b");
  EXPECT_CONTAINS(refused(two("[0,4]", "[0,4]"), "1234"), "overlaps");
  EXPECT_CONTAINS(refused(two("[0,4]", "[2,6]"), "123456"), "overlaps");
  EXPECT_CONTAINS(refused(two("[0,4]", "[5,9]"), "123456789"), "after a gap");
  EXPECT_CONTAINS(refused(two("[1,5]", "[5,9]"), "123456789"), "after a gap");
  EXPECT_CONTAINS(refused(two("[0,4]", "[4,8]"), "123456789"), "belong to no tensor");
  EXPECT_CONTAINS(refused(two("[0,4]", "[4,8]"), "1234567"),
                  "tensor 'b': data_offsets [4, 8) are outside the data of 7 bytes");
  EXPECT_CONTAINS(refused(two("[0,4]", "[8,4]"), "12345678"), "outside");
  EXPECT_CONTAINS(refused(two("[0,4]", "[18446744073709551612,18446744073709551615]"), "12345678"), "outside");
  EXPECT_CONTAINS(refused(two("[0,4]", "[4,7]"), "1234567"), "hold 3 bytes, but the shape has 4");
  EXPECT_CONTAINS(refused("{}", "1"), "belong to no tensor");
}

TEST(Safetensors, FilesThatCannotBeMapped) {
  EXPECT_CONTAINS(error_of([] { SafetensorsFile::open("/nonexistent/x.safetensors"); }),
                  "x.safetensors: cannot open: No such file");
  EXPECT_CONTAINS(error_of([] { SafetensorsFile::open("/tmp"); }), "is a directory");
}

// --- the writer ---

TEST(SafetensorsWriter, WritesPiecesInAnyOrder) {
  TemporaryFolder folder;
  const fs::path path = folder / "out.safetensors";
  std::vector<float> x(600);
  std::iota(x.begin(), x.end(), 0.0f);
  const std::vector<int32_t> ids = {3, 1, 4};
  SafetensorsWriter writer(path,
                           {{"z", Format::f32, {20, 30}},
                            {"ids \"\u00e9\"\n", Format::i32, {3}},
                            {"none", Format::f16, {0, 7}},
                            {"one", Format::bool8}},
                           {{"model", "m"}, {"broken", "\xff"}});
  const auto bytes = std::as_bytes(std::span(x));
  const uint8_t yes = 1;
  writer.write(1, 4, std::as_bytes(std::span(ids)).subspan(4));
  writer.write(0, 1200, bytes.subspan(1200));
  writer.write(3, 0, std::as_bytes(std::span(&yes, 1)));
  writer.write(0, 0, bytes.first(1200));
  writer.write(1, 0, std::as_bytes(std::span(ids)).first(4));
  EXPECT_FALSE(fs::exists(path));  // until it is complete
  writer.finish();
  const auto file = SafetensorsFile::open(path);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.find_tensor("z")->extents, (std::vector<int64_t>{20, 30}));
  EXPECT_EQ(std::memcmp(file.find_tensor("z")->data, x.data(), x.size() * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(file.find_tensor("ids \"\u00e9\"\n")->data, ids.data(), 12), 0);
  EXPECT_EQ(file.find_tensor("one")->type_name, "BOOL");
  EXPECT_EQ(file.find_tensor("z")->offset % 8, 0u);
  EXPECT_EQ(file.metadata().at("model"), "m");
  EXPECT_EQ(file.metadata().at("broken"), "\xEF\xBF\xBD");
  EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), fs::directory_iterator()),
            1);  // nothing beside it
}

TEST(SafetensorsWriter, LeavesWhatWasThereUntilItIsComplete) {
  TemporaryFolder folder;
  const fs::path path = folder / "out.safetensors";
  std::ofstream(path) << "before";
  const float one = 1;
  {
    SafetensorsWriter writer(path, {{"x", Format::f32, {2}}});
    writer.write(0, 0, std::as_bytes(std::span(&one, 1)));
    EXPECT_CONTAINS(error_of([&] { writer.finish(); }), "tensor 'x' lacks 4 bytes");
    EXPECT_CONTAINS(error_of([&] { writer.write(0, 6, std::as_bytes(std::span(&one, 1))); }), "'x' has 8 bytes");
    EXPECT_CONTAINS(error_of([&] { writer.write(0, ~uint64_t{0}, std::as_bytes(std::span(&one, 1))); }),
                    "'x' has 8 bytes");
  }
  EXPECT_EQ(test::read_file(path), "before");
  EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), fs::directory_iterator()), 1);
  SafetensorsWriter writer(path, {{"x", Format::f32, {1}}});
  writer.write(0, 0, std::as_bytes(std::span(&one, 1)));
  writer.finish();
  EXPECT_EQ(SafetensorsFile::open(path).tensors().size(), 1u);
}

TEST(SafetensorsWriter, RefusesWhatTheFormatCannotHold) {
  TemporaryFolder folder;
  const fs::path path = folder / "out.safetensors";
  const auto error = [&](std::vector<SafetensorsWriter::Tensor> tensors) {
    return error_of([&] { SafetensorsWriter(path, std::move(tensors)); });
  };
  EXPECT_CONTAINS(error({{"x", Format::q8_0, {32}}}), "tensor 'x': safetensors files hold no Q8_0");
  EXPECT_CONTAINS(error({{"x", Format::f32, {1}}, {"x", Format::f32, {1}}}), "'x': the name occurs twice");
  EXPECT_CONTAINS(error({{"__metadata__", Format::f32, {1}}}), "occurs twice");
  EXPECT_CONTAINS(error({{"x", Format::f32, {int64_t{1} << 40, int64_t{1} << 40}}}), "overflow");
  EXPECT_CONTAINS(error({{"x", Format::f32, {-1}}}), "overflow");
  EXPECT_CONTAINS(error({{"x", Format::f32, {int64_t{1} << 59}}, {"y", Format::f32, {int64_t{1} << 60}}}), "too large");
}

TEST(SafetensorsWriter, NamesTheFileAndTheSystemsReason) {
  EXPECT_CONTAINS(error_of([] { SafetensorsWriter("/nonexistent/out.safetensors", {}); }),
                  "/nonexistent/out.safetensors: cannot make a file beside it: No such file or directory");
  EXPECT_CONTAINS(error_of([] { SafetensorsWriter("/dev/null", {}); }), "/dev/null: is not a regular file");
  // A file system without room, by a limit on this process's files.
  TemporaryFolder folder;
  const fs::path path = folder / "out.safetensors";
  rlimit before{}, small{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before, small.rlim_cur = 4096;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::vector<std::byte> bytes(8192);
  const std::string error = error_of([&] {
    SafetensorsWriter writer(path, {{"x", Format::f32, {2048}}});
    writer.write(0, 0, bytes);
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_CONTAINS(error, "out.safetensors: cannot write: File too large");
  EXPECT_TRUE(fs::is_empty(path.parent_path()));
}

}  // namespace
}  // namespace weft
