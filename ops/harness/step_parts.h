// What generated steps are made of: axes, operands through views of any kind, reductions, caches, rotations,
// selections, each with the error bound that random_programs.h explains. Used by random_steps.cc.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/record/axis_list.h"
#include "ops/harness/case_writer.h"
#include "ops/harness/random_programs.h"

namespace weft::random_steps {

inline constexpr int64_t kMaxElements = 6000;    // of a result
inline constexpr int64_t kMaxProducts = 150000;  // of a contraction
inline constexpr double kRounding = 0x1p-24;

// Error of a sum of n terms in f32, relative to the sum of magnitudes: n roundings in a random walk.
inline double sum_rounding(int64_t n) { return kRounding * (std::sqrt(static_cast<double>(n)) + 2); }

// A source under construction: its programs share a builder.
struct SourceText {
  ScalarBuilder builder;
  AxisId reduced = kNoAxis;
  std::vector<Reduction> reductions;
};

class StepParts {
 public:
  StepParts(uint64_t seed, StepKind kind, double lhs_rounding)
      : random_(seed * 7919 + static_cast<uint64_t>(kind)),
        c_(kind, std::string(name(kind)) + "_" + std::to_string(seed), seed),
        kind_(kind),
        lhs_rounding_(lhs_rounding) {}

 protected:
  // ---- axes and extents

  int64_t extent(int64_t limit) {
    static const std::vector<int64_t> kExtents = {1,  1,  1,  2,  3,  3,  4,  5,  7,  8,  9,   11,
                                                  15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 130, 257};
    if (random_.chance(0.008)) return 0;
    for (;;) {
      const int64_t e = random_.pick(kExtents);
      if (e <= std::max<int64_t>(limit, 1)) return e;
    }
  }

  AxisId axis(const char* name, int64_t limit) { return c_.axis(name, extent(limit)); }

  int64_t elements(const AxisList& axes) const {
    int64_t count = 1;
    for (const AxisId a : axes) count *= std::max<int64_t>(c_.extent(a), 1);
    return count;
  }

  // `count` axes whose extents have at most `limit` as product.
  AxisList make_axes(int64_t count, const char* name, int64_t limit) {
    AxisList axes;
    for (int64_t i = 0; i < count; ++i) axes.push_back(axis(name, limit / elements(axes)));
    random_.shuffle(axes);
    return axes;
  }

  AxisList subset(const AxisList& axes, double share = 0.6) {
    AxisList result;
    for (const AxisId a : axes) {
      if (random_.chance(share)) result.push_back(a);
    }
    return result;
  }

  // ---- leaves

  Fill fill(double magnitude = 1) const { return {-magnitude, magnitude, nonfinite_ ? 0.05 : 0.0}; }

  ValueId value(const AxisList& stored, Format format, Fill its_fill) {
    if (format == Format::i32) return c_.ids("ints", stored, -9, 10);
    if (random_.chance(0.5) || info(format).block_elements > 1) {
      return c_.weight("w", stored, format, its_fill);
    }
    return c_.input("x", stored, format, its_fill);
  }

  // One of the formats whose blocks a row of `stored` holds whole, or `otherwise`. The common ones most often; of the
  // others, those of large blocks where they fit, which is not often.
  Format block_format(const AxisList& stored, Format otherwise) {
    const int64_t row = stored.empty() ? 0 : c_.extent(stored.back());
    if (row == 0 || row % 32 != 0 || nonfinite_) return otherwise;
    if (random_.chance(0.3)) return random_.chance(0.5) ? Format::q8_0 : Format::q4_0;
    const uint32_t block = row % kMaxBlockElements == 0           ? kMaxBlockElements
                           : row % 64 == 0 && random_.chance(0.5) ? 64
                                                                  : 32;
    std::vector<Format> formats;
    std::ranges::copy_if(kBlockFormats, std::back_inserter(formats),
                         [&](Format format) { return info(format).block_elements == block; });
    return random_.pick(formats);
  }

