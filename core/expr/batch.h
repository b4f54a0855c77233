// The tokens of one step: those of all sequences, packed on one axis.
#pragma once

#include "core/expr/value.h"

namespace weft {

struct Pos : axis<"pos"> {};  // token of this step, over all sequences
struct Key : axis<"key"> {};  // cached token that a query looks at
struct Seq : axis<"seq"> {};  // row whose logits are asked for

// Inputs of a language model's graph; for threads see Graph. Position (the token's index in its sequence), slot
// (where it is cached) and visibility (what a mask lets it see) are three different things.
struct Batch {
  Value<i32, Pos> tokens;  // ids
  Positions<Pos> pos;      // position in the sequence
  Sequences<Pos> seq;      // which sequence: row of the page table
  Slots<Pos> slots;        // physical cache slot to write, in caches of group 0; < 0: not written
  Value<i32, Seq> last;    // rows of Pos that need logits

  explicit Batch(Graph& graph)
      : tokens(graph.ids<Pos>("tokens")),
        pos(graph.positions<Pos>("pos")),
        seq(Sequences<Pos>(graph.input<i32, Pos>("seq"))),
        slots(Slots<Pos>(graph.input<i32, Pos>("slots"))),
        last(graph.input<i32, Seq>("last")) {}

  // The slots of another group of caches: an input "slots.GROUP", made for the group's first cache.
  Slots<Pos> slots_of(Graph& graph, int group) const;
};

}  // namespace weft
