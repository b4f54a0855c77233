// The tile machine against `evaluate`: every operation and type, lengths around each edge, random programs; on
// every Highway target.
#include "ops/cpu/tile_machine.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ops/harness/case.h"
#include "ops/harness/scalar_builder.h"
#include "tests/targets.h"

namespace weft {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Elements of one source, and how it varies.
struct SourceData {
  TileShape shape = TileShape::contiguous;
  std::vector<float> floats;
  std::vector<int32_t> ints;  // also the first of an iota, and bools
};

ScalarValue element_of(const SourceData& data, Element type, size_t i) {
  if (data.shape == TileShape::iota) return {0, static_cast<int32_t>(data.ints[0] + static_cast<int32_t>(i))};
  const size_t at = data.shape == TileShape::uniform ? 0 : i;
  if (type == Element::f32) return {static_cast<double>(data.floats[at]), 0};
  return {0, data.ints[at]};
}

// Runs the program with inputs in blocks of exactly their size, so that a sanitizer sees reads past their end.
class Machine {
 public:
  explicit Machine(const ScalarProgram& program) : program_(program), memory_(program_.frame_bytes()) {
    frame_ = program_.make_frame(memory_.data());
  }

  TileFrame& bind(const std::function<const SourceData&(const ScalarInstr&)>& data, size_t n,
                  bool runs_uniform = true) {
    blocks_.clear();
    for (size_t s = 0; s < program_.sources().size(); ++s) {
      frame_->set_shape(s, data(program_.sources()[s]).shape);
    }
    frame_->start();
    for (size_t s = 0; s < program_.sources().size(); ++s) {
      const ScalarInstr& instr = program_.sources()[s];
      const SourceData& d = data(instr);
      if (d.shape == TileShape::iota) {
        frame_->set_iota(s, d.ints[0]);
        continue;
      }
      const size_t count = d.shape == TileShape::uniform ? 1 : n;
      const size_t width = instr.type == Element::bool8 ? 1 : 4;
      CaseBytes block(count * width);
      for (size_t i = 0; i < count; ++i) {
        if (instr.type == Element::f32) {
          std::memcpy(block.data() + 4 * i, &d.floats[i], 4);
        } else if (instr.type == Element::i32) {
          std::memcpy(block.data() + 4 * i, &d.ints[i], 4);
        } else {
          block.data()[i] = static_cast<std::byte>(d.ints[i]);
        }
      }
      if (d.shape == TileShape::uniform) {
        frame_->set_uniform(s, block.data());
      } else {
        frame_->set_contiguous(s, block.data());
      }
      blocks_.push_back(block);
    }
    if (runs_uniform) frame_->run_uniform();
    return *frame_;
  }

  const TileProgram& program() const { return program_; }
  TileFrame& frame() { return *frame_; }

 private:
  TileProgram program_;
  CaseBytes memory_;
  TileFrame* frame_;
  std::vector<CaseBytes> blocks_;
};

// "" if equal within `tolerance` of the value, or absolutely.
std::string difference(double want, double got, double tolerance) {
  if (std::isnan(want) && std::isnan(got)) return "";
  const double rounded = static_cast<double>(static_cast<float>(want));
  if (rounded == got || std::fabs(want - got) <= tolerance * std::max(1.0, std::fabs(want))) return "";
  return "want " + std::to_string(want) + ", got " + std::to_string(got);
}

void check(const ScalarProgram& program, const std::function<const SourceData&(const ScalarInstr&)>& data, size_t n,
           double tolerance) {
  Machine machine(program);
  TileFrame& frame = machine.bind(data, n);
  const Element type = program.type();
  const CaseBytes out(n * (type == Element::bool8 ? 1 : 4));
  frame.run(static_cast<int64_t>(n), out.data());
  for (size_t i = 0; i < n; ++i) {
    const ScalarValue want =
        evaluate(program, [&](const ScalarInstr& instr) { return element_of(data(instr), instr.type, i); });
    std::string wrong;
    if (type == Element::f32) {
      float got;
      std::memcpy(&got, out.data() + 4 * i, 4);
      wrong = difference(want.f, static_cast<double>(got), tolerance);
    } else {
      int32_t got = 0;
      std::memcpy(&got, out.data() + (type == Element::i32 ? 4 * i : i), type == Element::i32 ? 4 : 1);
      if (got != want.i) wrong = "want " + std::to_string(want.i) + ", got " + std::to_string(got);
    }
    ASSERT_EQ(wrong, "") << "element " << i << " of " << n << " in\n" << to_string(program);
  }
}

std::vector<float> floats(size_t n, uint64_t seed, double low, double high) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<float> result(n);
  for (float& x : result) x = static_cast<float>(uniform(random));
  return result;
}