  Format leaf_format(const AxisList& stored) {
    switch (random_.below(8)) {
      case 0: return Format::f16;
      case 1: return Format::bf16;
      case 2:
      case 3: return block_format(stored, Format::f32);
      default: return Format::f32;
    }
  }

  // An operand that varies over some of `axes`, through a view of any kind. Integers and bools keep their format.
  int leaf(const AxisList& axes, std::optional<Format> format, double magnitude = 1) {
    AxisList loops = subset(axes);
    random_.shuffle(loops);
    std::vector<ViewAxis> view;
    AxisList stored;
    const auto gather = [&] {
      const AxisId table = c_.axis("table", 1 + random_.below(9));
      const auto rows = static_cast<int32_t>(c_.extent(table));
      const int ids = c_.operand(c_.ids("ids", subset(loops), -1, rows + 1));  // some lie outside
      view.push_back(gathered(table, ids));
      stored.push_back(table);
    };
    const bool gathers = random_.chance(0.12);
    const auto gather_at = static_cast<size_t>(random_.below(static_cast<int64_t>(loops.size()) + 1));
    for (size_t i = 0; i < loops.size(); ++i) {
      if (gathers && gather_at == i) gather();
      const AxisId a = loops[i];
      if (i + 1 < loops.size() && random_.chance(0.08)) {  // split: storage has one axis for two loop axes
        const AxisId next = loops[++i];
        stored.push_back(c_.axis("joint", c_.extent(a) * c_.extent(next)));
        view.push_back(whole(a));
        view.push_back(whole(next));
      } else if (random_.chance(0.1)) {  // slice
        const int64_t begin = random_.below(5);
        const AxisId longer = c_.axis("longer", c_.extent(a) + begin + random_.below(4));
        stored.push_back(longer);
        view.push_back(sliced(a, longer, begin));
      } else if (random_.chance(0.05) && c_.extent(a) % 2 == 0 && c_.extent(a) > 0) {  // merge: two axes for one
        stored.push_back(c_.axis("outer", c_.extent(a) / 2));
        stored.push_back(c_.axis("inner", 2));
        view.push_back(whole(a));
      } else {
        stored.push_back(random_.chance(0.1) ? c_.axis("renamed", c_.extent(a)) : a);
        view.push_back(whole(a));
      }
    }
    if (gathers && gather_at == loops.size()) gather();
    // Blocks are not cut: by a slice, a split or a gather of the last axis.
    const bool plain_end = !view.empty() && view.back().gather < 0 && view.back().stored == view.back().axis &&
                           c_.extent(view.back().axis) % 32 == 0;
    Format its_format = format ? *format : leaf_format(stored);
    if (!plain_end && info(its_format).block_elements > 1) its_format = Format::f32;
    return c_.operand(value(stored, its_format, fill(magnitude)), view);
  }

  // An element of a table over some of `axes` and one more, of whose ids some lie outside.
  Number looked_up_element(ScalarBuilder& s, const AxisList& axes, const Scalar& integer) {
    AxisList stored = subset(axes, 0.4);
    const AxisId table = c_.axis("table", random_.below(8));
    const auto at = static_cast<ptrdiff_t>(random_.below(static_cast<int64_t>(stored.size()) + 1));
    std::vector<ViewAxis> view;
    for (const AxisId a : stored) view.push_back(whole(a));
    stored.insert(stored.begin() + at, table);
    view.insert(view.begin() + at, looked_up(table));
    const Format format = random_.chance(0.3) ? Format::f16 : Format::f32;
    const int operand = c_.operand(value(stored, format, fill(1.5)), view);
    return {s.lookup(operand, integer % 9 - 1), 1.6, 0};
  }

