#include "core/format/format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "tests/errors.h"

namespace weft::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

// binary16 by its definition in IEEE 754-2019, section 3.4; finite patterns.
double f16_by_definition(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_f16_nan(uint16_t bits) { return (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0; }

TEST(F16, EveryPatternDecodesAndRoundTrips) {
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const auto bits = static_cast<uint16_t>(pattern);
    const float value = f16_to_f32(bits);
    EXPECT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    if (is_f16_nan(bits)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_TRUE(is_f16_nan(f32_to_f16(value))) << bits;
      EXPECT_EQ(f32_to_f16(value) & 0x8000, bits & 0x8000) << bits;
      continue;
    }
    if ((bits & 0x7fff) == 0x7c00) {
      EXPECT_TRUE(std::isinf(value)) << bits;
    } else {
      EXPECT_TRUE(same_bits(value, static_cast<float>(f16_by_definition(bits)))) << bits;
    }
    EXPECT_EQ(f32_to_f16(value), bits);
  }
}

// Between all neighbours: the midpoint goes to the even one, what lies beside it to the nearer one.
TEST(F16, RoundsToNearestEven) {
  for (uint16_t low = 0; low < 0x7c00; ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    // The neighbour of the largest finite value is 2^16 for this purpose, which then becomes infinity.
    const double above = high == 0x7c00 ? 65536.0 : f16_by_definition(high);
    const auto middle = static_cast<float>((f16_by_definition(low) + above) / 2);  // exact in f32
    const uint16_t even = (low & 1) == 0 ? low : high;
    EXPECT_EQ(f32_to_f16(middle), even) << low;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, -kInfinity)), low) << low;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, kInfinity)), high) << low;
    EXPECT_EQ(f32_to_f16(-middle), even | 0x8000) << low;
  }
}

TEST(F16, Ends) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(f32_to_f16(-kInfinity), 0xfc00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);
  EXPECT_EQ(f32_to_f16(0x1.000002p-25f), 0x0001);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0x0000);
  // A NaN whose payload sits only in bits that f16 lacks must not become infinity.
  EXPECT_TRUE(is_f16_nan(f32_to_f16(std::bit_cast<float>(0x7f800001u))));
}

TEST(Bf16, EveryPatternRoundTrips) {
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const auto bits = static_cast<uint16_t>(pattern);
    const float value = bf16_to_f32(bits);
    EXPECT_EQ(std::bit_cast<uint32_t>(value), pattern << 16);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(value)))) << bits;
    } else {
      EXPECT_EQ(f32_to_bf16(value), bits);
    }
  }
}

TEST(Bf16, RoundsToNearestEven) {
  for (uint32_t low = 0; low < 0x7f80; ++low) {
    const uint32_t middle = (low << 16) + 0x8000;
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(middle)), (low & 1) == 0 ? low : low + 1);
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(middle - 1)), low);
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(middle + 1)), low + 1);
    EXPECT_EQ(f32_to_bf16(-std::bit_cast<float>(middle + 1)), (low + 1) | 0x8000);
  }
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Format, InfoAndRowBytes) {
  EXPECT_EQ(name(Format::f32), "F32");
  EXPECT_EQ(name(Format::i32), "I32");
  EXPECT_EQ(name(Format::bool8), "BOOL");
  EXPECT_EQ(name(Format::f16), "F16");
  EXPECT_EQ(name(Format::bf16), "BF16");
  EXPECT_EQ(name(Format::q8_0), "Q8_0");
  EXPECT_EQ(name(Format::q4_0), "Q4_0");
  EXPECT_EQ(row_bytes(Format::f32, 5), 20u);
  EXPECT_EQ(row_bytes(Format::bf16, 5), 10u);
  EXPECT_EQ(row_bytes(Format::q8_0, 96), 102u);
  EXPECT_EQ(row_bytes(Format::q4_0, 96), 54u);
  EXPECT_FALSE(info(Format::i32).is_float);
}

TEST(Format, PlainRows) {
  const std::vector<float> values = {1.5f, -2, 0, 0x1p-14f, 100};  // exact in every float format
  for (const Format format : {Format::f32, Format::f16, Format::bf16}) {
    std::vector<uint8_t> bytes(row_bytes(format, values.size()));
    std::vector<float> out(values.size());
    encode_row(format, values.data(), values.size(), bytes.data());
    decode_row(format, bytes.data(), values.size(), out.data());
    EXPECT_EQ(out, values) << name(format);
  }
  const uint8_t half[] = {0x00, 0x3c, 0x00, 0xc0};
  float out[2];
  decode_row(Format::f16, half, 2, out);
  EXPECT_EQ(out[0], 1);
  EXPECT_EQ(out[1], -2);
}

