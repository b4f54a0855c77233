#include "tools/bench_comparison.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/comma_list.h"
#include "core/error.h"
#include "runtime/plan/text_table.h"
#include "tools/bench_report.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

using Json = nlohmann::ordered_json;

std::string value_of(const BenchSamples& samples, const std::string& fact) {
  for (const auto& [name, value] : samples.facts) {
    if (name == fact) return value;
  }
  return {};
}

// What both sides say of themselves, A's facts first.
std::vector<std::string> facts_of(const BenchComparison& comparison) {
  std::vector<std::string> names;
  for (const BenchSamples* side : {&comparison.a, &comparison.b}) {
    for (const auto& [name, value] : side->facts) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

// "A          a.json", and what differs: "precision  A exact, B fast".
std::string head_text(const BenchComparison& comparison) {
  std::string text = "A          " + comparison.name_a + "\nB          " + comparison.name_b + "\n";
  for (const std::string& fact : facts_of(comparison)) {
    const std::string a = value_of(comparison.a, fact), b = value_of(comparison.b, fact);
    text += format("%-11s", fact.c_str()) + (fact.size() > 10 ? " " : "");
    text += a == b ? a : "A " + (a.empty() ? "unknown" : a) + "; B " + (b.empty() ? "unknown" : b);
    text += "\n";
  }
  return text;
}

std::string interval_text(const RateRatio& ratio) {
  return ratio.interval ? format("%.3f to %.3f", ratio.interval->low, ratio.interval->high) : std::string();
}

std::vector<std::vector<std::string>> cells_of(const BenchComparison& comparison) {
  std::vector<std::vector<std::string>> rows;
  for (const BenchComparison::Test& test : comparison.tests) {
    rows.push_back({test.name, rate_text(median(test.a->rates)), rate_text(median(test.b->rates)),
                    format("%.3f", test.ratio.ratio), interval_text(test.ratio),
                    std::string(name(test.ratio.verdict()))});
  }
  return rows;
}

constexpr const char* kHeads[] = {"test", "A t/s", "B t/s", "B/A", "95 % interval", "B is"};

// Which samples there are too few of for an interval, and tests of one side.
std::string notes_text(const BenchComparison& comparison) {
  std::string text;
  const auto few = [](const BenchComparison::Test& test) { return !test.ratio.interval; };
  if (std::ranges::any_of(comparison.tests, few)) {
    text += format("Of fewer than %zu samples there is no interval, and no difference is stated.\n", kFewestSamples);
  }
  if (!comparison.only_in_a.empty()) text += "Only in A: " + comma_list(comparison.only_in_a) + "\n";
  if (!comparison.only_in_b.empty()) text += "Only in B: " + comma_list(comparison.only_in_b) + "\n";
  return text;
}

std::string table_text(const BenchComparison& comparison) {
  TextTable table;
  for (const char* head : kHeads) table.head.push_back({head, std::string_view(head).find('/') != std::string::npos});
  table.rows = cells_of(comparison);
  return head_text(comparison) + "\n" + table.text() + notes_text(comparison);
}

// In a cell, a bar would end it.
std::string markdown_text(const BenchComparison& comparison) {
  const auto line = [](const auto& cells) {
    std::string text = "|";
    for (const auto& each : cells) {
      const std::string_view cell = each;
      text += " ";
      for (const char c : cell) text += c == '|' ? std::string("\\|") : std::string(1, c);
      text += " |";
    }
    return text + "\n";
  };
  std::string text;
  std::istringstream facts(head_text(comparison));
  for (std::string fact; std::getline(facts, fact);) text += "    " + fact + "\n";
  text += "\n" + line(kHeads) + "|---|--:|--:|--:|---|---|\n";
  for (const auto& row : cells_of(comparison)) text += line(row);
  const std::string notes = notes_text(comparison);
  return text + (notes.empty() ? "" : "\n" + notes);
}

std::string json_text(const BenchComparison& comparison) {
  const auto side = [](const std::string& name, const BenchSamples& samples) {
    Json json = {{"name", name}};
    for (const auto& [fact, value] : samples.facts) json[fact] = value;
    return json;
  };
  Json json = {{"a", side(comparison.name_a, comparison.a)},
               {"b", side(comparison.name_b, comparison.b)},
               {"paired", comparison.rounds},
               {"least_change", kLeastChange},
               {"tests", Json::array()},
               {"only_in_a", comparison.only_in_a},
               {"only_in_b", comparison.only_in_b}};
  for (const BenchComparison::Test& test : comparison.tests) {
    Json item = {{"test", test.name},
                 {"a_median_ts", median(test.a->rates)},
                 {"b_median_ts", median(test.b->rates)},
                 {"ratio", test.ratio.ratio},
                 {"ratio_interval", nullptr},
                 {"verdict", name(test.ratio.verdict())},
                 {"a_samples_ts", test.a->rates},
                 {"b_samples_ts", test.b->rates}};
    if (const auto& interval = test.ratio.interval) item["ratio_interval"] = {interval->low, interval->high};
    json["tests"].push_back(std::move(item));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

bool BenchComparison::any_slower() const {
  return std::ranges::any_of(tests, [](const Test& test) { return test.ratio.verdict() == Verdict::slower; });
}

BenchComparison compare(std::string name_a, BenchSamples a, std::string name_b, BenchSamples b, bool rounds) {
  BenchComparison comparison{std::move(name_a), std::move(name_b), std::move(a), std::move(b), rounds};
  for (const BenchSamples::Test& test : comparison.a.tests) {
    const BenchSamples::Test* other = comparison.b.find(test.name);
    if (other == nullptr) {
      comparison.only_in_a.push_back(test.name);
      continue;
    }
    comparison.tests.push_back(
        {test.name, &test, other,
         rounds ? ratio_of_rounds(test.rates, other->rates) : ratio_of_medians(test.rates, other->rates)});
  }
  for (const BenchSamples::Test& test : comparison.b.tests) {
    if (!comparison.a.find(test.name)) comparison.only_in_b.push_back(test.name);
  }
  if (comparison.tests.empty()) {
    throw Error("no test is in both: " + comparison.name_a + " has " + comma_list(comparison.only_in_a) + "; " +
                comparison.name_b + " has " + comma_list(comparison.only_in_b));
  }
  return comparison;
}

std::string text_of(const BenchComparison& comparison, ComparisonFormat as) {
  switch (as) {
    case ComparisonFormat::json: return json_text(comparison);
    case ComparisonFormat::markdown: return markdown_text(comparison);
    default: return table_text(comparison);
  }
}

}  // namespace weft::tools
