// Truncated, bit-flipped and made-up GGUF files: each must parse or give an error that names the file and a
// place in it. Meant to run under sanitizers.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/format/format.h"
#include "core/utf8.h"
#include "runtime/files/gguf.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/gguf_writer.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

// A small valid file with metadata of many types, a vocabulary and tensors.
GgufWriter small() {
  GgufWriter writer;
  writer.string("general.architecture", "llama")
      .u32("general.alignment", 32)
      .flag("tokenizer.ggml.add_bos_token", true)
      .string("tokenizer.ggml.model", "llama")
      .add("tokenizer.ggml.tokens", GgufType::array,
           array({"<unk>", "<s>", "</s>", "<0x41>", "\xE2\x96\x81", "a", "b", "ab", "<u>"}))
      .add("tokenizer.ggml.scores", GgufType::array,
           array<float>(GgufType::float32, {0, 0, 0, 0, -1, -2, -3, -0.5f, 0}))
      .add("tokenizer.ggml.token_type", GgufType::array, array<int32_t>(GgufType::int32, {2, 3, 3, 6, 1, 1, 1, 1, 4}))
      .u32("tokenizer.ggml.bos_token_id", 1)
      .u32("tokenizer.ggml.eos_token_id", 2)
      .add("test.nested", GgufType::array,
           array(GgufType::array, 2, array({"p"}) + array<int64_t>(GgufType::int64, {-7})))
      .add("test.bools", GgufType::array, array<uint8_t>(GgufType::bool8, {1, 0}))
      .add("test.f64", GgufType::float64, pod(0.5))
      .tensor("token_embd.weight", {32, 2}, 8, std::string(68, '\1'))
      .tensor("norm", {4}, 0, std::string(16, '\2'))
      .tensor("k", {256}, 14, std::string(210, '\3'));
  return writer;
}

// Everything that a reader does with a file after opening it.
void use(const GgufFile& file) {
  for (const GgufEntry& entry : file.metadata()) {
    for (const GgufValue& element : entry.value.elements(100)) (void)element.elements(10);
    (void)entry.value.type_name();
  }
  uint64_t sum = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    ASSERT_EQ(file.find_tensor(tensor.name), &tensor);
    ASSERT_LE(tensor.offset + tensor.bytes, file.file().size());
    if (tensor.bytes == 0) continue;
    sum += tensor.data[0];
    sum += tensor.data[tensor.bytes - 1];
  }
  (void)sum;
  const auto tokenizer = load_tokenizer(file);
  std::vector<int32_t> ids;
  try {
    ids = tokenizer->encode("<s>ab a<u>\xC3\xA9</s>", true, true);
  } catch (const Error&) {
    return;  // a vocabulary without what the text needs
  }
  ASSERT_TRUE(is_utf8(tokenizer->decode(ids)));
}

// Opens and uses the file. The error, empty if there is none; a bad message fails the test.
std::string try_file(const TempFile& temp) {
  try {
    use(GgufFile::open(temp.path()));
    return {};
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(temp.path().filename().string()), std::string::npos) << message;
    EXPECT_TRUE(message.find("byte ") != std::string::npos || message.find("key '") != std::string::npos ||
                message.find("tensor '") != std::string::npos)
        << message;
    EXPECT_TRUE(is_utf8(message)) << message;
    return message;
  }
}

TEST(GgufHostile, TheSmallFileIsValid) { EXPECT_EQ(try_file(TempFile(small().bytes())), ""); }

TEST(GgufHostile, EveryTruncation) {
  const std::string whole = small().bytes();
  const TempFile file("");
  // The last tensor's padding may be missing.
  const size_t end_of_data = whole.size() - (224 - 210);
  for (size_t size = 0; size < end_of_data; ++size) {
    file.write(std::string_view(whole).substr(0, size));
    EXPECT_NE(try_file(file), "") << size;
  }
}

TEST(GgufHostile, EveryBitOfTheHeader) {
  const std::string whole = small().bytes();
  const size_t header = small().head().size();
  const TempFile file("");
  for (size_t bit = 0; bit < header * 8; ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    file.write(bytes);
    try_file(file);
    ASSERT_FALSE(HasFailure()) << "bit " << bit;
  }
}

TEST(GgufHostile, ExtremeWordsEverywhere) {
  const std::string whole = small().bytes();
  const size_t header = small().head().size();
  const TempFile file("");
  for (const uint64_t word :
       {uint64_t{0}, uint64_t{1} << 31, uint64_t{0xffffffff}, uint64_t{1} << 60, uint64_t{1} << 63, kHuge - 7, kHuge}) {
    for (size_t at = 0; at + 8 <= header; ++at) {
      std::string bytes = whole;
      std::memcpy(bytes.data() + at, &word, sizeof word);
      file.write(bytes);
      try_file(file);
      ASSERT_FALSE(HasFailure()) << "word " << word << " at " << at;
    }
  }
}