// Worst error of a function over arguments, in units in the last place of the f32 result (of the smallest normal
// number below that), where also less than `absolute` counts as none.
double worst_ulp(ScalarOp op, const std::vector<float>& x, double absolute) {
  ScalarBuilder s;
  const ScalarProgram program = s.finish(apply(op, s.load(0)));
  Machine machine(program);
  const SourceData data{TileShape::contiguous, x, {}};
  TileFrame& frame = machine.bind([&](const ScalarInstr&) -> const SourceData& { return data; }, x.size());
  std::vector<float> got(x.size());
  frame.run(static_cast<int64_t>(x.size()), got.data());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const ScalarValue exact =
        evaluate(program, [&](const ScalarInstr&) { return ScalarValue{static_cast<double>(x[i]), 0}; });
    const auto rounded = static_cast<float>(exact.f);
    if (std::isnan(rounded) && std::isnan(got[i])) continue;
    if (rounded == got[i]) continue;
    if (!std::isfinite(rounded) || !std::isfinite(got[i])) return 1e9;
    const double error = std::fabs(exact.f - static_cast<double>(got[i]));
    if (error <= absolute) continue;
    const double magnitude = std::max(std::fabs(exact.f), static_cast<double>(std::numeric_limits<float>::min()));
    worst = std::max(worst, error / std::ldexp(1.0, std::ilogb(magnitude) - 23));
  }
  return worst;
}

TEST(TileMachine, FunctionsAreAccurate) {
  std::vector<float> near_zero = floats(4000, 1, -2, 2), wide = floats(4000, 2, -110, 100);
  std::vector<float> angles = floats(4000, 3, -1000, 1000), large = floats(500, 4, -9e5, 9e5);
  std::vector<float> huge = floats(100, 5, -3e38, 3e38);
  std::vector<float> positive;
  for (float x : wide) positive.push_back(std::exp2(x));
  for (float x : near_zero) positive.push_back(std::fabs(x));
  std::vector<float> tiny;  // subnormal numbers among them, of both signs
  for (size_t i = 0; i < near_zero.size(); ++i) {
    tiny.push_back(std::ldexp(near_zero[i], -static_cast<int>(i % 150)));
  }
  std::vector<float> special = {0.0f,  -0.0f,  kInf,  -kInf,  kNaN,   1e-45f,  -1e-45f, 1e-38f, 3.4e38f, -3.4e38f,
                                88.7f, 88.73f, 89.0f, -87.3f, -87.4f, -103.9f, -104.5f, 1.0f,   -1.0f,   0.5f};
  on_every_target([&] {
    for (const auto* set : {&near_zero, &wide, &special}) {
      EXPECT_LE(worst_ulp(ScalarOp::exp, *set, 0), 2);
      EXPECT_LE(worst_ulp(ScalarOp::sigmoid, *set, 1e-30), 4);
      EXPECT_LE(worst_ulp(ScalarOp::tanh, *set, 0), 4);
      EXPECT_LE(worst_ulp(ScalarOp::erf, *set, 0), 4);
      EXPECT_LE(worst_ulp(ScalarOp::softplus, *set, 1e-37), 4);
    }
    for (const auto* set : {&near_zero, &tiny, &positive, &special}) {
      EXPECT_LE(worst_ulp(ScalarOp::log1p, *set, 0), 4);
      EXPECT_LE(worst_ulp(ScalarOp::erf, *set, 0), 4);
    }
    for (const auto* set : {&positive, &special}) {
      EXPECT_LE(worst_ulp(ScalarOp::log, *set, 1e-7), 4);
      EXPECT_LE(worst_ulp(ScalarOp::sqrt, *set, 0), 1);
      EXPECT_LE(worst_ulp(ScalarOp::rsqrt, *set, 0), 2);
    }
    for (const auto* set : {&near_zero, &angles, &large, &huge, &special}) {
      EXPECT_LE(worst_ulp(ScalarOp::sin, *set, 1.5e-7), 1);
      EXPECT_LE(worst_ulp(ScalarOp::cos, *set, 1.5e-7), 1);
    }
    EXPECT_EQ(worst_ulp(ScalarOp::floor, wide, 0), 0);
    EXPECT_EQ(worst_ulp(ScalarOp::floor, special, 0), 0);
  });
}

