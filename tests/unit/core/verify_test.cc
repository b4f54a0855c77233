// For each rule of core/record/verify.h a record that breaks it, and what the error says.
#include "core/record/verify.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "ops/harness/case.h"
#include "tests/errors.h"

namespace weft {
namespace {

using test::error_of;

std::string refused(StepCase step_case, const std::function<void(GraphRecord&, Step&)>& change) {
  Step step = step_case.graph.steps[0];
  change(step_case.graph, step);
  step_case.graph.steps[0] = std::move(step);
  return error_of([&] { verify(step_case.graph); });
}

// The same, for a change of the step's only region.
std::string refused_region(const StepCase& step_case, const std::function<void(Region&)>& change) {
  return refused(step_case, [&](GraphRecord&, Step& step) { change(step.regions[0]); });
}

// out[a, b] = x[a, b] + y[b] + float(index(a)); operand 2: i32 ids over a.
struct MapCase {
  CaseBuilder c{StepKind::map, "mapped"};
  AxisId a = c.axis("a", 2), b = c.axis("b", 3), other = c.axis("other", 3);
  ValueId x = c.input("x", {a, b}), y = c.input("y", {b}), ids = c.ids("ids", {a}, 0, 3);
  StepCase built;

  MapCase() {
    ScalarBuilder s;
    const int x_operand = c.operand(x), y_operand = c.operand(y);
    const Scalar first = s.load(x_operand), second = s.load(y_operand);
    c.operand(ids);
    c.body({a, b}, s.finish(first + second + cast(s.index(a), Element::f32)));
    built = c.build();
  }
};

TEST(Verify, AcceptsWhatItShould) {
  const MapCase m;
  EXPECT_EQ(error_of([&] { verify(m.built.graph); }), "(no error)");
}

TEST(Verify, Values) {
  const MapCase m;
  const auto change = [&](const std::function<void(GraphRecord&)>& f) {
    return refused(m.built, [&](GraphRecord& graph, Step&) { f(graph); });
  };
  EXPECT_EQ(change([&](GraphRecord& g) { g.values[m.x].axes = {m.a, m.a}; }), "value 'x': axis 'a' occurs twice");
  EXPECT_EQ(change([&](GraphRecord& g) { g.values[m.x].axes = {99}; }), "value 'x': unknown axis #99");
  EXPECT_EQ(change([&](GraphRecord& g) { g.values[m.x].axes.assign(9, m.a); }), "value 'x': more than 8 axes");
  EXPECT_EQ(change([&](GraphRecord& g) { g.values[m.x].kind = ValueKind::weight; }),
            "value 'x': a weight without storage");
  EXPECT_EQ(change([&](GraphRecord& g) {
              auto storage = std::make_shared<Storage>();
              storage->format = Format::f16;
              g.values[m.x].kind = ValueKind::weight;
              g.values[m.x].storage = storage;
            }),
            "value 'x': is F32, its storage F16");
  EXPECT_EQ(change([&](GraphRecord& g) { g.values.back().format = Format::f16; }),
            "value 'out': F16 is a format of weights and inputs only");
  EXPECT_EQ(change([&](GraphRecord& g) { g.results = {77}; }), "unknown result value #77");
  EXPECT_EQ(change([&](GraphRecord& g) { g.rules.push_back({.whole = 77, .what = "split<a, b>"}); }),
            "extent rule 'split<a, b>': unknown axis");
}

TEST(Verify, OrderOfSteps) {
  const MapCase m;
  const ValueId out = m.built.step().outputs[0];
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.operands[0].value = out; }),
            "step 'mapped': reads 'out' before it is written");
  EXPECT_EQ(refused(m.built, [](GraphRecord& g, Step& step) { g.steps.push_back(step); }),
            "step 'mapped': writes 'out' a second time");
  EXPECT_EQ(refused(m.built,
                    [&](GraphRecord& g, Step&) {
                      g.values.push_back(g.values[out]);
                      g.values.back().name = "lost";
                      g.results = {static_cast<ValueId>(g.values.size() - 1)};
                    }),
            "result 'lost' is never written");
}

