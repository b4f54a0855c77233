#include "tests/random_steps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "tests/case_writer.h"
#include "tests/random_programs.h"

namespace weft {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kMaxElements = 6000;    // of a result
constexpr int64_t kMaxProducts = 150000;  // of a contraction
constexpr double kRounding = 0x1p-24;

// Error of a sum of n terms in f32, relative to the sum of magnitudes: n roundings in a random walk.
double sum_rounding(int64_t n) { return kRounding * (std::sqrt(static_cast<double>(n)) + 2); }

using AxisList = std::vector<AxisId>;

bool contains(const AxisList& axes, AxisId axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

AxisList without(AxisList axes, AxisId axis) {
  std::erase(axes, axis);
  return axes;
}

AxisList joined(AxisList a, const AxisList& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A source under construction: its programs share a builder.
struct SourceText {
  ScalarBuilder builder;
  AxisId reduced = kNoAxis;
  std::vector<Reduction> reductions;
};

class Generator {
 public:
  Generator(uint64_t seed, StepKind kind, double lhs_rounding)
      : random_(seed * 7919 + static_cast<uint64_t>(kind)),
        c_(kind, std::string(name(kind)) + "_" + std::to_string(seed), seed),
        kind_(kind),
        lhs_rounding_(lhs_rounding) {}

  RandomStep run() {
    RandomStep result;
    nonfinite_ = (kind_ == StepKind::map || kind_ == StepKind::reduce ||
                  (kind_ == StepKind::contract && lhs_rounding_ == 0)) &&
                 random_.chance(0.06);
    switch (kind_) {
      case StepKind::map: map(); break;
      case StepKind::reduce: reduce(); break;
      case StepKind::contract: contract(); break;
      case StepKind::attention: attention(); break;
      default: append(); break;
    }
    result.step_case = c_.build();
    result.code = c_.code();
    result.tolerance.absolute = error_ + 1e-7;
    result.tolerance.relative = 1e-5;
    result.block_weights = block_weights_;
    result.nonfinite = nonfinite_;
    return result;
  }

 private:
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
    if (random_.chance(0.5) || format == Format::q8_0 || format == Format::q4_0) {
      return c_.weight("w", stored, format, its_fill);
    }
    return c_.input("x", stored, format, its_fill);
  }

  bool fits_blocks(const AxisList& stored) const {
    return !stored.empty() && c_.extent(stored.back()) > 0 && c_.extent(stored.back()) % 32 == 0;
  }

  Format leaf_format(const AxisList& stored) {
    switch (random_.below(8)) {
      case 0: return Format::f16;
      case 1: return Format::bf16;
      case 2: return fits_blocks(stored) && !nonfinite_ ? Format::q8_0 : Format::f32;
      case 3: return fits_blocks(stored) && !nonfinite_ ? Format::q4_0 : Format::f32;
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
    result.f32 = [=](ScalarBuilder& s) -> Number { return {s.load(operand(*floats, std::nullopt, 1.5)), 1.6, 0}; };
    result.i32 = [=](ScalarBuilder& s) { return s.load(operand(*ints, Format::i32, 1), Element::i32); };
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
    if (random_.chance(0.3))
      result = add(result, reduction(source, kOps[random_.below(3)], tree(s, all, {result})));
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

  // ---- kinds

  void map() {
    const AxisList axes = make_axes(1 + random_.below(5), "a", kMaxElements);
    map_body(axes, true);
  }

  void map_body(const AxisList& axes, bool any_type) {
    ScalarBuilder s;
    const Leaves its_leaves = leaves(axes);
    const int levels = 1 + static_cast<int>(random_.below(4));
    const double which = any_type ? random_.uniform() : 1;
    if (which < 0.1) {
      c_.body(axes, s.finish(random_integer(random_, s, its_leaves, levels)));
      return;
    }
    if (which < 0.2) {
      c_.body(axes, s.finish(random_condition(random_, s, its_leaves, levels)));
      return;
    }
    const Number result = random_number(random_, s, its_leaves, levels);
    error_ = std::max(error_, result.error);
    bound_ = result.bound;
    c_.body(axes, s.finish(result.scalar));
  }

  void reduce() {
    if (random_.chance(0.2)) {  // a rotation or a selection of a map
      const AxisList axes = make_axes(1 + random_.below(4), "a", kMaxElements);
      map_body(axes, false);
      rotate_or_select(axes, 0.6, 0.6);
      return;
    }
    AxisList axes = make_axes(random_.below(4), "a", kMaxElements);
    const AxisId reduced = axis("r", kMaxElements / elements(axes));
    const bool inside = random_.chance(0.6);
    if (inside) axes.insert(axes.begin() + random_.below(static_cast<int64_t>(axes.size()) + 1), reduced);
    norm_body(axes, reduced, inside);
    rotate_or_select(axes, inside ? 0.2 : 0.1, 0.1);
  }

  void norm_body(const AxisList& axes, AxisId reduced, bool inside) {
    SourceText source;
    source.reduced = reduced;
    Number result = norm(source, axes, inside);
    if (random_.chance(0.6)) result = epilogue(source.builder, axes, result);
    finish(source, axes, result);
    bound_ = result.bound;
  }

  // The prologue of a contraction, over `axes`; a norm along the last contracted axis now and then.
  std::pair<int, Number> prologue(const AxisList& axes, AxisId along) {
    SourceText source;
    Number result;
    const double which = random_.uniform();
    if (which < 0.4) {  // nothing
      const bool as_stored = random_.chance(0.7);
      AxisList stored = axes;
      if (!as_stored) random_.shuffle(stored);
      result = {source.builder.load(c_.operand(value(stored, leaf_input_format(), fill()))), 1, 0};
    } else if (which < 0.7) {
      result = tree(source.builder, axes);
      const Number all = {source.builder.load(c_.operand(value(axes, Format::f32, fill()))), 1, 0};
      result = result.bound < 10 ? mul(result, all) : all;
    } else {
      source.reduced = along;
      result = norm(source, axes, true);
    }
    if (result.bound > 4) result = smooth(ScalarOp::tanh, result, 1, 1);
    const ScalarProgram program = source.builder.finish(result.scalar);
    return {c_.lhs(axes, program, source.reduced, source.reductions), result};
  }

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

  struct Product {
    AxisList shared, rows, over;  // batch axes, axes of lhs alone, contracted axes (in the order of rhs)
  };

  // rhs over batch axes, its own axes and `over`; in a random order and format, from a table of experts now and
  // then.
  int rhs_operand(const Product& product, const AxisList& columns) {
    AxisList order = joined(product.shared, columns);
    if (random_.chance(0.3)) random_.shuffle(order);
    std::vector<ViewAxis> view;
    const bool over_last = random_.chance(0.8);
    if (!over_last) {
      for (const AxisId a : product.over) view.push_back(whole(a));
    }
    for (const AxisId a : order) view.push_back(whole(a));
    if (over_last) {
      for (const AxisId a : product.over) view.push_back(whole(a));
    }
    AxisList stored;
    for (const ViewAxis& axis : view) stored.push_back(axis.axis);
    if (random_.chance(0.1) && !stored.empty()) {  // sliced, at the slowest axis
      const AxisId longer = c_.axis("longer", c_.extent(stored[0]) + 3);
      view[0] = sliced(view[0].axis, longer, 2);
      stored[0] = longer;
    }
    if (random_.chance(0.15)) {  // an expert per row
      const AxisId expert = c_.axis("expert", 1 + random_.below(4));
      const auto experts = static_cast<int32_t>(c_.extent(expert));
      AxisList chosen_by = subset(joined(product.shared, product.rows), 0.6);
      const int ids = c_.operand(c_.ids("ids", chosen_by, 0, experts));
      view.insert(view.begin(), gathered(expert, ids));
      stored.insert(stored.begin(), expert);
    }
    Format format = Format::f32;
    switch (random_.below(7)) {
      case 0:
      case 1: format = fits_blocks(stored) && !nonfinite_ ? Format::q8_0 : Format::f16; break;
      case 2: format = fits_blocks(stored) && !nonfinite_ ? Format::q4_0 : Format::bf16; break;
      case 3: format = Format::f16; break;
      case 4: format = Format::bf16; break;
      default: break;
    }
    block_weights_ = block_weights_ || info(format).block_elements > 1;
    return c_.operand(value(stored, format, fill()), view);
  }

  // Contracted axes; of an extent that blocks divide, half of the time.
  AxisList contracted_axes(int64_t limit) {
    AxisList over;
    if (random_.chance(0.2)) over.push_back(axis("k", 5));
    static const std::vector<int64_t> kBlocks = {32, 64, 96, 128, 256, 288};
    over.push_back(random_.chance(0.5) ? c_.axis("k", random_.pick(kBlocks)) : axis("k", limit));
    return over;
  }

  void contract() {
    if (random_.chance(0.12)) {
      contract_over_choices();
      return;
    }
    Product product;
    product.over = contracted_axes(300);
    int64_t budget = std::min(kMaxElements, kMaxProducts / elements(product.over));
    product.shared = make_axes(random_.chance(0.25) ? 1 + random_.below(2) : 0, "b", std::min<int64_t>(budget, 8));
    budget /= elements(product.shared);
    product.rows = make_axes(random_.chance(0.85) ? 1 : 2 * random_.below(2), "m", std::min<int64_t>(budget, 40));
    budget /= elements(product.rows);
    const AxisList columns = make_axes(random_.chance(0.7) ? 1 : 2 * random_.below(2), "n", budget);
    contract_body(product, columns, true);
  }

  AxisList lhs_axes(const Product& product) {
    AxisList axes = joined(joined(product.rows, product.shared), product.over);
    if (random_.chance(0.3)) random_.shuffle(axes);
    return axes;
  }

  void contract_body(const Product& product, const AxisList& columns, bool finishes) {
    AxisList axes = joined(joined(product.rows, product.shared), columns);
    if (finishes && random_.chance(0.25)) random_.shuffle(axes);
    ScalarBuilder s;
    auto [lhs, prologue_result] = prologue(lhs_axes(product), product.over.back());
    c_.contraction(lhs, rhs_operand(product, columns), product.over);
    Number result = contracted(prologue_result, product.over, 0, s);
    if (random_.chance(0.25)) {
      if (random_.chance(0.4)) {
        auto [second, second_result] = prologue(lhs_axes(product), product.over.back());
        lhs = second;
        prologue_result = second_result;
      }
      c_.contraction(lhs, rhs_operand(product, columns), product.over);
      const Number other = contracted(prologue_result, product.over, 1, s);
      result = random_.chance(0.5) ? add(result, other) : mul(result, smooth(ScalarOp::sigmoid, other, 0.25, 1));
    }
    result = epilogue(s, axes, result);
    error_ = std::max(error_, result.error);
    bound_ = result.bound;
    c_.body(axes, s.finish(result.scalar));
    if (finishes) rotate_or_select(axes, 0.2, 0.15);
  }

  // sum over choice and k of gate[m, choice] * x[m, choice, k] * w[ids[m, choice], n, k].
  void contract_over_choices() {
    const AxisId m = axis("m", 9), choice = c_.axis("choice", 1 + random_.below(3)), expert = c_.axis("expert", 4);
    const AxisId k = contracted_axes(80).back(), n = axis("n", 40);
    ScalarBuilder lhs, s;
    const Number x = {lhs.load(c_.operand(value({m, choice, k}, Format::f32, fill()))), 1, 0};
    const Number gate = {lhs.load(c_.operand(value({m, choice}, Format::f32, fill()))), 1, 0};
    const Number product = mul(x, gate);
    const int its_lhs = c_.lhs({m, choice, k}, lhs.finish(product.scalar));
    const int ids = c_.operand(c_.ids("ids", {m, choice}, 0, 4));
    Format format = c_.extent(k) % 32 == 0 && !nonfinite_ && random_.chance(0.6) ? Format::q8_0 : Format::f32;
    if (c_.extent(k) == 0) format = Format::f32;
    block_weights_ = info(format).block_elements > 1;
    const ValueId weight = c_.weight("w", {expert, n, k}, format, fill());
    c_.contraction(its_lhs, c_.operand(weight, {gathered(expert, ids), whole(n), whole(k)}), {choice, k});
    const Number result = epilogue(s, {m, n}, contracted(product, {choice, k}, 0, s));
    error_ = result.error;
    c_.body({m, n}, s.finish(result.scalar));
  }

  // ---- attention

  static CacheSpec cache_spec(Random& random, AxisId key, int64_t& rows) {
    CacheSpec spec;
    spec.key = key;
    static const std::vector<int32_t> kPages = {1, 2, 4, 8, 16};
    static const std::vector<int32_t> kLengths = {1, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65};
    spec.page_size = random.pick(kPages);
    const int64_t sequences = 1 + random.below(3);
    for (int64_t s = 0; s < sequences; ++s) {
      CaseSequence sequence;
      sequence.length = random.pick(kLengths);
      const int32_t most = std::min(sequence.length, 6);
      sequence.rows = random.chance(0.5) ? 1 : static_cast<int32_t>(random.below(most + 1));
      if (s > 0 && random.chance(0.4)) {  // whole pages before the new rows
        const int32_t mine = (sequence.length - sequence.rows) / spec.page_size;
        const int32_t first = (spec.sequences[0].length - spec.sequences[0].rows) / spec.page_size;
        sequence.shared_pages = std::min(mine, first);
      }
      rows += sequence.rows;
      spec.sequences.push_back(sequence);
    }
    spec.shuffled_rows = random.chance(0.3);
    spec.first_position = random.chance(0.3) ? 11 : 0;
    return spec;
  }

  void attention() {
    const bool paged = random_.chance(0.6);
    AxisId pos, key;
    CacheSpec spec;
    int64_t longest = 0;
    if (paged) {
      key = c_.key_axis("key");
      int64_t rows = 0;
      spec = cache_spec(random_, key, rows);
      pos = c_.axis("pos", rows);
      spec.pos = pos;
      for (const CaseSequence& s : spec.sequences) longest = std::max<int64_t>(longest, s.length);
    } else {
      pos = axis("pos", 17);
      key = axis("key", 65);
      longest = c_.extent(key);
    }
    AxisList query = {pos};
    const bool heads = random_.chance(0.8);
    AxisId head = kNoAxis;
    if (heads) {
      head = c_.axis("head", 1 + random_.below(2));
      query.push_back(head);
    }
    static const std::vector<int64_t> kGroups = {1, 2, 7, 8};
    if (random_.chance(0.6)) query.push_back(c_.axis("group", random_.pick(kGroups)));
    static const std::vector<int64_t> kDims = {1, 3, 8, 16, 17, 32, 64};
    const AxisId dim = c_.axis("dim", random_.pick(kDims));
    const AxisId value_dim = random_.chance(0.5) ? dim : c_.axis("value_dim", random_.pick(kDims));
    const AxisList own = heads ? AxisList{head} : AxisList{};
    const bool value_in_key = value_dim != dim && c_.extent(value_dim) <= c_.extent(dim) && random_.chance(0.5);

    // Operands of keys and values.
    AxisList field = joined(own, {dim}), value_axes = joined(own, {value_dim});
    const bool second_contraction = random_.chance(0.2);
    AxisId position_dim = kNoAxis;
    if (second_contraction) position_dim = c_.axis("position_dim", 1 + random_.below(9));
    int keys, values, other_keys = -1, query_position = -1, key_position = -1;
    std::vector<ViewAxis> slice = {whole(key)};
    for (const AxisId a : own) slice.push_back(whole(a));
    if (value_in_key) {
      slice.push_back(sliced(value_dim, dim, random_.below(c_.extent(dim) - c_.extent(value_dim) + 1)));
    }
    if (paged) {
      spec.fields = {field};
      if (!value_in_key) spec.fields.push_back(value_axes);
      if (second_contraction) spec.fields.push_back({position_dim});
      const CaseCache cache = c_.cache(spec);
      keys = c_.operand(cache.fields[0]);
      values = value_in_key ? c_.operand(cache.fields[0], slice) : c_.operand(cache.fields[1]);
      if (second_contraction) other_keys = c_.operand(cache.fields.back());
      query_position = c_.operand(cache.pos_values);
      key_position = c_.operand(cache.positions);
    } else {
      const bool heads_first = heads && !value_in_key && random_.chance(0.3);
      const AxisList k_axes = heads_first ? AxisList{head, key, dim} : joined({key}, field);
      const ValueId k = c_.input("k", k_axes, leaf_input_format(), fill());
      keys = c_.operand(k);
      if (value_in_key) {
        values = c_.operand(k, slice);
      } else {
        const AxisList v_axes = heads_first ? AxisList{head, key, value_dim} : joined({key}, value_axes);
        values = c_.operand(c_.input("v", v_axes, leaf_input_format(), fill()));
      }
      if (second_contraction) other_keys = c_.operand(c_.input("k2", {key, position_dim}, Format::f32, fill()));
    }

    const AxisList score_axes = joined(query, {key});
    ScalarBuilder s;
    const auto queries = [&](AxisId along, int rhs, int index) {
      ScalarBuilder lhs;
      Number x = {lhs.load(c_.operand(value(joined(query, {along}), Format::f32, fill()))), 1, 0};
      if (random_.chance(0.2)) x = scaled(x, 0.5f);
      c_.contraction(c_.lhs(joined(query, {along}), lhs.finish(x.scalar)), rhs, {along});
      return contracted(x, {along}, index, s);
    };
    Number score = queries(dim, keys, 0);
    if (second_contraction) {
      const Number other = queries(position_dim, other_keys, 1);
      score = random_.chance(0.7) ? add(score, other) : mul(score, smooth(ScalarOp::tanh, other, 1, 1));
    }
    score = scaled(score, random_.chance(0.5) ? 0.25f : 1 / std::sqrt(static_cast<float>(c_.extent(dim))));
    if (random_.chance(0.25)) {  // soft-cap
      score = scaled(smooth(ScalarOp::tanh, scaled(score, 1 / 3.0f), 1, 1), 3.0f);
    }
    const Scalar at_key = paged ? s.load(key_position, Element::i32) : s.index(key);
    const Scalar at_query = paged ? s.load(query_position, Element::i32) : s.index(pos);
    if (random_.chance(0.25)) {  // ALiBi: a slope by head
      const AxisList by = heads ? AxisList{head} : AxisList{};
      const Number slope = {s.load(c_.operand(value(by, Format::f32, fill(0.1)))), 0.1, 0};
      const Number distance = {cast(at_key - at_query, Element::f32), static_cast<double>(longest), 0};
      score = add(score, mul(slope, distance));
    }
    if (random_.chance(0.2)) {  // a term that does not vary with the key, or with the coordinate alone
      const AxisList by = random_.chance(0.5) ? query : AxisList{pos};
      score = add(score, {s.load(c_.operand(value(by, Format::f32, fill()))), 1, 0});
      if (random_.chance(0.5)) score = add(score, scaled({cast(s.index(key) % 3, Element::f32), 3, 0}, 0.5f));
    }
    std::optional<Scalar> seen;
    const auto also = [&](const Scalar& condition) { seen = seen ? *seen && condition : condition; };
    if (random_.chance(0.6)) also(at_key <= at_query);
    if (random_.chance(0.25)) also(at_query - at_key < static_cast<int>(1 + random_.below(9)));
    if (random_.chance(0.1)) also(at_key != at_query);  // one row may see nothing
    if (random_.chance(0.1)) also(at_key % static_cast<int>(2 + random_.below(3)) == 0);
    if (seen && random_.chance(0.25)) {  // prefix
      const Scalar prefix = random_.chance(0.5) ? s.constant(static_cast<int32_t>(random_.below(9)))
                                                : s.load(c_.operand(c_.ids("prefix", {pos}, 0, 9)), Element::i32);
      seen = at_key < prefix || *seen;
    }
    Scalar body = score.scalar;
    if (seen) {
      body = random_.chance(0.7) ? where(*seen, body, s.constant(-kInf)) : where(!*seen, s.constant(-kInf), body);
    }
    c_.body(score_axes, s.finish(body));
    c_.weighting(key, values);
    // Weights change by a factor of exp(2 * error) at most, and exp is good to 1e-6; values are at most 1.
    error_ = 4 * score.error + 4e-6 + sum_rounding(longest);
    if (lhs_rounding_ > 0) error_ += lhs_rounding_;
  }

  // ---- append

  void append() {
    const AxisId key = c_.key_axis("key");
    int64_t rows = 0;
    CacheSpec spec = cache_spec(random_, key, rows);
    const AxisId pos = c_.axis("pos", rows);
    spec.pos = pos;
    if (random_.chance(0.3)) spec.skip_every = 2 + static_cast<int32_t>(random_.below(3));
    const int64_t fields = 1 + random_.below(3);
    for (int64_t f = 0; f < fields; ++f) spec.fields.push_back(make_axes(random_.below(3), "d", 64));
    const CaseCache cache = c_.cache(spec);
    c_.append_to(cache);
    for (int64_t f = 0; f < fields; ++f) {
      if (f > 0) c_.next_region();
      const double before = error_;
      error_ = 0;
      const AxisList& columns = spec.fields[static_cast<size_t>(f)];
      const AxisList axes = joined({pos}, columns);
      const double which = random_.uniform();
      if (which < 0.4) {
        map_body(axes, false);
      } else if (which < 0.6 && !columns.empty()) {
        norm_body(axes, columns.back(), true);
      } else {
        Product product;
        product.rows = {pos};
        product.over = contracted_axes(64);
        contract_body(product, columns, false);
      }
      if (!columns.empty() && random_.chance(0.4)) rotate(axes, columns.back());
      error_ = std::max(error_, before);
    }
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

}  // namespace

RandomStep random_step(uint64_t seed, StepKind kind, double lhs_rounding) {
  return Generator(seed, kind, lhs_rounding).run();
}

RandomStep random_step(uint64_t seed, double lhs_rounding) {
  constexpr StepKind kKinds[] = {StepKind::map,      StepKind::reduce,    StepKind::contract, StepKind::map,
                                 StepKind::contract, StepKind::attention, StepKind::reduce,   StepKind::attention,
                                 StepKind::contract, StepKind::append};
  return random_step(seed, kKinds[seed % 10], lhs_rounding);
}

}  // namespace weft
