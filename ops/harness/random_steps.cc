#include "ops/harness/random_steps.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "ops/harness/step_parts.h"

namespace weft {
namespace random_steps {
namespace {

class Generator : public AttentionParts {
 public:
  using AttentionParts::AttentionParts;

  RandomStep run() {
    RandomStep result;
    nonfinite_ =
        (kind_ == StepKind::map || kind_ == StepKind::reduce || (kind_ == StepKind::contract && lhs_rounding_ == 0)) &&
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
      case 1:
      case 2: format = block_format(stored, Format::f16); break;
      case 3: format = Format::f16; break;
      case 4: format = Format::bf16; break;
      default: break;
    }
    block_weights_ = block_weights_ || info(format).block_elements > 1;
    return c_.operand(value(stored, format, fill()), view);
  }

  // Contracted axes; of an extent that blocks divide, more often than not.
  AxisList contracted_axes(int64_t limit) {
    AxisList over;
    if (random_.chance(0.2)) over.push_back(axis("k", 5));
    static const std::vector<int64_t> kBlocks = {32, 64, 96, 128, 256, 256, 256, 288, 512, 512};
    over.push_back(random_.chance(0.6) ? c_.axis("k", random_.pick(kBlocks)) : axis("k", limit));
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
    SourceText source;
    ScalarBuilder& s = source.builder;
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
    if (!axes.empty() && random_.chance(0.2)) {  // a norm of it
      source.reduced = random_.chance(0.7) ? axes.back() : random_.pick(axes);
      const Number small = scaled(result, 1 / static_cast<float>(result.bound + 1));
      switch (random_.below(3)) {
        case 0: result = rms_norm(source, small); break;
        case 1: result = layer_norm(source, small); break;
        default: result = add(small, reduction(source, random_.chance(0.5) ? ReduceOp::mean : ReduceOp::max, small));
      }
    }
    result = epilogue(s, axes, result);
    finish(source, axes, result);
    bound_ = result.bound;
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
    const Format format = random_.chance(0.6) ? block_format({k}, Format::f32) : Format::f32;
    block_weights_ = info(format).block_elements > 1;
    const ValueId weight = c_.weight("w", {expert, n, k}, format, fill());
    c_.contraction(its_lhs, c_.operand(weight, {gathered(expert, ids), whole(n), whole(k)}), {choice, k});
    const Number result = epilogue(s, {m, n}, contracted(product, {choice, k}, 0, s));
    error_ = result.error;
    c_.body({m, n}, s.finish(result.scalar));
  }

  // ---- append

  void append() {
    const AxisId key = c_.key_axis("key");
    int64_t rows = 0;
    CacheSpec spec = cache_spec(key, rows);
    const AxisId pos = c_.axis("pos", rows);
    spec.pos = pos;
    if (random_.chance(0.3)) spec.skip_every = 2 + static_cast<int32_t>(random_.below(3));
    const int64_t fields = 1 + random_.below(3);
    for (int64_t f = 0; f < fields; ++f) spec.fields.push_back(make_axes(random_.below(3), "d", 64));
    for (const AxisList& axes : spec.fields) spec.formats.push_back(stored_format(axes, true));
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
};

}  // namespace
}  // namespace random_steps

RandomStep random_step(uint64_t seed, StepKind kind, double lhs_rounding) {
  return random_steps::Generator(seed, kind, lhs_rounding).run();
}

RandomStep random_step(uint64_t seed, double lhs_rounding) {
  constexpr StepKind kKinds[] = {StepKind::map,      StepKind::reduce,    StepKind::contract, StepKind::map,
                                 StepKind::contract, StepKind::attention, StepKind::reduce,   StepKind::attention,
                                 StepKind::contract, StepKind::append};
  return random_step(seed, kKinds[seed % 10], lhs_rounding);
}

}  // namespace weft
