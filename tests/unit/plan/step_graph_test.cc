// Pictures of plans: nodes, edges, and what is drawn of them.
#include "runtime/plan/step_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <regex>

#include "runtime/plan/svg.h"
#include "tests/small_model.h"

namespace weft {
namespace {

Plan plan_of(int layers) {
  const LanguageModel model = test::small_model({.layers = layers});
  Limits limits;
  limits.set(model.pos_axis, 4).set(model.rows_axis, 1);
  for (const CacheRecord& cache : model.graph->caches) limits.set(cache.key, 16);
  return compile(Device::cpu(1), model.graph, limits);
}

size_t node(const StepGraph& graph, const std::string& name) {
  const auto found = std::ranges::find(graph.nodes, name, &StepGraph::Node::name);
  EXPECT_NE(found, graph.nodes.end()) << name;
  return static_cast<size_t>(found - graph.nodes.begin());
}

bool has_edge(const StepGraph& graph, const std::string& from, const std::string& to, bool to_next_layer) {
  return std::ranges::find(graph.edges, StepGraph::Edge{node(graph, from), node(graph, to), to_next_layer}) !=
         graph.edges.end();
}

TEST(StepGraph, FoldsLayersAndKeepsWhatGoesOnToTheNext) {
  const Plan plan = plan_of(3);
  std::vector<double> seconds(plan.graph().steps.size());
  std::iota(seconds.begin(), seconds.end(), 1);
  const StepGraph graph = step_graph(plan, seconds, false);
  size_t steps = 0;
  for (const StepGraph::Node& one : graph.nodes) steps += one.steps.size();
  EXPECT_EQ(steps, plan.graph().steps.size());
  EXPECT_EQ(graph.seconds(), std::accumulate(seconds.begin(), seconds.end(), 0.0));
  EXPECT_EQ(graph.nodes[node(graph, "blk.0-2.attention")].kind, StepKind::attention);
  EXPECT_TRUE(has_edge(graph, "x", "blk.0-2.query", false));
  EXPECT_TRUE(has_edge(graph, "blk.0-2.query", "blk.0-2.attention", false));
  EXPECT_TRUE(has_edge(graph, "blk.0-2.append", "blk.0-2.attention", false));
  EXPECT_TRUE(has_edge(graph, "blk.0-2.out", "blk.0-2.query", true));
  EXPECT_TRUE(has_edge(graph, "blk.0-2.out", "last_rows", false));
  for (const StepGraph::Edge& edge : graph.edges) EXPECT_EQ(edge.to_next_layer, edge.from >= edge.to);
}

TEST(StepGraph, ShowsEveryStepWithoutGoingBack) {
  const Plan plan = plan_of(3);
  const StepGraph graph = step_graph(plan, {}, true);
  ASSERT_EQ(graph.nodes.size(), plan.graph().steps.size());
  EXPECT_EQ(graph.seconds(), 0);
  for (const StepGraph::Edge& edge : graph.edges) EXPECT_LT(edge.from, edge.to);
  EXPECT_TRUE(has_edge(graph, "blk.0.out", "blk.1.query", false));
}

TEST(StepGraph, IsTextForGraphviz) {
  const StepGraph graph = step_graph(plan_of(2), {}, false);
  const std::string text = dot_text(graph);
  EXPECT_TRUE(text.starts_with("digraph plan {\n"));
  EXPECT_TRUE(text.ends_with("}\n"));
  EXPECT_EQ(std::ranges::count(text, '{'), 1);
  const std::regex edge("  s\\d+ -> s\\d+");
  EXPECT_EQ(static_cast<size_t>(std::distance(std::sregex_iterator(text.begin(), text.end(), edge), {})),
            graph.edges.size());
  EXPECT_NE(text.find("blk.0-1.query ×2\\n"), std::string::npos);
  EXPECT_EQ(text.find("µs"), std::string::npos);
}

// Every element is closed, and quotes are in pairs: what a parser of XML would insist on.
void expect_well_formed(const std::string& text) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z]+)((?: [a-zA-Z-]+=\"[^\"<>]*\")*)(/?)>|<");
  for (std::sregex_iterator match(text.begin(), text.end(), tag), none; match != none; ++match) {
    ASSERT_TRUE((*match)[2].matched) << text.substr(static_cast<size_t>(match->position()), 80);
    if ((*match)[4].length() > 0) continue;
    if ((*match)[1].length() == 0) {
      open.push_back((*match)[2]);
      continue;
    }
    ASSERT_FALSE(open.empty());
    EXPECT_EQ(open.back(), (*match)[2]);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST(StepGraph, IsAPictureWithoutOverlappingBoxes) {
  const Plan plan = plan_of(2);
  std::vector<double> seconds(plan.graph().steps.size(), 1e-4);
  seconds.back() = 1e-2;
  for (const bool every_step : {false, true}) {
    const StepGraph graph = step_graph(plan, seconds, every_step);
    const std::string text = svg_text(graph);
    expect_well_formed(text);
    const std::regex box("<rect x=\"([\\d.]+)\" y=\"([\\d.]+)\" width=\"([\\d.]+)\" height=\"([\\d.]+)\"");
    struct Box {
      double left, top, right, bottom;
    };
    std::vector<Box> boxes;
    for (std::sregex_iterator match(text.begin(), text.end(), box), none; match != none; ++match) {
      const double x = std::stod((*match)[1]), y = std::stod((*match)[2]);
      boxes.push_back({x, y, x + std::stod((*match)[3]), y + std::stod((*match)[4])});
    }
    ASSERT_EQ(boxes.size(), graph.nodes.size());
    for (size_t i = 0; i < boxes.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        EXPECT_TRUE(boxes[i].left >= boxes[j].right || boxes[j].left >= boxes[i].right ||
                    boxes[i].top >= boxes[j].bottom || boxes[j].top >= boxes[i].bottom)
            << i << " and " << j;
      }
    }
    // The last step takes most of the time: its box is the highest.
    const auto highest = std::ranges::max_element(boxes, {}, [](const Box& one) { return one.bottom - one.top; });
    EXPECT_EQ(static_cast<size_t>(highest - boxes.begin()), boxes.size() - 1);
    for (const StepGraph::Edge& edge : graph.edges) {
      if (edge.to_next_layer) continue;
      EXPECT_GE(boxes[edge.to].top, boxes[edge.from].bottom);
    }
  }
}

TEST(Svg, EscapesTextAndShortensIt) {
  Svg svg;
  svg.text(1, 2, "a < b & \"c\"\x01");
  svg.rectangle(0, 0, 1, 1, {.fill = "#fff"}, "1 > 0");
  const std::string text = svg.picture(10, 10);
  expect_well_formed(text);
  EXPECT_NE(text.find("a &lt; b &amp; &quot;c&quot;?"), std::string::npos);
  EXPECT_NE(text.find("<title>1 &gt; 0</title>"), std::string::npos);
  EXPECT_EQ(svg_number(-0.001), "0");
  EXPECT_EQ(svg_number(2.50), "2.5");
  EXPECT_EQ(svg_number(std::numeric_limits<double>::infinity()), "0");
  EXPECT_EQ(fitting_text("short", 100), "short");
  EXPECT_EQ(fitting_text("longer than that", 50), "longer\u2026");
  EXPECT_EQ(fitting_text("µµµµµµµµµµ", 40), "µµ\u2026");
  EXPECT_EQ(fitting_text("nothing", 10), "");
}

}  // namespace
}  // namespace weft