TEST(Verify, Outputs) {
  const MapCase m;
  EXPECT_EQ(refused(m.built, [](GraphRecord&, Step& s) { s.outputs.clear(); }), "step 'mapped': 0 outputs, expected 1");
  EXPECT_EQ(refused(m.built, [](GraphRecord&, Step& s) { s.regions.clear(); }), "step 'mapped': 0 regions, expected 1");
  EXPECT_EQ(refused(m.built, [](GraphRecord&, Step& s) { s.outputs = {70}; }),
            "step 'mapped': unknown output value #70");
  EXPECT_EQ(refused(m.built, [&](GraphRecord&, Step& s) { s.outputs = {m.x}; }),
            "step 'mapped': output 'x' is not an intermediate value");
  EXPECT_EQ(refused(m.built, [&](GraphRecord& g, Step& s) { g.values[s.outputs[0]].axes = {m.b, m.a}; }),
            "step 'mapped': output 'out' has axes <b, a>, the result <a, b>");
  EXPECT_EQ(refused(m.built, [&](GraphRecord& g, Step& s) { g.values[s.outputs[0]].format = Format::i32; }),
            "step 'mapped': output 'out' is stored as I32, the result is f32");
}

TEST(Verify, Views) {
  const MapCase m;
  const auto view = [&](std::vector<ViewAxis> axes) {
    return refused_region(m.built, [&](Region& r) { r.operands[1].view = axes; });
  };
  EXPECT_EQ(refused_region(m.built, [](Region& r) { r.operands[1].value = 50; }),
            "step 'mapped': operand 1: unknown value #50");
  EXPECT_EQ(view({{90, m.b, 0, -1}}), "step 'mapped': operand 1 ('y'): unknown axis '#90'");
  EXPECT_EQ(view({{m.b, 90, 0, -1}}), "step 'mapped': operand 1 ('y'): unknown stored axis '#90'");
  EXPECT_EQ(view({whole(m.b), whole(m.b)}), "step 'mapped': operand 1 ('y'): axis 'b' occurs twice in its view");
  EXPECT_EQ(view({{m.b, m.b, 1, -1}}), "step 'mapped': operand 1 ('y'): axis 'b' is stored whole, but begins at 1");
  EXPECT_EQ(view({sliced(m.b, m.other, -1)}),
            "step 'mapped': operand 1 ('y'): slice of axis 'other' begins before the storage");
  EXPECT_EQ(refused(m.built,
                    [&](GraphRecord& g, Step& s) {
                      g.axes[m.b].fixed_extent = 3;
                      g.axes[m.other].fixed_extent = 4;
                      s.regions[0].operands[1].view = {sliced(m.b, m.other, 2)};
                    }),
            "step 'mapped': operand 1 ('y'): slice axis 'b' ends at 5, beyond the 4 of axis 'other'");
  EXPECT_EQ(view({whole(m.other)}),
            "step 'mapped': body: instruction 1 (load): operand 1 ('y') varies over axis 'other', which the program "
            "does not run over");
  EXPECT_EQ(view({gathered(m.b, 2)}),
            "step 'mapped': operand 1 ('y'): ids of gathered axis 'b' are operand 2, which is not an earlier one");
  EXPECT_EQ(view({gathered(m.b, 0)}),
            "step 'mapped': operand 1 ('y'): ids of gathered axis 'b' are operand 0 ('x'), which is f32, not i32");
  EXPECT_EQ(view({{m.b, m.b, 0, 0}}), "step 'mapped': operand 1 ('y'): axis 'b' is both a loop axis and gathered");
  EXPECT_EQ(refused_region(m.built,
                           [&](Region& r) {
                             std::swap(r.operands[0], r.operands[2]);
                             r.operands[1].view = {{kNoAxis, m.b, 1, 0}};
                           }),
            "step 'mapped': operand 1 ('y'): gathered axis 'b' is also sliced");
  EXPECT_EQ(refused_region(m.built,
                           [&](Region& r) {
                             std::swap(r.operands[0], r.operands[2]);
                             r.operands[1].view = {gathered(m.b, 0), gathered(m.b, 0), gathered(m.b, 0)};
                           }),
            "step 'mapped': operand 1 ('y'): more than 2 gathered axes");
}

