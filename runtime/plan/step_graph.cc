#include "runtime/plan/step_graph.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "runtime/plan/explain.h"
#include "runtime/plan/fold_steps.h"
#include "runtime/plan/schedule.h"
#include "runtime/plan/svg.h"

namespace weft {

namespace {

std::string writes_text(const GraphRecord& graph, const Step& step) {
  std::string text;
  for (const ValueId output : step.outputs) {
    std::string axes;
    for (const AxisId axis : graph.values[output].axes) axes += (axes.empty() ? "" : " × ") + graph.axes[axis].name;
    text += (text.empty() ? "" : ", ") + axes;
  }
  return text;
}

std::string share_text(double seconds, double all) {
  if (seconds <= 0 || all <= 0) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * seconds / all);
  return text;
}

}  // namespace

double StepGraph::seconds() const {
  double all = 0;
  for (const Node& node : nodes) all += node.seconds;
  return all;
}

std::string_view kind_colour(StepKind kind) {
  switch (kind) {
    case StepKind::map: return "#72b7b2";
    case StepKind::reduce: return "#eeca3b";
    case StepKind::contract: return "#4c78a8";
    case StepKind::attention: return "#e45756";
    case StepKind::append: return "#f58518";
    case StepKind::custom: return "#b279a2";
    case StepKind::scan: return "#9d755d";
  }
  return "#bab0ac";
}

StepGraph step_graph(const Plan& plan, const std::vector<double>& seconds, bool every_step) {
  const GraphRecord& graph = plan.graph();
  std::vector<std::string> kernels;
  for (const StepInfo& step : plan.steps()) kernels.push_back(step.kernel);
  std::vector<EqualSteps> lines;
  if (every_step) {
    for (size_t i = 0; i < graph.steps.size(); ++i) lines.push_back({graph.steps[i].name, {i}});
  } else {
    lines = fold_steps(graph, kernels, plan.limits().data());
  }

  StepGraph pictured;
  std::vector<size_t> node_of(graph.steps.size());
  for (const EqualSteps& line : lines) {
    const size_t first = line.steps.front();
    StepGraph::Node node{line.name, line.steps, graph.steps[first].kind, kernels[first],
                         writes_text(graph, graph.steps[first])};
    for (const size_t step : line.steps) {
      node_of[step] = pictured.nodes.size();
      if (!seconds.empty()) node.seconds += seconds[step];
    }
    pictured.nodes.push_back(std::move(node));
  }
  // A step of a layer reads what the layer before wrote, where its node comes first and yet depends on a later one.
  const std::vector<std::vector<size_t>> needs = step_dependencies(graph);
  std::set<std::pair<size_t, size_t>> seen;
  for (size_t step = 0; step < needs.size(); ++step) {
    for (const size_t before : needs[step]) {
      const size_t from = node_of[before], to = node_of[step];
      if (seen.emplace(from, to).second) pictured.edges.push_back({from, to, from >= to});
    }
  }
  return pictured;
}

namespace {

std::string dot_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') quoted += "\\n";
    else quoted += c;
  }
  return quoted + "\"";
}

std::string count_text(const StepGraph::Node& node) {
  return node.steps.size() > 1 ? "×" + std::to_string(node.steps.size()) : "";
}

}  // namespace

std::string dot_text(const StepGraph& graph) {
  std::string text =
      "digraph plan {\n  rankdir=TB;\n  node [shape=box, style=filled, fontname=\"Helvetica\", fontcolor=white];\n";
  const double all = graph.seconds();
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const StepGraph::Node& node = graph.nodes[i];
    std::string label =
        node.name + (node.steps.size() > 1 ? " " + count_text(node) : "") + "\n" + node.kernel + "\n" + node.writes;
    if (node.seconds > 0) label += "\n" + time_text(node.seconds) + ", " + share_text(node.seconds, all);
    text += "  s" + std::to_string(i) + " [label=" + dot_quoted(label) +
            ", fillcolor=" + dot_quoted(kind_colour(node.kind)) + "];\n";
  }
  for (const StepGraph::Edge& edge : graph.edges) {
    text += "  s" + std::to_string(edge.from) + " -> s" + std::to_string(edge.to) +
            (edge.to_next_layer ? " [style=dashed, constraint=false, label=\"next layer\"]" : "") + ";\n";
  }
  return text + "}\n";
}

