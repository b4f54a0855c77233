#include "tools/bench_samples.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace weft::tools {

namespace {

using Json = nlohmann::json;

constexpr const char* kRemedy = "; it should be what `weft bench -o json` prints";

// A member of an object, named by its path where it is absent or not as wanted.
const Json& member(const Json& object, const std::string& key, const std::string& path, bool (Json::*is)() const,
                   const char* what, const std::string& from) {
  const std::string name = path.empty() ? key : path + "." + key;
  const auto found = object.find(key);
  if (found == object.end()) throw Error(from + ": there is no '" + name + "'" + kRemedy);
  if (!((*found).*is)()) throw Error(from + ": '" + name + "' is not " + what + kRemedy);
  return *found;
}

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

void add_fact(BenchSamples& samples, const Json& object, const char* key, const char* name) {
  const auto found = object.find(key);
  if (found == object.end() || (!found->is_string() && !found->is_number())) return;
  if (const std::string text = text_of(*found); !text.empty()) samples.facts.emplace_back(name, text);
}

BenchSamples::Test test_of(const Json& item, const std::string& path, const std::string& from) {
  if (!item.is_object()) throw Error(from + ": '" + path + "' is not an object" + kRemedy);
  const auto text = [&](const char* key) {
    return member(item, key, path, &Json::is_string, "a text", from).get<std::string>();
  };
  const std::string program = text("program");
  BenchSamples::Test test{(program == "weft" ? "" : program + " ") + text("test"), {}};
  const auto threads = member(item, "threads", path, &Json::is_number_integer, "a number", from).get<int64_t>();
  if (threads > 0) test.name += ", " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  const Json& rates = member(item, "samples_ts", path, &Json::is_array, "a list", from);
  if (rates.empty()) throw Error(from + ": '" + path + ".samples_ts' is empty" + kRemedy);
  for (const Json& rate : rates) {
    const double value = rate.is_number() ? rate.get<double>() : 0;
    if (!std::isfinite(value) || value <= 0) {
      throw Error(from + ": '" + path + ".samples_ts' has " + rate.dump(-1, ' ', true, Json::error_handler_t::replace) +
                  ", which is no rate" + kRemedy);
    }
    test.rates.push_back(value);
  }
  return test;
}

}  // namespace

const BenchSamples::Test* BenchSamples::find(std::string_view name) const {
  const auto found = std::ranges::find(tests, name, &Test::name);
  return found == tests.end() ? nullptr : &*found;
}

BenchSamples parse_bench_samples(const std::string& text, const std::string& from) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) throw Error(from + ": it is not a JSON object" + kRemedy);
  BenchSamples samples;
  if (const auto weft = json.find("weft"); weft != json.end() && weft->is_object()) {
    add_fact(samples, *weft, "version", "version");
    add_fact(samples, *weft, "commit", "commit");
  }
  if (const auto machine = json.find("machine"); machine != json.end() && machine->is_object()) {
    add_fact(samples, *machine, "cpu", "cpu");
    add_fact(samples, *machine, "features", "features");
    add_fact(samples, *machine, "usable_cpus", "CPUs");
  }
  for (const char* key : {"model", "type", "device", "precision", "kernel", "batch", "cache_type_k", "cache_type_v"}) {
    add_fact(samples, json, key, key);
  }
  const Json& results = member(json, "results", "", &Json::is_array, "a list", from);
  if (results.empty()) throw Error(from + ": 'results' is empty" + kRemedy);
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string path = "results[" + std::to_string(i) + "]";
    BenchSamples::Test test = test_of(results[i], path, from);
    if (samples.find(test.name)) throw Error(from + ": '" + path + "' is " + test.name + " once more" + kRemedy);
    samples.tests.push_back(std::move(test));
  }
  return samples;
}

}  // namespace weft::tools