const size_t kLengths[] = {0,   1,   2,   3,   15,  16,  17,  31,  32,  33,  63,  64,  65,
                           127, 128, 129, 255, 256, 257, 271, 272, 273, 511, 513, 1000};

// Values at which the pinned semantics show.
const float kFloatCorners[] = {0.0f,          -0.0f,          1.0f,          -1.0f, 0.5f,  2.5f, -2.5f, 1e10f, -1e10f,
                               2147483648.0f, -2147483648.0f, 2147483520.0f, kInf,  -kInf, kNaN, 3.0f,  -7.25f};
const int32_t kIntCorners[] = {
    0, 1, -1, 2, -3, 7, 1000, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min(), 65536, -65537};

SourceData corner_data(Element type, TileShape shape, size_t n, size_t period) {
  SourceData data{shape, {}, {}};
  for (size_t i = 0; i < std::max<size_t>(n, 1); ++i) {
    const size_t at = i / period;
    data.floats.push_back(kFloatCorners[at % std::size(kFloatCorners)]);
    data.ints.push_back(type == Element::bool8 ? static_cast<int32_t>(at % 2)
                                               : kIntCorners[at % std::size(kIntCorners)]);
  }
  return data;
}

TEST(TileMachine, EveryOperationOnEveryType) {
  const size_t n = std::size(kFloatCorners) * std::size(kFloatCorners);
  on_every_target([&] {
    for (const Element type : {Element::f32, Element::i32, Element::bool8}) {
      for (int op = static_cast<int>(ScalarOp::neg); op <= static_cast<int>(ScalarOp::ge); ++op) {
        const auto scalar_op = static_cast<ScalarOp>(op);
        const bool compares = scalar_op >= ScalarOp::eq && scalar_op <= ScalarOp::ge;
        const bool int_op = (scalar_op >= ScalarOp::add && scalar_op <= ScalarOp::max) || compares ||
                            scalar_op == ScalarOp::neg || scalar_op == ScalarOp::abs;
        const bool bool_op = compares || scalar_op == ScalarOp::logical_not;
        if (scalar_op == ScalarOp::cast || scalar_op == ScalarOp::logical_not) {
          if (scalar_op == ScalarOp::logical_not && type != Element::bool8) continue;
        } else if ((type == Element::i32 && !int_op) || (type == Element::bool8 && !bool_op) ||
                   scalar_op == ScalarOp::logical_and || scalar_op == ScalarOp::logical_or) {
          continue;
        }
        for (const Element to : {Element::f32, Element::i32, Element::bool8}) {
          if (scalar_op != ScalarOp::cast && to != Element::f32) continue;
          ScalarBuilder s;
          const Scalar a = s.load(0, type), b = s.load(1, type);
          const Scalar result = scalar_op == ScalarOp::cast      ? cast(a, to)
                                : argument_count(scalar_op) == 1 ? apply(scalar_op, a)
                                                                 : apply(scalar_op, a, b);
          for (const TileShape shape : {TileShape::contiguous, TileShape::uniform}) {
            const SourceData x = corner_data(type, shape, n, std::size(kFloatCorners));
            const SourceData y = corner_data(type, TileShape::contiguous, n, 1);
            check(
                s.finish(result), [&](const ScalarInstr& instr) -> const SourceData& { return instr.imm == 0 ? x : y; },
                n, 1e-6);
          }
        }
      }
    }
    ScalarBuilder s;
    const Scalar p = s.load(0, Element::bool8), q = s.load(1, Element::bool8);
    const SourceData x = corner_data(Element::bool8, TileShape::contiguous, n, 2);
    const SourceData y = corner_data(Element::bool8, TileShape::contiguous, n, 1);
    const auto data = [&](const ScalarInstr& instr) -> const SourceData& { return instr.imm == 0 ? x : y; };
    for (const Scalar& result : {p && q, p || q, !p, where(p, q, !q), cast(p, Element::f32) * 2.0f,
                                 where(q, s.constant(3), s.constant(-4)), cast(p && !q, Element::i32), p}) {
      check(s.finish(result), data, n, 0);
    }
  });
}