namespace {

constexpr double kBoxWidth = 270, kBoxHeight = 46, kGap = 26, kRowGap = 30, kMargin = 20;
constexpr double kTimeHeight = 260;  // added to a box that takes all of the time
constexpr double kLane = 9;          // between edges that pass by boxes

struct Box {
  size_t rank = 0;
  double x = 0, y = 0, height = kBoxHeight;
  double middle() const { return x + kBoxWidth / 2; }
};

// Rows of nodes, each below all that they depend on; in a row, by where these stand.
std::vector<std::vector<size_t>> rows_of(const StepGraph& graph, std::vector<Box>& boxes) {
  std::vector<std::vector<size_t>> before(graph.nodes.size());
  for (const StepGraph::Edge& edge : graph.edges) {
    if (!edge.to_next_layer) before[edge.to].push_back(edge.from);
  }
  std::vector<std::vector<size_t>> rows;
  for (size_t i = 0; i < boxes.size(); ++i) {  // what a node depends on comes before it
    for (const size_t from : before[i]) boxes[i].rank = std::max(boxes[i].rank, boxes[from].rank + 1);
    if (rows.size() <= boxes[i].rank) rows.resize(boxes[i].rank + 1);
    rows[boxes[i].rank].push_back(i);
  }
  std::vector<double> place(boxes.size(), 0);  // in its row, from -1 to 1
  for (std::vector<size_t>& row : rows) {
    const auto mean = [&](size_t i) {
      double sum = 0;
      for (const size_t from : before[i]) sum += place[from];
      return before[i].empty() ? 0 : sum / static_cast<double>(before[i].size());
    };
    std::ranges::stable_sort(row, {}, mean);
    for (size_t at = 0; at < row.size(); ++at) {
      place[row[at]] = row.size() == 1 ? 0 : 2 * static_cast<double>(at) / static_cast<double>(row.size() - 1) - 1;
    }
  }
  return rows;
}

void draw_arrow_head(Svg& svg, double x, double y, double dx, double dy, const std::string& colour) {
  // A triangle whose point is at (x, y), and which looks in the direction (dx, dy), of length 1.
  const double back_x = x - 7 * dx, back_y = y - 7 * dy;
  svg.path("M " + svg_number(x) + " " + svg_number(y) + " L " + svg_number(back_x - 3.5 * dy) + " " +
               svg_number(back_y + 3.5 * dx) + " L " + svg_number(back_x + 3.5 * dy) + " " +
               svg_number(back_y - 3.5 * dx) + " Z",
           {.fill = colour});
}

std::string curve(double x1, double y1, double cx1, double cy1, double cx2, double cy2, double x2, double y2) {
  std::string path = "M";
  for (const double number : {x1, y1}) path += " " + svg_number(number);
  path += " C";
  for (const double number : {cx1, cy1, cx2, cy2, x2, y2}) path += " " + svg_number(number);
  return path;
}

void draw_node(Svg& svg, const StepGraph::Node& node, const Box& box, double all) {
  std::string title = node.name + "\n" + node.kernel + "\nwrites " + node.writes;
  if (node.seconds > 0) title += "\n" + time_text(node.seconds) + ", " + share_text(node.seconds, all);
  svg.rectangle(box.x, box.y, kBoxWidth, box.height, {.fill = std::string(kind_colour(node.kind))}, title, 5);
  const std::string time = node.seconds > 0 ? time_text(node.seconds) : "", many = count_text(node);
  svg.text(box.x + 8, box.y + 18, fitting_text(node.name, kBoxWidth - 80, 13), 13, SvgAnchor::start, "#fff", true);
  svg.text(box.x + kBoxWidth - 8, box.y + 18, time.empty() ? many : time, 12, SvgAnchor::end, "#fff");
  svg.text(box.x + 8, box.y + 36, fitting_text(node.kernel, kBoxWidth - 66, 11), 11, SvgAnchor::start, "#fff");
  svg.text(box.x + kBoxWidth - 8, box.y + 36, share_text(node.seconds, all), 11, SvgAnchor::end, "#fff");
}

}  // namespace