// Two blocks: scale 0.5 (f16 0x3800) with q = i - 16, then scale -2 (0xc000) with q = 127, -128, 0...
TEST(Format, Q8_0Blocks) {
  std::vector<uint8_t> bytes(68);
  bytes[1] = 0x38;
  for (int i = 0; i < 32; ++i) bytes[2 + static_cast<size_t>(i)] = static_cast<uint8_t>(i - 16);
  bytes[35] = 0xc0;
  bytes[36] = 127;
  bytes[37] = 0x80;
  std::vector<float> out(64);
  decode_row(Format::q8_0, bytes.data(), 64, out.data());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], 0.5f * static_cast<float>(i - 16));
  EXPECT_EQ(out[32], -254);
  EXPECT_EQ(out[33], 256);
  EXPECT_EQ(out[34], 0);
}

// Scale 0.25 (f16 0x3400); byte i has low nibble i, high nibble 15 - i: elements i and i + 16.
TEST(Format, Q4_0Blocks) {
  std::vector<uint8_t> bytes(18);
  bytes[1] = 0x34;
  for (size_t i = 0; i < 16; ++i) bytes[2 + i] = static_cast<uint8_t>(i | (15 - i) << 4);
  std::vector<float> out(32);
  decode_row(Format::q4_0, bytes.data(), 32, out.data());
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(out[static_cast<size_t>(i)], 0.25f * static_cast<float>(i - 8));
    EXPECT_EQ(out[static_cast<size_t>(i) + 16], 0.25f * static_cast<float>(7 - i));
  }
}

TEST(Format, QuantizingErrs) {
  std::vector<float> values(96);
  for (size_t i = 0; i < 64; ++i) values[i] = std::sin(static_cast<float>(i) * 0.7f) * (i < 32 ? 3.0f : 100.0f);
  for (const Format format : {Format::q8_0, Format::q4_0}) {  // the third block is all zero
    std::vector<uint8_t> bytes(row_bytes(format, values.size()));
    std::vector<float> out(values.size());
    encode_row(format, values.data(), values.size(), bytes.data());
    decode_row(format, bytes.data(), values.size(), out.data());
    for (size_t i = 0; i < values.size(); ++i) {
      const float largest = i < 32 ? 3.0f : i < 64 ? 100.0f : 0.0f;
      // Half a step, and a whole one where Q4_0 cuts off at +7; the scale itself is rounded to f16.
      const float step = format == Format::q8_0 ? largest / 127 * 0.51f : largest / 8 * 1.01f;
      EXPECT_NEAR(out[i], values[i], step + largest * 0x1p-11f) << name(format) << " " << i;
    }
  }
}

// A format's name is GGUF's, its block as many bytes as one element after the other can be told apart.
TEST(Format, EveryBlockFormat) {
  const std::pair<Format, size_t> kRows[] = {{Format::q8_0, 8 * 34}, {Format::q4_0, 8 * 18},  {Format::q4_1, 8 * 20},
                                             {Format::q5_0, 8 * 22}, {Format::q5_1, 8 * 24},  {Format::q2_k, 84},
                                             {Format::q3_k, 110},    {Format::q4_k, 144},     {Format::q5_k, 176},
                                             {Format::q6_k, 210},    {Format::q8_k, 292},     {Format::iq4_nl, 8 * 18},
                                             {Format::iq4_xs, 136},  {Format::mxfp4, 8 * 17}, {Format::nvfp4, 4 * 36}};
  EXPECT_EQ(std::size(kRows), std::size(kBlockFormats));
  for (const auto& [format, bytes] : kRows) {
    SCOPED_TRACE(name(format));
    EXPECT_EQ(row_bytes(format, 256), bytes);
    std::mt19937 random(5);
    std::vector<uint8_t> blocks(row_bytes(format, 1024));
    for (uint8_t& byte : blocks) byte = static_cast<uint8_t>(random());
    std::vector<float> row(1024);
    decode_row(format, blocks.data(), 1024, row.data());
    for (size_t i = 0; i < row.size(); ++i) {
      const float one = decode_element(format, blocks.data(), i);
      EXPECT_TRUE(std::isnan(row[i]) ? std::isnan(one) : same_bits(one, row[i])) << i;
    }
  }
}

void set_half(std::vector<uint8_t>& block, size_t at, float value) {
  const uint16_t bits = f32_to_f16(value);
  std::memcpy(block.data() + at, &bits, 2);
}