// Lookups: every way in which ids and offsets lie, formats, strides, ids outside of the table.
TEST(TileMachine, LooksUpElements) {
  constexpr int32_t kExtent = 5, kStride = 3;
  std::mt19937 random(5);
  ScalarBuilder s;
  ScalarProgram program = s.finish(s.lookup(7, s.load(0, Element::i32) + 1) * 2.0f);
  ScalarProgram ints = s.finish(s.lookup(7, s.load(0, Element::i32), Element::i32));
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::i32}) {
    const bool is_int = format == Format::i32;
    std::vector<float> elements = floats(kExtent * kStride, 9, -1, 1);
    std::vector<int32_t> integers;
    for (int32_t i = 0; i < kExtent * kStride; ++i) integers.push_back(100 + i);
    std::vector<std::byte> bytes(elements.size() * 4);
    if (is_int) std::memcpy(bytes.data(), integers.data(), bytes.size());
    else encode_row(format, elements.data(), elements.size(), bytes.data());
    on_every_target([&] {
      for (const TileShape ids : {TileShape::contiguous, TileShape::uniform}) {
        for (const TileShape offsets : {TileShape::contiguous, TileShape::uniform}) {
          for (const size_t n : kLengths) {
            if (n == 0) continue;
            SourceData id{ids, {}, {}}, offset{offsets, {}, {}};
            for (size_t i = 0; i < n; ++i) {
              id.ints.push_back(static_cast<int32_t>(random() % (kExtent + 6)) - 3);
              offset.ints.push_back(static_cast<int32_t>(random() % kStride));
            }
            id.ints[0] = n % 2 == 0 ? 3 : kExtent;  // what a uniform one is
            Machine machine(is_int ? ints : program);
            const auto data = [&](const ScalarInstr& instr) -> const SourceData& {
              return instr.op == ScalarOp::lookup ? offset : id;
            };
            machine.bind(data, n, false);
            const auto sources = machine.program().sources();
            for (size_t source = 0; source < sources.size(); ++source) {
              if (sources[source].op != ScalarOp::lookup) continue;
              machine.frame().set_table(source, {bytes.data(), format, kExtent, kStride});
            }
            machine.frame().run_uniform();
            std::vector<float> out(n);
            machine.frame().run(static_cast<int64_t>(n), out.data());
            for (size_t i = 0; i < n; ++i) {
              const int32_t at = id.ints[ids == TileShape::uniform ? 0 : i] + (is_int ? 0 : 1);
              const auto place = static_cast<size_t>(at * kStride + offset.ints[offsets == TileShape::uniform ? 0 : i]);
              const bool inside = at >= 0 && at < kExtent;
              if (is_int) {
                ASSERT_EQ(std::bit_cast<int32_t>(out[i]), inside ? integers[place] : 0) << i << " of " << n;
              } else {
                ASSERT_EQ(out[i], inside ? 2 * decode_element(format, bytes.data(), place) : 0) << i << " of " << n;
              }
            }
          }
        }
      }
    });
  }
}