TEST(Verify, Programs) {
  const MapCase m;
  const auto program = [&](std::vector<ScalarInstr> code) {
    const std::string text = refused_region(m.built, [&](Region& r) { r.body.program.code = std::move(code); });
    const std::string start = "step 'mapped': body: ";
    return text.starts_with(start) ? text.substr(start.size()) : text;
  };
  const ScalarInstr number{.op = ScalarOp::constant, .type = Element::f32};
  const ScalarInstr integer{.op = ScalarOp::constant, .type = Element::i32};
  const ScalarInstr truth{.op = ScalarOp::constant, .type = Element::bool8};
  const auto op = [](ScalarOp o, Element type, uint16_t a = 0, uint16_t b = 1, uint16_t c = 2) {
    return ScalarInstr{.op = o, .type = type, .a = a, .b = b, .c = c};
  };
  const auto read = [](ScalarOp o, Element type, int32_t imm) {
    return ScalarInstr{.op = o, .type = type, .imm = imm};
  };
  EXPECT_EQ(program({}), "is empty");
  EXPECT_EQ(program({number, op(ScalarOp::exp, Element::f32, 1)}),
            "instruction 1 (exp): argument %1 is not an earlier instruction");
  EXPECT_EQ(program({number, integer, op(ScalarOp::add, Element::f32)}),
            "instruction 2 (add): wants two f32 or two i32, given f32, i32");
  EXPECT_EQ(program({truth, op(ScalarOp::neg, Element::bool8)}), "instruction 1 (neg): wants f32 or i32, given bool");
  EXPECT_EQ(program({integer, op(ScalarOp::exp, Element::f32)}), "instruction 1 (exp): wants f32, given i32");
  EXPECT_EQ(program({integer, op(ScalarOp::logical_not, Element::bool8)}),
            "instruction 1 (not): wants bool, given i32");
  EXPECT_EQ(program({integer, integer, op(ScalarOp::pow, Element::f32)}),
            "instruction 2 (pow): wants two f32, given i32, i32");
  EXPECT_EQ(program({integer, truth, op(ScalarOp::eq, Element::bool8)}),
            "instruction 2 (eq): wants two arguments of one type, given i32, bool");
  EXPECT_EQ(program({truth, truth, op(ScalarOp::lt, Element::bool8)}),
            "instruction 2 (lt): wants two f32 or two i32, given bool, bool");
  EXPECT_EQ(program({truth, number, op(ScalarOp::logical_or, Element::bool8)}),
            "instruction 2 (or): wants two bools, given bool, f32");
  EXPECT_EQ(program({truth, number, integer, op(ScalarOp::select, Element::f32)}),
            "instruction 3 (select): wants a bool and two arguments of one type, given bool, f32, i32");
  EXPECT_EQ(program({number, number, op(ScalarOp::lt, Element::f32)}),
            "instruction 2 (lt): gives bool, recorded as f32");
  EXPECT_EQ(program({read(ScalarOp::load, Element::f32, 9)}), "instruction 0 (load): reads operand 9 of 3");
  EXPECT_EQ(program({read(ScalarOp::load, Element::i32, 0)}), "instruction 0 (load): gives f32, recorded as i32");
  EXPECT_EQ(program({read(ScalarOp::index, Element::i32, 80)}), "instruction 0 (index): reads axis 80 of 3");
  EXPECT_EQ(program({read(ScalarOp::index, Element::i32, m.other)}),
            "instruction 0 (index): reads the coordinate on axis 'other', which the program does not run over");
  EXPECT_EQ(program({read(ScalarOp::reduction, Element::f32, 0)}), "instruction 0 (reduction): reads reduction 0 of 0");
  EXPECT_EQ(program({read(ScalarOp::contraction, Element::f32, 0)}),
            "instruction 0 (contraction): reads contraction 0 of 0");
  EXPECT_EQ(program({read(ScalarOp::rotated, Element::f32, 0)}),
            "instruction 0 (rotated): only the program after a rotation reads the rotated value");
}

TEST(Verify, Lookups) {
  const MapCase m;
  const auto view_and_program = [&](std::vector<ViewAxis> view, std::vector<ScalarInstr> code) {
    return refused_region(m.built, [&](Region& r) {
      r.operands[1].view = std::move(view);
      if (!code.empty()) r.body.program.code = std::move(code);
    });
  };
  const ScalarInstr number{.op = ScalarOp::constant, .type = Element::f32};
  const ScalarInstr integer{.op = ScalarOp::constant, .type = Element::i32, .imm = 1};
  const auto lookup = [](int32_t operand, Element type = Element::f32) {
    return ScalarInstr{.op = ScalarOp::lookup, .type = type, .a = 0, .imm = operand};
  };
  EXPECT_EQ(view_and_program({looked_up(m.b)}, {integer, lookup(1)}), "(no error)");
  EXPECT_EQ(view_and_program({looked_up(m.b)}, {number, lookup(1)}),
            "step 'mapped': body: instruction 1 (lookup): wants i32, given f32");
  EXPECT_EQ(view_and_program({looked_up(m.b)}, {integer, lookup(1, Element::i32)}),
            "step 'mapped': body: instruction 1 (lookup): gives f32, recorded as i32");
  EXPECT_EQ(view_and_program({looked_up(m.b)}, {integer, lookup(7)}),
            "step 'mapped': body: instruction 1 (lookup): reads operand 7 of 3");
  EXPECT_EQ(view_and_program({whole(m.b)}, {integer, lookup(1)}),
            "step 'mapped': body: instruction 1 (lookup): operand 1 ('y') has no axis that is looked up");
  EXPECT_EQ(view_and_program({looked_up(m.b)}, {}),
            "step 'mapped': body: instruction 1 (load): operand 1 ('y') has an axis that is looked up");
  EXPECT_EQ(view_and_program({{kNoAxis, m.b, 2, -1}}, {integer, lookup(1)}),
            "step 'mapped': operand 1 ('y'): axis 'b', which is looked up, is also sliced");
  EXPECT_EQ(view_and_program({looked_up(m.b), looked_up(m.a)}, {integer, lookup(1)}),
            "step 'mapped': operand 1 ('y'): of the axes of its view, one may be looked up, and no other gathered");
  EXPECT_EQ(view_and_program({whole(m.b)}, {ScalarInstr{.op = ScalarOp::extent, .type = Element::i32, .imm = 40}}),
            "step 'mapped': body: instruction 0 (extent): reads axis 40 of 3");
}