TEST(GgufHostile, RandomDamage) {
  const std::string whole = small().bytes();
  const size_t header = small().head().size();
  const TempFile file("");
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = whole;
    for (uint32_t n = 1 + random() % 6; n > 0; --n) {
      const size_t at = random() % header;
      switch (random() % 3) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes.erase(at, 1 + random() % 9); break;
        default: bytes.insert(at, bytes.substr(random() % header, random() % 40)); break;
      }
    }
    file.write(bytes);
    try_file(file);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

struct Case {
  std::string name;
  std::string bytes;
  std::string message;  // part of it
};

std::string tensor_file(std::vector<uint64_t> shape, uint32_t type, std::string_view data = {},
                        std::optional<uint64_t> offset = {}) {
  return GgufWriter().tensor("x", shape, type, data, offset).bytes();
}

std::string value_file(GgufType type, std::string_view value) { return GgufWriter().add("k", type, value).bytes(); }

std::string nested(int depth) {
  std::string value = array<uint8_t>(GgufType::uint8, {1});
  for (int i = 1; i < depth; ++i) value = array(GgufType::array, 1, value);
  return value;
}

template <class Change>
std::string header_file(Change change) {
  GgufWriter writer = small();
  change(writer.header);
  return writer.bytes();
}

// One tensor after a header of 77 bytes; enough bytes at the end.
std::string laid_out_for(uint64_t alignment, uint32_t declared) {
  GgufWriter writer;
  writer.alignment = alignment;
  return writer.u32("general.alignment", declared).tensor("x", {8}, 0, std::string(512, 'x')).bytes();
}

