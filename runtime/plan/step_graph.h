// The steps of a plan and how they depend on each other, as pictures.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/record/graph.h"
#include "runtime/plan/plan.h"

namespace weft {

struct StepGraph {
  struct Node {
    std::string name;           // of one step, or of equal ones: "blk.0-5.q"
    std::vector<size_t> steps;  // of the plan's graph, ascending
    StepKind kind = StepKind::map;
    std::string kernel, writes;  // "pos x embed"
    double seconds = 0;          // of all of its steps; 0: no times are known
  };
  struct Edge {
    size_t from = 0, to = 0;     // positions in `nodes`
    bool to_next_layer = false;  // what `from` writes is read by `to` of the layer after its own
    bool operator==(const Edge&) const = default;
  };
  std::vector<Node> nodes;  // in the order in which they run; within layers that are equal, in that of one of them
  std::vector<Edge> edges;  // each once
  double seconds() const;   // of all nodes
};

// Equal steps of different layers are one node, unless `every_step`; the graph then shows one layer, and what comes
// before the first and after the last. `seconds`: by step, Plan::seconds_per_run(); empty: no times are shown.
StepGraph step_graph(const Plan& plan, const std::vector<double>& seconds, bool every_step);

// For Graphviz.
std::string dot_text(const StepGraph& graph);

// Nodes from top to bottom, each below all that it depends on; colours tell the kind of step, heights its share of the
// time. Edges to the next layer are dashed, on the left.
std::string svg_text(const StepGraph& graph);

// The colour of steps of a kind in all pictures: "#4c78a8".
std::string_view kind_colour(StepKind kind);

}  // namespace weft