TEST(Verify, AxesOfTheBodyAndKind) {
  const MapCase m;
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.axes = {m.b, m.a}; }),
            "step 'mapped': body has axes <a, b>, the result <b, a>");
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.axes.assign(9, m.a); }),
            "step 'mapped': result: 9 axes, at most 8");
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.body.axes = {m.a, m.a}; }),
            "step 'mapped': body: axis 'a' occurs twice");
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.rotation = Rotation{.axis = m.b, .frequencies = nullptr}; }),
            "step 'mapped': steps of kind map have no rotation");
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.selection = Selection{m.b, kNoAxis, false}; }),
            "step 'mapped': steps of kind map have no selection");
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.attention = KeyAttention{m.b, 0}; }),
            "step 'mapped': steps of kind map have no softmax of scores");
  EXPECT_EQ(refused_region(m.built, [&](Region& r) { r.post = r.body.program; }),
            "step 'mapped': post: a program after a rotation, without a rotation");
  EXPECT_EQ(refused(m.built, [](GraphRecord&, Step& s) { s.kind = StepKind::contract; }),
            "step 'mapped': steps of kind contract have a contraction");
  EXPECT_EQ(refused(m.built, [](GraphRecord&, Step& s) { s.regions.clear(); }), "step 'mapped': 0 regions, expected 1");
}

// softmax along b, rotated along b, then top-k.
struct ReduceCase {
  CaseBuilder c{StepKind::reduce, "reduced"};
  AxisId a = c.axis("a", 2), b = c.axis("b", 4), choice = c.axis("choice", 2), other = c.axis("other", 2);
  ValueId x = c.input("x", {a, b}), at = c.ids("at", {a}, 0, 9);
  StepCase built;

  ReduceCase() {
    ScalarBuilder s;
    const Scalar value = s.load(c.operand(x));
    const Scalar powered = exp(value - s.reduction(0));
    c.body({a, b}, s.finish(powered / s.reduction(1)), b,
           {{ReduceOp::max, s.finish(value)}, {ReduceOp::sum, s.finish(powered)}});
    Rotation rotation;
    rotation.axis = b;
    rotation.position = c.operand(at);
    c.rotation(rotation);
    ScalarBuilder after;
    c.post(after.finish(after.rotated() * 2.0f));
    c.selection(b, choice);
    built = c.build();
  }
};

TEST(Verify, Reductions) {
  const ReduceCase r;
  const auto change = [&](const std::function<void(Region&)>& f) { return refused_region(r.built, f); };
  EXPECT_EQ(change([](Region&) {}), "(no error)");
  EXPECT_EQ(change([](Region& g) { g.body.reduced = kNoAxis; }),
            "step 'reduced': body: reductions without a reduced axis");
  EXPECT_EQ(change([](Region& g) { g.body.reductions.clear(); }),
            "step 'reduced': body: a reduced axis without reductions");
  EXPECT_EQ(change([](Region& g) { g.body.reduced = 60; }), "step 'reduced': body: unknown reduced axis '#60'");
  EXPECT_EQ(change([](Region& g) { std::swap(g.body.reductions[0], g.body.reductions[1]); }),
            "step 'reduced': body, reduction 0: instruction 1 (reduction): reads reduction 0 of 0");
  EXPECT_EQ(change([](Region& g) { g.body.reductions[0].op = ReduceOp::argmax; }),
            "step 'reduced': body, reduction 1: instruction 1 (reduction): gives i32, recorded as f32");
  EXPECT_EQ(change([](Region& g) {
              g.body.reductions[1].program.code = {{.op = ScalarOp::constant, .type = Element::bool8}};
            }),
            "step 'reduced': body, reduction 1: reduces f32 or i32, not bool");
  EXPECT_EQ(change([](Region& g) {
              g.body.reductions[1].program.code = {{.op = ScalarOp::constant, .type = Element::i32}};
              g.body.reductions[1].op = ReduceOp::mean;
            }),
            "step 'reduced': body, reduction 1: a mean is of f32");
  EXPECT_EQ(refused(r.built, [](GraphRecord&, Step& s) { s.kind = StepKind::map; }),
            "step 'reduced': body: steps of kind map have no reductions; put them into a separate step");
}