  // `axes` are those that the program runs over. Operands are reused now and then.
  Leaves leaves(const AxisList& axes, std::vector<Number> given = {}) {
    Leaves result;
    result.axes = axes;
    result.given = std::move(given);
    const auto operand = [this, axes](std::vector<int>& known, std::optional<Format> format, double magnitude) {
      if (!known.empty() && random_.chance(0.4)) return random_.pick(known);
      known.push_back(leaf(axes, format, magnitude));
      return known.back();
    };
    auto floats = std::make_shared<std::vector<int>>(), ints = std::make_shared<std::vector<int>>(),
         bools = std::make_shared<std::vector<int>>();
    result.i32 = [=](ScalarBuilder& s) { return s.load(operand(*ints, Format::i32, 1), Element::i32); };
    result.f32 = [=, this, i32 = result.i32](ScalarBuilder& s) -> Number {
      if (random_.chance(0.06)) {
        const bool of_coordinate = !axes.empty() && random_.chance(0.6);
        return looked_up_element(s, axes, of_coordinate ? s.index(random_.pick(axes)) : i32(s));
      }
      return {s.load(operand(*floats, std::nullopt, 1.5)), 1.6, 0};
    };
    result.bool8 = [=](ScalarBuilder& s) { return s.load(operand(*bools, Format::bool8, 1), Element::bool8); };
    return result;
  }

  int depth() { return static_cast<int>(random_.below(4)); }

  Number tree(ScalarBuilder& s, const AxisList& axes, std::vector<Number> given = {}) {
    return random_number(random_, s, leaves(axes, std::move(given)), depth());
  }

  // The result with something on top; what would magnify its error much is left out.
  Number epilogue(ScalarBuilder& s, const AxisList& axes, const Number& result) {
    Number top = result;
    switch (random_.below(5)) {
      case 0: return result;
      case 1: top = add(result, tree(s, axes)); break;
      case 2: top = mul(result, smooth(ScalarOp::sigmoid, result, 0.25, 1)); break;
      case 3: return scaled(result, 0.125f);
      default: top = mul(result, tree(s, axes, {scaled(result, 1 / static_cast<float>(result.bound + 1))}));
    }
    return top.error <= 10 * result.error + 1e-5 ? top : result;
  }

  void finish(SourceText& source, const AxisList& axes, const Number& result) {
    error_ = std::max(error_, result.error);
    c_.body(axes, source.builder.finish(result.scalar), source.reduced, source.reductions);
  }

  // ---- reductions

  Number reduction(SourceText& source, ReduceOp op, const Number& of) {
    const int64_t n = std::max<int64_t>(c_.extent(source.reduced), 1);
    source.reductions.push_back({op, source.builder.finish(of.scalar)});
    const Scalar scalar = source.builder.reduction(static_cast<int>(source.reductions.size()) - 1);
    const auto count = static_cast<double>(n);
    if (op == ReduceOp::max) return {scalar, of.bound, of.error};
    const double mean_error = of.error + sum_rounding(n) * of.bound;
    if (op == ReduceOp::mean) return {scalar, of.bound, mean_error + kRounding * of.bound};
    return {scalar, of.bound * count, mean_error * count};
  }

  // max(x, 0) + epsilon, then rsqrt, with the error that this magnifies.
  static Number inverse_root(const Number& x, float epsilon) {
    const Number safe = shifted(x, epsilon);
    const auto e = static_cast<double>(epsilon);
    return smooth(ScalarOp::rsqrt, safe, 0.5 * std::pow(e, -1.5), 1 / std::sqrt(e));
  }

  Number softmax(SourceText& source, const Number& x) {
    const Number largest = reduction(source, ReduceOp::max, x);
    const Scalar powered = exp(x.scalar - largest.scalar);
    const double error = 2 * x.error + 4 * kRounding * x.bound + 1e-6;
    const Number sum = reduction(source, ReduceOp::sum, {powered, 1, error});
    return {powered / sum.scalar, 1, 2 * error + sum.error + kRounding};
  }

  Number rms_norm(SourceText& source, const Number& x) {
    const Number mean = reduction(source, ReduceOp::mean, mul(x, x));
    Number result = mul(x, inverse_root(mean, 0.5f));
    result.bound = std::min(result.bound, std::sqrt(static_cast<double>(c_.extent(source.reduced) + 1)));
    return result;
  }