// Blocks written by hand from ggml's description of its formats: element 37 (run 1, place 5) has a known number, its
// scale and minimum are known, everything else is zero.
TEST(Format, BlocksByHand) {
  const auto element_37 = [](Format format, const std::vector<uint8_t>& block) {
    return decode_element(format, block.data(), 37);
  };
  std::vector<uint8_t> q4(144);  // f16 d, f16 dmin, 12 bytes of scales, 128 bytes
  set_half(q4, 0, 0.5f);
  set_half(q4, 2, 0.25f);
  q4[4 + 1] = 33;     // scale of run 1
  q4[8 + 1] = 7;      // minimum of run 1
  q4[16 + 5] = 0xb0;  // high nibble: run 1
  EXPECT_EQ(element_37(Format::q4_k, q4), 0.5f * 33 * 11 - 0.25f * 7);

  std::vector<uint8_t> q5(176);  // as Q4_K, with 32 bytes of fifth bits before the nibbles
  set_half(q5, 0, 0.5f);
  set_half(q5, 2, 0.25f);
  q5[4 + 1] = 33;
  q5[8 + 1] = 7;
  q5[16 + 5] = 1 << 1;
  q5[48 + 5] = 0xb0;
  EXPECT_EQ(element_37(Format::q5_k, q5), 0.5f * 33 * 27 - 0.25f * 7);

  std::vector<uint8_t> q6(210);  // 128 low nibbles, 64 bytes of bit pairs, 16 int8 scales, f16 d
  set_half(q6, 208, 0.5f);
  q6[192 + 2] = static_cast<uint8_t>(-9);
  q6[32 + 5] = 0x0d;
  q6[128 + 5] = 3 << 2;
  EXPECT_EQ(element_37(Format::q6_k, q6), 0.5f * -9 * (13 + 48 - 32));

  std::vector<uint8_t> q2(84);  // 16 bytes of scales, 64 bytes of bit pairs, f16 d, f16 dmin
  set_half(q2, 80, 0.5f);
  set_half(q2, 82, 0.25f);
  q2[2] = 0x5c;
  q2[16 + 5] = 2 << 2;
  EXPECT_EQ(element_37(Format::q2_k, q2), 0.5f * 12 * 2 - 0.25f * 5);

  std::vector<uint8_t> q3(110);  // 32 bytes of high bits, 64 of bit pairs, 12 of scales, f16 d
  set_half(q3, 108, 0.5f);
  q3[5] = 1 << 1;
  q3[32 + 5] = 3 << 2;
  q3[96 + 2] = 0x0a;  // low bits of scale 2
  q3[104 + 2] = 3;    // its high bits
  EXPECT_EQ(element_37(Format::q3_k, q3), 0.5f * (10 + 48 - 32) * 3);

  std::vector<uint8_t> xs(136);  // f16 d, 16 bits and 4 bytes of scales, 128 bytes
  set_half(xs, 0, 0.5f);
  xs[2] = 2 << 2;
  xs[4] = 0x50;
  xs[8 + 16 + 5] = 0x0e;
  EXPECT_EQ(element_37(Format::iq4_xs, xs), 0.5f * (5 + 32 - 32) * 89);

  std::vector<uint8_t> q8(292);  // f32 d, 256 int8, sums
  const float scale = 0.125f;
  std::memcpy(q8.data(), &scale, 4);
  q8[4 + 37] = static_cast<uint8_t>(-100);
  EXPECT_EQ(element_37(Format::q8_k, q8), -12.5f);

  std::vector<uint8_t> q51(24);  // f16 d, f16 m, 32 fifth bits, 16 bytes; element 21: high nibble 5
  set_half(q51, 0, 0.5f);
  set_half(q51, 2, -3);
  q51[4 + 2] = 1 << 5;
  q51[8 + 5] = 0x90;
  EXPECT_EQ(decode_element(Format::q5_1, q51.data(), 21), 0.5f * 25 - 3);
}

// Against gguf-py 0.19's dequantize. Number i of a block is i % 16, so that element 1 is the halved scale.
TEST(Format, Mxfp4) {
  const float values[] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const struct {
    uint8_t exponent;
    float scale, largest;
  } kScales[] = {{0, 0x1p-128f, 0x1.8p-125f},
                 {1, 0x1p-127f, 0x1.8p-124f},
                 {2, 0x1p-126f, 0x1.8p-123f},
                 {3, 0x1p-125f, 0x1.8p-122f},
                 {96, 0x1p-32f, 0x1.8p-29f},
                 {127, 0x1p-1f, 0x1.8p+2f},
                 {128, 1, 12},
                 {254, 0x1p126f, kInfinity},
                 {255, 0x1p127f, kInfinity}};
  for (const auto& [exponent, scale, largest] : kScales) {
    std::vector<uint8_t> block(17);
    block[0] = exponent;
    for (size_t i = 0; i < 16; ++i) block[1 + i] = static_cast<uint8_t>(i | i << 4);
    std::vector<float> out(32);
    decode_row(Format::mxfp4, block.data(), 32, out.data());
    for (size_t i = 0; i < 32; ++i) EXPECT_EQ(out[i], scale * values[i % 16]) << int{exponent} << " " << i;
    EXPECT_EQ(out[1], scale);
    EXPECT_EQ(out[7], largest);
    EXPECT_EQ(out[31], -largest);
  }
}