TEST(Verify, RotationAndSelection) {
  const ReduceCase r;
  const auto change = [&](const std::function<void(Region&)>& f) { return refused_region(r.built, f); };
  EXPECT_EQ(change([&](Region& g) { g.rotation->axis = r.other; }),
            "step 'reduced': rotation: the result lacks axis 'other'");
  EXPECT_EQ(change([](Region& g) { g.rotation->position = 8; }), "step 'reduced': rotation: unknown operand 8");
  EXPECT_EQ(change([](Region& g) { g.rotation->position = 0; }),
            "step 'reduced': rotation: operand 0 ('x') is not i32");
  EXPECT_EQ(change([&](Region& g) { g.operands[1].view = {whole(r.b)}; }),
            "step 'reduced': rotation: operand 1 ('at') varies along the rotated axis 'b'");
  EXPECT_EQ(change([&](Region& g) { g.operands[1].view = {whole(r.other)}; }),
            "step 'reduced': rotation: operand 1 ('at') varies over axis 'other', which the result lacks");
  EXPECT_EQ(refused(r.built,
                    [&](GraphRecord& graph, Step& s) {
                      graph.axes[r.b].fixed_extent = 4;
                      s.regions[0].rotation->frequencies = std::make_shared<const std::vector<float>>(3, 1.0f);
                    }),
            "step 'reduced': rotation: 3 pairs in the 4 elements of axis 'b'");
  EXPECT_EQ(change([&](Region& g) { g.selection->axis = r.other; }),
            "step 'reduced': selection: the result lacks axis 'other'");
  EXPECT_EQ(change([&](Region& g) { g.selection->choice = r.a; }),
            "step 'reduced': selection: the result has axis 'a' already");
  EXPECT_EQ(change([&](Region& g) { g.selection->choice = 44; }), "step 'reduced': selection: unknown axis '#44'");
  EXPECT_EQ(change([](Region& g) { g.selection->choice = kNoAxis; }),
            "step 'reduced': selection: without an axis for the choices, ids are the only output");
  EXPECT_EQ(change([](Region& g) { g.post.code = {{.op = ScalarOp::constant, .type = Element::i32}}; }),
            "step 'reduced': selection: chooses among f32, not i32");
  EXPECT_EQ(change([](Region& g) { g.selection.reset(); }), "step 'reduced': 2 outputs, expected 1");
}

// out[m, n] = sum over j, k of x[m, j, k] * w[n, j, k].
struct ContractCase {
  CaseBuilder c{StepKind::contract, "contracted"};
  AxisId m = c.axis("m", 2), n = c.axis("n", 3), j = c.axis("j", 2), k = c.axis("k", 4);
  ValueId x = c.input("x", {m, j, k}), w = c.weight("w", {n, j, k}), ids = c.ids("ids", {n, j, k}, 0, 2);
  StepCase built;

  ContractCase() {
    const int lhs = c.lhs(c.operand(x));
    c.contraction(lhs, c.operand(w), {j, k});
    c.operand(ids);
    ScalarBuilder s;
    c.body({m, n}, s.finish(s.contraction()));
    built = c.build();
  }
};