std::string svg_text(const StepGraph& graph) {
  const double all = graph.seconds();
  std::vector<Box> boxes(graph.nodes.size());
  const std::vector<std::vector<size_t>> rows = rows_of(graph, boxes);
  size_t widest = 1, passing = 0, back = 0;
  for (const std::vector<size_t>& row : rows) widest = std::max(widest, row.size());
  for (const StepGraph::Edge& edge : graph.edges) {
    if (edge.to_next_layer) ++back;
    else if (boxes[edge.to].rank > boxes[edge.from].rank + 1) ++passing;
  }
  const double inner = static_cast<double>(widest) * kBoxWidth + static_cast<double>(widest - 1) * kGap;
  const double left = kMargin + (back > 0 ? 30 + kLane * static_cast<double>(back) : 0);
  const double right = 30 + kLane * static_cast<double>(passing);
  double y = kMargin;
  for (const std::vector<size_t>& row : rows) {
    const auto count = static_cast<double>(row.size());
    double x = left + (inner - count * kBoxWidth - (count - 1) * kGap) / 2, height = 0;
    for (const size_t i : row) {
      boxes[i].x = std::exchange(x, x + kBoxWidth + kGap), boxes[i].y = y;
      if (all > 0) boxes[i].height += kTimeHeight * graph.nodes[i].seconds / all;
      height = std::max(height, boxes[i].height);
    }
    y += height + kRowGap;
  }

  Svg svg;
  size_t lane = 0, back_lane = 0;
  for (const StepGraph::Edge& edge : graph.edges) {
    const Box &from = boxes[edge.from], &to = boxes[edge.to];
    const std::string title = graph.nodes[edge.from].name + " → " + graph.nodes[edge.to].name;
    if (edge.to_next_layer) {
      const std::string colour = "#999";
      const double x = left - 20 - kLane * static_cast<double>(back_lane++), y1 = from.y + from.height - 10,
                   y2 = to.y + 12;
      svg.path(curve(from.x, y1, x, y1, x, y2, to.x, y2), {.stroke = colour, .width = 1.2, .dashes = "5 4"},
               title + ", of the next layer");
      draw_arrow_head(svg, to.x, y2, 1, 0, colour);
      continue;
    }
    const std::string colour = "#666";
    if (to.rank == from.rank + 1) {
      const double y1 = from.y + from.height, y2 = to.y, bend = (y2 - y1) / 2;
      svg.path(curve(from.middle(), y1, from.middle(), y1 + bend, to.middle(), y2 - bend, to.middle(), y2),
               {.stroke = colour, .width = 1.2}, title);
      draw_arrow_head(svg, to.middle(), y2, 0, 1, colour);
      continue;
    }
    const double x = left + inner + 16 + kLane * static_cast<double>(lane++), y1 = from.y + from.height - 8,
                 y2 = to.y + 12;
    svg.path(curve(from.x + kBoxWidth, y1, x, y1, x, y2, to.x + kBoxWidth, y2), {.stroke = colour, .width = 1.2},
             title);
    draw_arrow_head(svg, to.x + kBoxWidth, y2, -1, 0, colour);
  }
  for (size_t i = 0; i < boxes.size(); ++i) draw_node(svg, graph.nodes[i], boxes[i], all);
  return svg.picture(left + inner + right + kMargin, y - kRowGap + kMargin);
}

}  // namespace weft