  Number layer_norm(SourceText& source, const Number& x) {
    const Number mean = reduction(source, ReduceOp::mean, x);
    const Number centered = sub(x, mean);
    const Number variance = reduction(source, ReduceOp::mean, mul(centered, centered));
    return mul(centered, inverse_root(variance, 0.5f));
  }

  // A reduction or a norm of a random map, along source.reduced. `inside`: the result has the reduced axis.
  Number norm(SourceText& source, const AxisList& axes, bool inside) {
    const AxisList all = contains(axes, source.reduced) ? axes : joined(axes, {source.reduced});
    ScalarBuilder& s = source.builder;
    Number x = random_.chance(0.5) ? random_number(random_, s, leaves(all), 0) : tree(s, all);
    if (x.bound > 3) x = smooth(ScalarOp::tanh, x, 1, 1);
    if (inside) {
      switch (random_.below(4)) {
        case 0: return softmax(source, x);
        case 1: return rms_norm(source, x);
        case 2: return layer_norm(source, x);
        default: break;
      }
    }
    if (random_.chance(0.15)) {  // argmax of exact values: no ties by rounding
      const Number leaf_value = {s.load(leaf(all, Format::f32)), 1, 0};
      source.reductions.push_back({ReduceOp::argmax, s.finish(leaf_value.scalar)});
      const Scalar at = s.reduction(static_cast<int>(source.reductions.size()) - 1, Element::i32);
      return {cast(at % 64, Element::f32), 64, 0};
    }
    constexpr ReduceOp kOps[] = {ReduceOp::sum, ReduceOp::mean, ReduceOp::max};
    Number result = reduction(source, kOps[random_.below(3)], x);
    if (random_.chance(0.3)) result = add(result, reduction(source, kOps[random_.below(3)], tree(s, all, {result})));
    return inside ? add(x, result) : result;
  }

  // ---- what follows the body

  // The rotation's position, over some of `axes`. Positions are below 50, so that angles keep their digits.
  void rotate(const AxisList& axes, AxisId along) {
    if (c_.extent(along) < 2) return;
    AxisList others = subset(without(axes, along), 0.7);
    Rotation rotation;
    rotation.axis = along;
    rotation.pairs = random_.chance(0.5) ? RopePairs::half_split : RopePairs::interleaved;
    rotation.position = c_.operand(c_.ids("position", others, 0, 50));
    rotation.base = random_.chance(0.5) ? 10000.0f : 500.0f;
    if (random_.chance(0.3)) rotation.scale = 1.25f;
    if (random_.chance(0.3)) {
      std::vector<float> frequencies;
      const int64_t pairs = 1 + random_.below(c_.extent(along) / 2);
      for (int64_t i = 0; i < pairs; ++i) frequencies.push_back(static_cast<float>(random_.uniform(0.01, 1)));
      rotation.frequencies = std::make_shared<const std::vector<float>>(std::move(frequencies));
    }
    if (random_.chance(0.3)) {
      for (int64_t first = random_.below(3); rotation.sections.size() < 2; first += random_.below(4)) {
        rotation.sections.push_back({first, c_.operand(c_.ids("position", others, 0, 50))});
      }
    }
    c_.rotation(rotation);
    // Sines to 1e-6, and a frequency to one ulp: 50 * 2^-23 in the angle.
    error_ = 1.5 * static_cast<double>(rotation.scale) * (error_ + bound_ * (50 * 2 * kRounding + 3e-6));
    bound_ *= 1.5 * static_cast<double>(rotation.scale);
    if (!random_.chance(0.3)) return;
    ScalarBuilder s;
    const Number result = epilogue(s, axes, {s.rotated(), bound_, error_});
    c_.post(s.finish(result.scalar));
    error_ = result.error;
    bound_ = result.bound;
  }

  void select(const AxisList& axes) {
    const AxisId along = random_.pick(axes);
    if (c_.extent(along) < 1) return;
    if (random_.chance(0.4)) {
      c_.selection(along, kNoAxis, false);
      return;
    }
    const AxisId choice = c_.axis("choice", 1 + random_.below(std::min<int64_t>(c_.extent(along), 9)));
    c_.selection(along, choice, random_.chance(0.8));
  }