std::vector<Case> cases() {
  const std::string four(4, 'x');
  std::vector<Case> all = {
      {"empty", "", "byte 0: is empty"},
      {"two bytes", "GG", "byte 0: is text, which begins with 'GG'"},
      {"magic", header_file([](auto& h) { h.magic = "GGJT"; }), "byte 0: not a GGUF file: it starts with 'GGJT'"},
      {"binary magic", std::string("\xff\0\x1b\n........", 12), "starts with '\\xff\\x00\\x1b\\x0a'"},
      {"version 0", header_file([](auto& h) { h.version = 0; }), "byte 4: GGUF version 0"},
      {"version 1", header_file([](auto& h) { h.version = 1; }), "byte 4: is a GGUF file of version 1"},
      {"version 4", header_file([](auto& h) { h.version = 4; }), "byte 4: GGUF version 4"},
      {"big-endian", header_file([](auto& h) { h.version = 0x03000000; }), "byte 4: is a big-endian GGUF file"},
      {"tensor count", header_file([](auto& h) { h.tensor_count = kHuge; }), "byte 8: a tensor count of 184467"},
      {"tensor count + 1", header_file([](auto& h) { h.tensor_count = 4; }), "byte "},
      {"metadata count", header_file([](auto& h) { h.metadata_count = kHuge; }), "byte 16: a metadata count"},
      {"metadata count 2^32", header_file([](auto& h) { h.metadata_count = uint64_t{1} << 32; }), "byte 16"},
      {"empty key", GgufWriter().u32("", 1).u32("padding", 1).bytes(), "byte 24: the key is empty"},
      {"long key", GgufWriter().u32(std::string(70000, 'k'), 1).bytes(), "byte 24: the key has 70000 bytes"},
      {"escaped key", GgufWriter().add("\xff\n", GgufType{99}, "").u32("p", 1).bytes(),
       "key '\\xff\\x0a': unknown value type 99"},
      {"duplicate key", GgufWriter().u32("k", 1).u32("j", 1).u32("k", 1).bytes(), "key 'k': occurs twice"},
      {"bool", value_file(GgufType::bool8, "\2"), "byte 37: key 'k': a bool is 2, wanted 0 or 1"},
      {"bool array", value_file(GgufType::array, array<uint8_t>(GgufType::bool8, {1, 0, 255})),
       "byte 51: key 'k': a bool is 255"},
      {"string length", value_file(GgufType::string, pod(kHuge)), "key 'k': the file ends inside the string"},
      {"string length 2^63", value_file(GgufType::string, pod(uint64_t{1} << 63) + four), "ends inside the string"},
      {"element type", value_file(GgufType::array, array(GgufType{13}, 0, "")), "unknown element type 13"},
      {"array of 2^64 - 1", value_file(GgufType::array, array(GgufType::uint64, kHuge, "")),
       "byte 37: key 'k': an array of 18446744073709551615 u64"},
      {"array, product 2^64", value_file(GgufType::array, array(GgufType::uint64, uint64_t{1} << 61, "")),
       "an array of 2305843009213693952 u64"},
      {"array of 2^60 bytes", value_file(GgufType::array, array(GgufType::uint8, uint64_t{1} << 60, "x")),
       "an array of"},
      {"array of strings", value_file(GgufType::array, array(GgufType::string, 1000, text("x"))), "an array of 1000"},
      {"array of arrays", value_file(GgufType::array, array(GgufType::array, kHuge / 12, "")), "an array of"},
      {"string in array", value_file(GgufType::array, array(GgufType::string, 1, pod(kHuge))), "inside the string"},
      {"deep", value_file(GgufType::array, nested(9)), "key 'k': arrays are nested more than 8 deep"},
      {"very deep", value_file(GgufType::array, nested(2000)), "nested more than 8"},
      {"alignment type", GgufWriter().string("general.alignment", "32").bytes(), "key 'general.alignment': is of"},
      {"alignment bool", GgufWriter().flag("general.alignment", true).u32("p", 1).bytes(), "is of type bool"},
      {"alignment -32", GgufWriter().add("general.alignment", GgufType::int32, pod<int32_t>(-32)).u32("p", 1).bytes(),
       "type i32 and value -32, wanted a u32"},
  };
  for (const uint32_t alignment : {0u, 1u, 4u, 33u, 48u, 0x80000000u, 0xffffffffu}) {
    all.push_back({"alignment " + std::to_string(alignment), GgufWriter().u32("general.alignment", alignment).bytes(),
                   "key 'general.alignment': an alignment of " + std::to_string(alignment)});
  }
  const std::vector<Case> tensors = {
      {"tensor name", GgufWriter().tensor("", {1}, 0, four).bytes(), "byte 24: the tensor name is empty"},
      {"block without dimensions", GgufWriter().tensor("x", {}, 8, std::string(34, 'x')).bytes(),
       "byte 37: tensor 'x': a row has 1 elements, not a multiple of 32"},
      {"five dimensions", tensor_file({1, 1, 1, 1, 1}, 0, four), "has 5 dimensions"},
      {"2^32 - 1 dimensions", GgufWriter().tensor("x", {}, 0, four).bytes().replace(33, 4, "\xff\xff\xff\xff"),
       "has 4294967295 dimensions"},
      {"an extent of 0 beside 2^63", tensor_file({0, uint64_t{1} << 63}, 0), "byte 45: tensor 'x': the product"},
      {"extents of 0 and an overflow", tensor_file({0, uint64_t{1} << 62, 8}, 0), "the product of its extents"},
      {"empty, past the end", tensor_file({0}, 0, four, 64), "is at offset 64 of the data, which has 32 bytes"},
      {"empty, at offset 2^64 - 32", tensor_file({0}, 0, four, kHuge - 31), "is at offset 18446744073709551584"},
      {"empty, misaligned", tensor_file({0}, 0, four, 4), "offset 4 of the data is not a multiple of 32"},
      {"overflow", tensor_file({uint64_t{1} << 32, uint64_t{1} << 32}, 0, four), "product of its extents is too"},
      {"overflow of rows", tensor_file({1, uint64_t{1} << 33, uint64_t{1} << 33}, 0, four), "product"},
      {"overflow by size", tensor_file({uint64_t{1} << 62, 1}, 0, four), "product of its extents"},
      {"overflow to a small size", tensor_file({(uint64_t{1} << 62) + 1}, 0, four), "product of its extents"},
      {"overflow of blocks", tensor_file({kHuge - 31, 1}, 8, four), "product of its extents"},
      {"large", tensor_file({uint64_t{1} << 40}, 0, four), "takes 4398046511104 bytes at offset 0 of the data"},
      {"type id 4", tensor_file({32}, 4, four), "tensor 'x': unknown type id 4"},
      {"type id 2^32 - 1", tensor_file({32}, 0xffffffff, four), "unknown type id 4294967295"},
      {"half a block", tensor_file({48}, 8, std::string(51, 'x')), "a row has 48 elements, not a multiple of 32"},
      {"half a super-block", tensor_file({128, 2}, 12, std::string(144, 'x')), "multiple of 256, the block of Q4_K"},
      {"past the end", tensor_file({65}, 0, std::string(256, 'x')), "takes 260 bytes at offset 0 of the data"},
      {"offset past the end", tensor_file({1}, 0, four, 4096), "at offset 4096 of the data"},
      {"offset 2^64 - 32", tensor_file({64}, 0, std::string(256, 'x'), kHuge - 31), "at offset 18446744073709551584"},
      {"misaligned", tensor_file({1}, 0, std::string(64, 'x'), 4),
       "byte 49: tensor 'x': offset 4 of the data is not a multiple of 32, the alignment where key "
       "'general.alignment' "
       "is absent"},
      {"misaligned for the declared alignment",
       GgufWriter()
           .u32("general.alignment", 64)
           .tensor("x", {8}, 0, std::string(32, 'x'))
           .tensor("y", {1}, 0, four)
           .bytes(),
       "tensor 'y': offset 32 of the data is not a multiple of 64, which key 'general.alignment' declares"},
      {"laid out for 32, declared 128", laid_out_for(32, 128),
       "tensor 'x': begins at byte 128 as key 'general.alignment' of 128 has it, but byte 96 before it is not "
       "padding"},
      {"aligned to 8 only", tensor_file({1}, 0, std::string(64, 'x'), 8),
       "offset 8 of the data is not a multiple of 32"},
      {"duplicate tensor", GgufWriter().tensor("x", {1}, 0, four).tensor("x", {1}, 0, four).bytes(),
       "tensor 'x': occurs twice"},
      {"overlap", GgufWriter().tensor("x", {16}, 0, std::string(64, 'x')).tensor("y", {1}, 0, four, 32).bytes(),
       "overlap tensor 'x'"},
      {"same place", GgufWriter().tensor("x", {1}, 0, four).tensor("y", {1}, 0, four, 0).bytes(), "tensor 'y': bytes"},
      {"overlap against the order",
       GgufWriter().tensor("x", {1}, 0, four, 32).tensor("y", {9}, 0, std::string(64, 'x'), 0).bytes(),
       "tensor 'x': bytes"},
      {"no data", GgufWriter().tensor("x", {1}, 0, {}).head(), "of the data, which has 0 bytes"},
  };
  all.insert(all.end(), tensors.begin(), tensors.end());
  return all;
}