TEST(Verify, Contractions) {
  const ContractCase t;
  const auto change = [&](const std::function<void(Region&)>& f) { return refused_region(t.built, f); };
  const std::string start = "step 'contracted': contraction 0: ";
  EXPECT_EQ(change([](Region&) {}), "(no error)");
  EXPECT_EQ(change([](Region& r) { r.contractions[0].lhs = 3; }), start + "unknown lhs 3");
  EXPECT_EQ(change([](Region& r) { r.contractions[0].rhs = 7; }), start + "unknown operand 7");
  EXPECT_EQ(change([](Region& r) { r.contractions[0].rhs = 2; }), start + "operand 2 ('ids') holds no floats");
  EXPECT_EQ(change([](Region& r) { r.contractions[0].over.clear(); }), start + "over no axis");
  EXPECT_EQ(change([&](Region& r) { r.contractions[0].over = {t.k, t.j}; }),
            start + "contracts <k, j>, but operand 1 ('w') stores <n, j, k>");
  EXPECT_EQ(change([&](Region& r) { r.contractions[0].over = {t.n}; }), start + "lhs lacks contracted axis 'n'");
  EXPECT_EQ(change([&](Region& r) { r.contractions[0].over = {t.m}; }),
            start + "operand 1 ('w') lacks contracted axis 'm'");
  EXPECT_EQ(change([&](Region& r) { r.contractions[0].over = {t.k}; }),
            start + "lhs has axis 'j', which the body lacks");
  EXPECT_EQ(change([&](Region& r) { r.axes = r.body.axes = {t.m}; }),
            start + "operand 1 ('w') has axis 'n', which the body lacks");
  EXPECT_EQ(change([](Region& r) { r.lhs[0].program.code = {{.op = ScalarOp::constant, .type = Element::i32}}; }),
            start + "lhs is i32, not f32");
  EXPECT_EQ(change([&](Region& r) {
              r.body.reduced = t.n;
              r.body.reductions = {{ReduceOp::sum, r.body.program}};
            }),
            "(no error)");
  EXPECT_EQ(change([&](Region& r) {
              r.body.reduced = t.j;
              r.body.reductions = {{ReduceOp::sum, r.body.program}};
            }),
            "step 'contracted': body: the result lacks axis 'j', along which contractions are reduced; put the "
            "reduction into a separate step");
  EXPECT_EQ(change([](Region& r) { r.lhs[0].program = r.body.program; }),
            "step 'contracted': lhs 0: instruction 0 (contraction): reads contraction 0 of 0");
  EXPECT_EQ(refused(t.built, [](GraphRecord&, Step& s) { s.kind = StepKind::reduce; }),
            "step 'contracted': steps of kind reduce have no contractions");
}

struct AttentionCase {
  CaseBuilder c{StepKind::attention, "attended"};
  AxisId pos = c.axis("pos", 2), key = c.key_axis(), head = c.axis("head", 2), dim = c.axis("dim", 4);
  AxisId wide = c.axis("wide", 3);
  CaseCache cache =
      c.cache({.name = "kv", .key = key, .pos = pos, .sequences = {{5, 2}}, .fields = {{head, dim}, {head, wide}}});
  CaseCache second =
      c.cache({.name = "other", .key = key, .pos = pos, .sequences = {{5, 2}}, .fields = {{head, wide}}});
  ValueId q = c.input("q", {pos, head, dim}), plain = c.input("plain", {head, wide}), bias = c.input("bias", {pos});
  StepCase built;

  explicit AttentionCase(bool statistics = false) {
    const int lhs = c.lhs(c.operand(q));
    c.contraction(lhs, c.operand(cache.fields[0]), {dim});
    ScalarBuilder s;
    c.body({pos, head, key}, s.finish(s.contraction()));
    c.attention(key, c.operand(cache.fields[1]), statistics);
    c.operand(plain);
    c.operand(bias);
    built = c.build();
  }
};