// The same; scales that gguf-py reads as 0 are 0, 0x7f and 0x80, and it ignores the sign of others.
TEST(Format, Nvfp4) {
  const struct {
    uint8_t bits;
    float scale, largest;
  } kScales[] = {{0x00, 0, 0},
                 {0x01, 0x1p-10f, 0x1.8p-7f},
                 {0x07, 0x1.cp-8f, 0x1.5p-4f},
                 {0x08, 0x1p-7f, 0x1.8p-4f},
                 {0x38, 0x1p-1f, 0x1.8p+2f},
                 {0x7e, 0x1.cp+7f, 0x1.5p+11f},
                 {0x7f, 0, 0},
                 {0x80, 0, 0},
                 {0x85, 0x1.4p-8f, 0x1.ep-5f},
                 {0xb9, 0x1.2p-1f, 0x1.bp+2f},
                 {0xfe, 0x1.cp+7f, 0x1.5p+11f},
                 {0xff, 0x1.ep+7f, 0x1.68p+11f}};
  // Low bits of eight bytes, then their high bits: 1 3 5 7 9 11 13 15, 2 4 6 8 10 12 14 0.
  const uint8_t numbers[8] = {0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb, 0xed, 0x0f};
  const float values[16] = {1, 3, 6, 12, -1, -3, -6, -12, 2, 4, 8, 0, -2, -4, -8, 0};
  for (const auto& [bits, scale, largest] : kScales) {
    for (size_t run = 0; run < 4; ++run) {
      std::vector<uint8_t> block(36);
      block[run] = bits;
      std::memcpy(block.data() + 4 + 8 * run, numbers, 8);
      std::vector<float> out(64);
      decode_row(Format::nvfp4, block.data(), 64, out.data());
      for (size_t i = 0; i < 64; ++i) {
        EXPECT_EQ(out[i], i / 16 == run ? scale * values[i % 16] : 0) << int{bits} << " " << run << " " << i;
      }
      EXPECT_EQ(out[16 * run], scale);
      EXPECT_EQ(out[16 * run + 3], largest);
    }
  }
}

TEST(Format, IntegersAreNoFloats) {
  float value = 0;
  EXPECT_CONTAINS(error_of([&] { decode_row(Format::i32, &value, 1, &value); }), "I32 holds no floats");
  EXPECT_CONTAINS(error_of([&] { encode_row(Format::bool8, &value, 1, &value); }), "BOOL holds no floats");
}

// What a cache gets is not known to be finite: a block with a NaN or an infinity is one of NaN, and nothing else
// changes.
TEST(Format, ValuesThatMayBeAnything) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  std::vector<float> values(3 * kMaxBlockElements);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 37) - 18.0f;
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_1, Format::q6_k}) {
    std::vector<std::byte> want(row_bytes(format, values.size())), got(want.size());
    encode_row(format, values.data(), values.size(), want.data());
    encode_row_or_nan(format, values.data(), values.size(), got.data());
    EXPECT_EQ(got, want) << name(format);

    std::vector<float> spoiled = values, finite(values.size()), read(values.size());
    spoiled[kMaxBlockElements + 5] = -kInf;
    encode_row_or_nan(format, spoiled.data(), spoiled.size(), got.data());
    decode_row(format, want.data(), finite.size(), finite.data());
    decode_row(format, got.data(), read.size(), read.data());
    const size_t block = info(format).block_elements, at = kMaxBlockElements + 5, first = at / block * block;
    for (size_t i = 0; i < read.size(); ++i) {
      if (i < first || i >= first + block) {
        EXPECT_EQ(read[i], finite[i]) << name(format) << " " << i;
      } else if (block == 1) {
        EXPECT_EQ(read[i], -kInf);
      } else {
        EXPECT_TRUE(std::isnan(read[i])) << name(format) << " " << i;
      }
    }
  }
}

TEST(Format, EmptyRows) {
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    decode_row(format, nullptr, 0, nullptr);
    encode_row(format, nullptr, 0, nullptr);
  }
}

}  // namespace
}  // namespace weft::test