TEST(GgufHostile, Cases) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::string message = try_file(TempFile(c.bytes));
    EXPECT_NE(message.find(c.message), std::string::npos) << "found: " << message << "\nwanted: " << c.message;
  }
}

// What is odd but legal.
TEST(GgufHostile, Accepted) {
  const auto opens = [](const std::string& bytes) {
    const TempFile file(bytes);
    EXPECT_NO_THROW(GgufFile::open(file.path()));
  };
  opens(value_file(GgufType::array, nested(8)));
  opens(value_file(GgufType::string, text("\xff\xfe")));
  opens(GgufWriter().u32(std::string("a\0b", 3), 1).u32("a", 1).bytes());
  opens(GgufWriter().tensor("b", {1}, 0, "1234", 32).tensor("a", {1}, 0, std::string(36, 'x'), 0).bytes());
  opens(small().bytes() + std::string(100, '\0'));
  opens(laid_out_for(128, 128));
  opens(laid_out_for(8, 8));
  opens(GgufWriter().add("general.alignment", GgufType::uint64, pod<uint64_t>(32)).tensor("x", {1}, 0, "1234").bytes());
  // No dimensions: one element.
  opens(GgufWriter().tensor("x", {}, 0, "1234").bytes());
  // No elements: before another tensor, inside one, after the last, in a file without data and padding.
  opens(GgufWriter().tensor("x", {0}, 0, "").tensor("y", {1}, 0, "1234").bytes());
  opens(GgufWriter().tensor("x", {16}, 0, std::string(64, 'x')).tensor("y", {3, 0}, 0, "", 32).bytes());
  opens(GgufWriter().tensor("x", {1}, 0, "1234").tensor("y", {64, 0}, 8, "").tensor("z", {0, 64, 2}, 0, "").bytes());
  opens(GgufWriter().tensor("x", {0, 7}, 0, "").head());
}

// Damage near the start of a real file, in place.
void damage_real_file(const std::filesystem::path& path, int rounds) {
  const std::string whole = read_file(path);
  const size_t header = GgufFile::open(path).data_offset();
  const TempFile file("");
  std::mt19937 random(3);
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = whole;
    if (round % 4 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      // Half of the flips fall into the first kilobyte or the tensor table.
      size_t at = random() % header;
      if (round % 4 == 1) at = random() % 1024;
      if (round % 4 == 2) at = header - 1 - random() % std::min<size_t>(header, 2048);
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
    }
    file.write(bytes);
    try_file(file);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "round " << round;
  }
}

TEST(GgufHostile, DamagedStories) {
  WEFT_SHARED_OR_SKIP(path, "data/models/stories260K/stories260K.gguf");
  damage_real_file(path, 300);
}

TEST(GgufHostile, DamagedLlamaVocabulary) {
  WEFT_SHARED_OR_SKIP(path, "data/tokenizers/ggml-vocab-llama-spm.gguf");
  damage_real_file(path, 40);
}

}  // namespace
}  // namespace weft::test