TEST(Verify, Attention) {
  const AttentionCase t;
  const auto change = [&](const std::function<void(Region&)>& f) { return refused_region(t.built, f); };
  const std::string start = "step 'attended': ";
  EXPECT_EQ(change([](Region&) {}), "(no error)");
  EXPECT_EQ(change([](Region& r) { r.attention.reset(); }),
            start + "body: axis 'key' is the key of a cache; only the score of an attention has it");
  EXPECT_EQ(change([&](Region& r) { r.body.axes = {t.key, t.pos, t.head}; }),
            start + "the score's axes <key, pos, head> do not end with the key, axis 'key'");
  EXPECT_EQ(change([](Region& r) { r.body.program.code = {{.op = ScalarOp::constant, .type = Element::i32}}; }),
            start + "the score is i32, not f32");
  EXPECT_EQ(change([](Region& r) { r.attention->value = 30; }), start + "unknown operand 30 as value");
  EXPECT_EQ(change([](Region& r) { r.attention->value = 3; }), start + "operand 3 ('plain') lacks the key, axis 'key'");
  EXPECT_EQ(change([&](Region& r) { r.axes = {t.head, t.pos, t.wide}; }),
            start + "the result has axes <head, pos, wide>; query axes and the value's own are <pos, head, wide>");
  EXPECT_EQ(change([&](Region& r) { r.operands[3].view = {whole(t.key), whole(t.wide)}; }),
            start + "operand 3 ('plain'): axis 'key' is the key of cache 'kv'; only cached values have it");
  EXPECT_EQ(change([&](Region& r) { r.operands[2].value = t.second.fields[0]; }),
            start + "operand 2 ('other.field0') lies in a different cache from an earlier operand");
  EXPECT_EQ(change([&](Region& r) { std::swap(r.operands[1].view[0], r.operands[1].view[1]); }),
            start + "operand 1 ('kv.field0'): the view of a cached value leads with its key, axis 'key', whole");
  EXPECT_EQ(change([](Region& r) { r.lhs[0].program.code[0].imm = 1; }),
            start +
                "lhs 0: instruction 0 (load): operand 1 ('kv.field0') varies over axis 'key', which the program "
                "does not run over");
  EXPECT_EQ(change([&](Region& r) { r.lhs[0].axes = {t.pos, t.head, t.dim, t.key}; }),
            start + "lhs 0: axis 'key' is the key of a cache; only the score of an attention has it");
  EXPECT_EQ(change([&](Region& r) {
              r.operands[0] = {t.plain, {whole(t.head), whole(t.dim)}};
              r.lhs[0].axes = {t.head, t.dim};
            }),
            start + "contraction 0: lhs lacks axis 'pos', by which the cache of operand 1 ('kv.field0') is addressed");
  EXPECT_EQ(refused(t.built, [](GraphRecord&, Step& s) { s.kind = StepKind::contract; }),
            start + "operand 1 ('kv.field0') lies in a cache; only attention reads it");
}

TEST(Verify, SinkOfAttention) {
  const AttentionCase t;
  const std::string start = "step 'attended': ";
  const auto with = [&](int operand, Element element = Element::f32) {
    return refused_region(t.built, [&](Region& r) {
      ScalarBuilder s;
      r.attention->sink = s.finish(s.load(operand, element));
    });
  };
  EXPECT_EQ(with(4), "(no error)");
  EXPECT_EQ(with(3), start +
                         "sink: instruction 0 (load): operand 3 ('plain') varies over axis 'wide', which the program "
                         "does not run over");
  EXPECT_EQ(with(1), start +
                         "sink: instruction 0 (load): operand 1 ('kv.field0') varies over axis 'key', which the "
                         "program does not run over");
  EXPECT_EQ(with(9), start + "sink: instruction 0 (load): reads operand 9 of 5");
  EXPECT_EQ(refused_region(t.built,
                           [&](Region& r) {
                             ScalarBuilder s;
                             r.attention->sink = s.finish(s.contraction());
                           }),
            start + "sink: instruction 0 (contraction): reads contraction 0 of 0");
  EXPECT_EQ(refused_region(t.built,
                           [&](Region& r) {
                             ScalarBuilder s;
                             r.attention->sink = s.finish(s.index(t.head));
                           }),
            start + "the sink is i32, not f32");
}

TEST(Verify, StatisticsOfAttention) {
  const AttentionCase t(true);
  const std::string start = "step 'attended': ";
  EXPECT_EQ(refused_region(t.built, [](Region&) {}), "(no error)");
  EXPECT_EQ(refused_region(t.built, [](Region& r) { r.attention->statistics = false; }),
            start + "4 outputs, expected 1");
  EXPECT_EQ(refused(t.built, [](GraphRecord&, Step& s) { s.outputs.pop_back(); }), start + "3 outputs, expected 4");
  const auto change = [&](const std::function<void(ValueRecord&)>& f) {
    return refused(t.built, [&](GraphRecord& graph, Step& step) { f(graph.values[step.outputs[3]]); });
  };
  EXPECT_EQ(change([&](ValueRecord& v) { v.axes = {t.head, t.pos}; }),
            start + "output 'entropy' has axes <head, pos>, the result <pos, head>");
  EXPECT_EQ(change([](ValueRecord& v) { v.format = Format::i32; }),
            start + "output 'entropy' is stored as I32, the result is f32");
  EXPECT_EQ(refused_region(t.built, [&](Region& r) { r.rotation.emplace().axis = t.wide; }),
            start + "steps of kind attention have no rotation");
  EXPECT_EQ(refused_region(t.built, [&](Region& r) { r.selection = Selection{t.wide, kNoAxis, false}; }),
            start + "steps of kind attention have no selection");
}