// A program of `size` random operations over f32, i32 and bool8 sources.
ScalarProgram random_program(std::mt19937_64& random, int size) {
  ScalarBuilder s;
  std::vector<Scalar> f, i, b;
  const auto pick = [&](const std::vector<Scalar>& from) { return from[random() % from.size()]; };
  for (int k = 0; k < 3; ++k) f.push_back(s.load(k));
  i.push_back(s.load(3, Element::i32));
  i.push_back(s.index(0));
  b.push_back(s.load(4, Element::bool8));
  f.push_back(s.constant(0.75f));
  f.push_back(s.constant(-kInf));
  i.push_back(s.constant(5));
  Scalar last = f[0];
  for (int k = 0; k < size; ++k) {
    switch (random() % 16) {
      case 0: f.push_back(last = pick(f) + pick(f)); break;
      case 1: f.push_back(last = pick(f) * pick(f)); break;
      case 2: f.push_back(last = pick(f) - pick(f)); break;
      case 3: {
        const Scalar x = pick(f);
        f.push_back(last = x * sigmoid(x));
        break;
      }
      case 4: f.push_back(last = minimum(pick(f), pick(f))); break;
      case 5: f.push_back(last = where(pick(b), pick(f), pick(f))); break;
      case 6: f.push_back(last = random() % 2 == 0 ? tanh(pick(f)) : erf(softplus(pick(f)))); break;
      case 7: f.push_back(last = maximum(pick(f), pick(f)) * pick(f) * pick(f)); break;
      case 8: i.push_back(last = pick(i) + pick(i)); break;
      case 9: i.push_back(last = pick(i) % pick(i)); break;
      case 10: i.push_back(last = where(pick(b), pick(i), pick(i) * pick(i))); break;
      case 11: b.push_back(last = pick(i) <= pick(i)); break;
      case 12: b.push_back(last = pick(b) && !pick(b)); break;
      case 13: b.push_back(last = pick(i) != pick(i)); break;
      case 14: f.push_back(last = cast(pick(i) % 64, Element::f32)); break;
      default: f.push_back(last = -abs(pick(f))); break;
    }
  }
  return s.finish(last);
}

TEST(TileMachine, RandomProgramsOfAllLengthsAndShapes) {
  on_every_target([] {
    std::mt19937_64 random(7);
    for (int round = 0; round < 150; ++round) {
      const ScalarProgram program = random_program(random, 1 + static_cast<int>(random() % 24));
      const size_t n = kLengths[random() % std::size(kLengths)];
      SourceData data[6];
      for (int k = 0; k < 6; ++k) {
        data[k].shape = random() % 3 == 0 ? TileShape::uniform : TileShape::contiguous;
        data[k].floats = floats(n + 1, random(), -1, 1);
        for (size_t j = 0; j <= n; ++j) data[k].ints.push_back(static_cast<int32_t>(random() % (k == 4 ? 2 : 100)));
      }
      if (random() % 2 == 0) data[5].shape = TileShape::iota;
      check(
          program,
          [&](const ScalarInstr& instr) -> const SourceData& {
            return data[instr.op == ScalarOp::index ? 5 : instr.imm];
          },
          n, 1e-5);
    }
  });
}

TEST(TileMachine, ReusesRegisters) {
  ScalarBuilder s;
  const Scalar a = s.load(0), b = s.load(1), c = s.load(2);
  // A long chain needs no more than a few registers.
  Scalar chain = a;
  for (int i = 0; i < 100; ++i) chain = tanh(chain + b) - c;
  EXPECT_LE(TileProgram(s.finish(chain)).register_count(), 2);
  // What the result does not need is dropped.
  ScalarProgram dead;
  const uint16_t x = dead.add({.op = ScalarOp::load, .type = Element::f32});
  dead.add({.op = ScalarOp::load, .type = Element::f32, .imm = 1});
  dead.add({.op = ScalarOp::neg, .type = Element::f32, .a = x});
  EXPECT_EQ(TileProgram(dead).sources().size(), 1u);
}

TEST(TileMachine, RunsInPlace) {
  ScalarBuilder s;
  const ScalarProgram program = s.finish((s.load(0) + 1.0f) * s.load(0) - s.load(1));
  on_every_target([&] {
    for (const size_t n : kLengths) {
      std::vector<float> x = floats(n, 1, -1, 1);
      const std::vector<float> before = x, y = floats(n, 2, -1, 1);
      const TileProgram tiles(program);
      const CaseBytes memory(tiles.frame_bytes());
      TileFrame* frame = tiles.make_frame(memory.data());
      frame->set_shape(0, TileShape::contiguous);
      frame->set_shape(1, TileShape::contiguous);
      frame->start();
      frame->run_uniform();
      const bool first_is_x = tiles.sources()[0].imm == 0;
      frame->set_contiguous(first_is_x ? 0 : 1, x.data());
      frame->set_contiguous(first_is_x ? 1 : 0, y.data());
      frame->run(static_cast<int64_t>(n), x.data());
      for (size_t i = 0; i < n; ++i) ASSERT_NEAR(x[i], (before[i] + 1) * before[i] - y[i], 1e-6) << i << " of " << n;
    }
  });
}