  void rotate_or_select(const AxisList& axes, double rotate_share, double select_share) {
    if (axes.empty()) return;
    if (random_.chance(rotate_share)) rotate(axes, random_.chance(0.7) ? axes.back() : random_.pick(axes));
    if (random_.chance(select_share)) select(axes);
  }

  // ---- contractions and caches

  Format leaf_input_format() {
    return random_.chance(0.8) ? Format::f32 : random_.chance(0.5) ? Format::f16 : Format::bf16;
  }

  // Elements of rhs are independent, of mean 0 and at most 1, so that a sum of n products with |lhs| <= b is at
  // most 6 sqrt(n) b, but for one case in 10^7 (Hoeffding); so are the errors of lhs in it. The rounding of n
  // partial sums of that size adds up like a random walk.
  Number contracted(const Number& lhs, const AxisList& over, int index, ScalarBuilder& s) {
    const double root = std::sqrt(static_cast<double>(elements(over)));
    const double bound = 6 * root * lhs.bound;
    return {s.contraction(index), bound, 6 * root * lhs.error + (kRounding * (root + 2) + lhs_rounding_) * bound};
  }

  // One to three sequences, some of which begin with pages of the first. `rows` is set to the number of new
  // tokens.
  // What a field over these axes (and the key) is stored in; in blocks only where it is read so.
  Format stored_format(const AxisList& field, bool by_blocks) {
    static const std::vector<Format> kStored = {Format::f16, Format::bf16, Format::q8_0};
    if (!random_.chance(0.4)) return Format::f32;
    const Format format = random_.pick(kStored);
    const int64_t block = info(format).block_elements;
    const bool fits = block == 1 || (by_blocks && !field.empty() && c_.extent(field.back()) % block == 0);
    return fits ? format : Format::f16;
  }
  CacheSpec cache_spec(AxisId key, int64_t& rows) {
    CacheSpec spec;
    spec.key = key;
    static const std::vector<int32_t> kPages = {1, 2, 4, 8, 16};
    static const std::vector<int32_t> kLengths = {1, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65};
    spec.page_size = random_.pick(kPages);
    const int64_t sequences = 1 + random_.below(3);
    for (int64_t s = 0; s < sequences; ++s) {
      CaseSequence sequence;
      sequence.length = random_.pick(kLengths);
      const int32_t most = std::min(sequence.length, 6);
      sequence.rows = random_.chance(0.5) ? 1 : static_cast<int32_t>(random_.below(most + 1));
      if (s > 0 && random_.chance(0.4)) {  // whole pages before the new rows
        const int32_t mine = (sequence.length - sequence.rows) / spec.page_size;
        const int32_t first = (spec.sequences[0].length - spec.sequences[0].rows) / spec.page_size;
        sequence.shared_pages = std::min(mine, first);
      }
      if (random_.chance(0.3)) {  // a window that has passed pages
        sequence.gone_pages =
            static_cast<int32_t>(random_.below((sequence.length - sequence.rows) / spec.page_size + 1));
        if (s > 0) sequence.gone_pages = std::max(sequence.gone_pages, spec.sequences[0].gone_pages);
        if (sequence.gone_pages * spec.page_size > sequence.length - sequence.rows) sequence.gone_pages = 0;
      }
      if (s > 0 && sequence.gone_pages < spec.sequences[0].gone_pages) sequence.shared_pages = 0;
      rows += sequence.rows;
      spec.sequences.push_back(sequence);
    }
    spec.shuffled_rows = random_.chance(0.3);
    spec.first_position = random_.chance(0.3) ? 11 : 0;
    return spec;
  }

  Random random_;
  CaseWriter c_;
  StepKind kind_;
  double lhs_rounding_;
  double error_ = 0;  // of the result
  double bound_ = 1;
  bool nonfinite_ = false;
  bool block_weights_ = false;
};

// A StepParts that can do attention (random_attention.cc).
class AttentionParts : public StepParts {
 public:
  using StepParts::StepParts;

 protected:
  void attention();
};

}  // namespace weft::random_steps