struct AppendCase {
  CaseBuilder c{StepKind::append, "appended"};
  AxisId pos = c.axis("pos", 2), key = c.key_axis(), dim = c.axis("dim", 4), wide = c.axis("wide", 3);
  AxisId group = c.axis("group", 2);
  CaseCache cache = c.cache({.name = "kv", .key = key, .pos = pos, .sequences = {{5, 2}}, .fields = {{dim}, {wide}}});
  ValueId k = c.input("k", {pos, dim}), v = c.input("v", {pos, wide});
  StepCase built;

  AppendCase() {
    c.append_to(cache);
    ScalarBuilder s, t;
    c.body({pos, dim}, s.finish(s.load(c.operand(k))));
    c.next_region();
    c.body({pos, wide}, t.finish(t.load(c.operand(v))));
    built = c.build();
  }
};

TEST(Verify, Append) {
  const AppendCase t;
  const auto change = [&](const std::function<void(GraphRecord&, Step&)>& f) { return refused(t.built, f); };
  const std::string start = "step 'appended', region 1: ";
  EXPECT_EQ(change([](GraphRecord&, Step&) {}), "(no error)");
  EXPECT_EQ(change([](GraphRecord&, Step& s) { s.cache = 4; }), "step 'appended': unknown cache 4");
  EXPECT_EQ(change([](GraphRecord&, Step& s) { s.regions.pop_back(); }), "step 'appended': 1 regions, expected 2");
  EXPECT_EQ(change([](GraphRecord&, Step& s) { s.outputs.pop_back(); }), "step 'appended': 1 outputs, expected 2");
  EXPECT_EQ(change([](GraphRecord&, Step& s) { s.outputs[1] = s.outputs[0]; }),
            start + "writes another value than field 1 of cache 'kv'");
  EXPECT_EQ(change([&](GraphRecord&, Step& s) { s.regions[1].axes = s.regions[1].body.axes = {t.wide, t.pos}; }),
            start + "the result's axes <wide, pos> do not lead with 'pos', the rows of cache 'kv'");
  // A value with another axis than the field, such as one that is repeated per group, does not fit.
  EXPECT_EQ(
      change([&](GraphRecord&, Step& s) { s.regions[1].axes = s.regions[1].body.axes = {t.pos, t.group, t.wide}; }),
      start + "output 'kv.field1' has axes <key, wide>, the result <key, group, wide>");
  EXPECT_EQ(change([](GraphRecord&, Step& s) { s.regions[1].selection = Selection{}; }),
            start + "steps of kind append have no selection");
}

TEST(Verify, Caches) {
  const AppendCase t;
  const auto change = [&](const std::function<void(GraphRecord&)>& f) {
    return refused(t.built, [&](GraphRecord& g, Step&) { f(g); });
  };
  EXPECT_EQ(change([](GraphRecord& g) { g.caches[0].key = 70; }), "cache 'kv': unknown key or pos axis");
  EXPECT_EQ(change([&](GraphRecord& g) { g.caches[0].fields[1] = t.k; }),
            "cache 'kv': value #" + std::to_string(t.k) + " is not one of its fields");
  EXPECT_EQ(change([&](GraphRecord& g) { g.caches[0].positions = t.k; }),
            "cache 'kv': its positions are not one of its values");
  EXPECT_EQ(change([&](GraphRecord& g) { g.caches[0].slots = t.k; }),
            "cache 'kv': positions, slots and sequences of rows are i32 values over 'pos'");
  EXPECT_EQ(change([&](GraphRecord& g) { g.values[t.cache.fields[0]].axes = {t.dim}; }),
            "value 'kv.field0': does not lead with the key of cache 'kv'");
  EXPECT_EQ(change([](GraphRecord& g) {
              g.values.push_back(
                  {.name = "stray", .kind = ValueKind::cache_field, .axes = {}, .storage = nullptr, .cache = 9});
            }),
            "value 'stray': unknown cache 9");
  EXPECT_EQ(change([](GraphRecord& g) { g.caches[0].fields.clear(); }),
            "value 'kv.field0': cache 'kv' has no such field");
  EXPECT_EQ(change([&](GraphRecord& g) { g.values[t.cache.fields[0]].format = Format::q4_0; }),
            "value 'kv.field0': a cache cannot be stored in Q4_0");
  for (const Format format : kCacheFormats) {
    EXPECT_EQ(change([&](GraphRecord& g) { g.values[t.cache.fields[0]].format = format; }), "(no error)")
        << name(format);
  }
}

}  // namespace
}  // namespace weft