TEST(TileMachine, Reductions) {
  ScalarBuilder s;
  const ScalarProgram plain = s.finish(s.load(0)), square = s.finish(s.load(0) * s.load(0));
  const ScalarProgram chained = s.finish(exp(s.load(0) - 0.5f)), whole = s.finish(s.load(1, Element::i32));
  on_every_target([&] {
    for (const size_t n : kLengths) {
      for (const ScalarProgram* program : {&plain, &square, &chained, &whole}) {
        SourceData x{TileShape::contiguous, floats(n, n, -1, 1), {}};
        for (size_t i = 0; i < n; ++i) x.ints.push_back(static_cast<int32_t>(i * 7919 % 101) - 50);
        if (n > 4) x.floats[n / 2] = kNaN;
        for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::max, ReduceOp::argmax}) {
          const bool sums = op == ReduceOp::sum || op == ReduceOp::mean;
          if (sums && n > 4) x.floats[n / 2] = 0.25f;
          Machine machine(*program);
          TileReduction reduction;
          reduction.reset(op, program->type());
          machine.bind([&](const ScalarInstr&) -> const SourceData& { return x; }, n)
              .reduce(static_cast<int64_t>(n), reduction);
          double sum = 0, best = -HUGE_VAL;
          int at = 0;
          bool found = false;
          for (size_t i = 0; i < n; ++i) {
            const ScalarValue value =
                evaluate(*program, [&](const ScalarInstr& instr) { return element_of(x, instr.type, i); });
            const double v = program->type() == Element::f32 ? static_cast<double>(static_cast<float>(value.f))
                                                             : static_cast<double>(value.i);
            sum += v;
            if (v > best || (!found && v == v)) {
              best = v;
              at = static_cast<int>(i);
              found = true;
            }
          }
          const uint32_t bits = reduction.result();
          const double as_float = static_cast<double>(std::bit_cast<float>(bits));
          if (program == &whole && op != ReduceOp::mean) {
            const double want = op == ReduceOp::sum ? sum : op == ReduceOp::argmax ? at : found ? best : -2147483648.0;
            EXPECT_EQ(static_cast<int32_t>(bits), want) << n;
          } else if (op == ReduceOp::argmax) {
            EXPECT_EQ(static_cast<int>(bits), at) << n;
          } else {
            const double want = op == ReduceOp::sum ? sum : op == ReduceOp::mean ? sum / static_cast<double>(n) : best;
            EXPECT_EQ(difference(want, as_float, 2e-6), "") << n << to_string(*program);
          }
        }
      }
    }
  });
}

TEST(TileMachine, LongSumsAreAccurate) {
  ScalarBuilder s;
  const ScalarProgram program = s.finish(s.load(0) * s.load(0));
  const SourceData x{TileShape::contiguous, std::vector<float>(1000003, 0.1f), {}};
  on_every_target([&] {
    Machine machine(program);
    TileReduction reduction;
    reduction.reset(ReduceOp::mean, Element::f32);
    machine.bind([&](const ScalarInstr&) -> const SourceData& { return x; }, x.floats.size())
        .reduce(static_cast<int64_t>(x.floats.size()), reduction);
    const double exact = static_cast<double>(0.1f) * static_cast<double>(0.1f);
    EXPECT_NEAR(static_cast<double>(std::bit_cast<float>(reduction.result())) / exact, 1, 1e-6);
  });
}

TEST(TileMachine, MergedRangesReduceAsOne) {
  TileReduction a, b;
  a.reset(ReduceOp::argmax, Element::f32);
  b.reset(ReduceOp::argmax, Element::f32);
  ScalarBuilder s;
  Machine machine(s.finish(s.load(0)));
  SourceData first{TileShape::contiguous, {kNaN, 2, 5, 1}, {}}, second{TileShape::contiguous, {5, 6, 6}, {}};
  machine.bind([&](const ScalarInstr&) -> const SourceData& { return first; }, 4).reduce(4, a);
  EXPECT_EQ(a.result(), 2u);
  machine.bind([&](const ScalarInstr&) -> const SourceData& { return second; }, 3).reduce(3, b);
  a.merge(b);
  EXPECT_EQ(a.result(), 5u);
}

}  // namespace
}  // namespace weft
