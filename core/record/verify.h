// The rules that records obey, checked between the passes of a plan: kernels rely on them and check nothing.
// Extents are not known here; rules about them (slices within storage, products of a split) are checked when
// inputs are bound, except for axes whose type fixes their extent.
#pragma once

#include "core/record/graph.h"

namespace weft {

// Throws Error naming the step, the region, and the operand, axis or instruction at fault.
//
// Values: indices in range; at most kMaxRank axes, each once; weights have storage of their format; each value is
//   written once, before it is read.
// Views: axes known, each once; ids are i32, and come before what they gather; at most two gathers per operand.
// Programs: instructions use earlier ones, with the types that ScalarOp's comments give; they read operands,
//   coordinates, reductions, contractions and the rotated value only where these exist.
// Loops: what a program reads varies only over the axes that the program runs over.
// Contractions: both sides have `over`, in the order in which rhs stores it; the axes that remain are the body's.
// Attention: the key is the last axis of the score, and one of the value's; the result has the query axes and then
//   the value's remaining axes. Cached operands occur here only, all of one cache whose `pos` is a query axis.
// Kinds: a map is elementwise; a reduce may have reductions, a rotation and a selection; a contract has at least one
//   contraction, and its body no reductions; an append has one region per field, over `pos` and the field's axes.
void verify(const GraphRecord& graph, const Step& step);

// All steps, and the rules between them.
void verify(const GraphRecord& graph);

}  // namespace weft
