// weft compare: how far the predictions of a model, or of its settings, are from those of another.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/utf8.h"
#include "runtime/generate/logit_comparison.h"
#include "runtime/plan/text_table.h"
#include "tools/windows.h"

namespace weft::tools {

namespace {

using Json = nlohmann::ordered_json;

// A flag that takes a value for both sides, or one for each, and the field that it sets.
struct SideFlag {
  CLI::Option* option;
  std::string ModelFlags::* field;
};

struct CompareFlags {
  ModelFlags common;
  std::vector<SideFlag> side_flags;
  WindowFlags windows;
  std::optional<double> max_kl;
  bool json = false;

  // The reference's flags, and those of what is compared with it. Throws CLI::RequiredError if nothing is given twice.
  std::array<ModelFlags, 2> sides() const;
};

std::array<ModelFlags, 2> CompareFlags::sides() const {
  std::array<ModelFlags, 2> sides = {common, common};
  bool two = false;
  for (const auto& [option, field] : side_flags) {
    const std::vector<std::string>& values = option->results();
    if (values.empty()) continue;
    sides[0].*field = values.front();
    sides[1].*field = values.back();
    two |= values.size() == 2;
  }
  if (!two) {
    throw CLI::RequiredError("something to compare: -m twice, or two values of another flag (--precision exact,fast)");
  }
  return sides;
}

struct Side {
  ModelFlags flags;
  OpenModel open;
  std::string device;  // its name

  std::string text() const {
    std::string text = open.file->path() + " (" + device + ", precision " + flags.precision;
    if (!flags.kernel.empty()) text += ", kernel " + flags.kernel;
    if (!flags.cache_k.empty()) text += ", keys in " + flags.cache_k;
    if (!flags.cache_v.empty()) text += ", values in " + flags.cache_v;
    return text + ")";
  }
};

Json json_of(const Side& side) {
  const auto named = [](const std::string& name) { return name.empty() ? Json() : Json(name); };
  return {{"model", side.open.file->path()},           {"device", side.device},
          {"precision", side.flags.precision},         {"kernel", named(side.flags.kernel)},
          {"cache_type_k", named(side.flags.cache_k)}, {"cache_type_v", named(side.flags.cache_v)}};
}

Json json_of(const Estimate& estimate) { return {{"value", estimate.value}, {"standard_error", estimate.error}}; }

// Throws Error, naming both files and what differs, unless a token means the same to both.
void check_vocabularies(const Side& a, const Tokenizer& a_tokenizer, const Side& b, const Tokenizer& b_tokenizer) {
  const auto fail = [&](const std::string& what) {
    throw Error(a.open.file->path() + " and " + b.open.file->path() + " have different vocabularies: " + what +
                "; predictions can be compared only between models with the same");
  };
  if (a_tokenizer.vocab_size() != b_tokenizer.vocab_size()) {
    fail(format("%zu and %zu tokens", a_tokenizer.vocab_size(), b_tokenizer.vocab_size()));
  }
  for (int32_t id = 0; static_cast<size_t>(id) < a_tokenizer.vocab_size(); ++id) {
    const std::string &x = a_tokenizer.token_text(id), &y = b_tokenizer.token_text(id);
    if (x != y) fail(format("token %d is %s and %s", id, in_quotes(x).c_str(), in_quotes(y).c_str()));
  }
  if (a.open.model.vocab != b.open.model.vocab) {
    fail(format("%lld and %lld logits", static_cast<long long>(a.open.model.vocab),
                static_cast<long long>(b.open.model.vocab)));
  }
}

struct Report {
  const std::array<Side, 2>& sides;
  std::string text_name;
  const TextWindows& windows;
  const Tokenizer& tokenizer;
  LogitComparisonSummary summary;
};

std::string table_of(const Report& report) {
  const LogitComparisonSummary& s = report.summary;
  const auto token = [&](int32_t id) {
    const std::optional<std::string> text = token_text(report.tokenizer, id);
    return text ? in_quotes(*text) : std::to_string(id);
  };
  const auto at = [&](size_t position) {
    return format("at token %zu, %s", position, token(report.windows.token(position)).c_str());
  };
  TextTable table{.head = {{""}, {"value", true}, {"+/-", true}, {""}}};
  const auto row = [&](const char* name, const std::string& value, const std::string& error = "",
                       const std::string& where = "") { table.rows.push_back({name, value, error, where}); };
  const auto number = [](double value) { return format("%.6g", value); };
  const auto error = [](double value) { return format("%.2g", value); };
  row("KL divergence, mean", number(s.kl.value), error(s.kl.error));
  row("KL divergence, median", number(s.kl_median));
  row("KL divergence, 99th percentile", number(s.kl_p99));
  row("KL divergence, largest", number(s.kl_largest), "", s.kl_largest > 0 ? at(s.kl_largest_at) : "");
  row("same most likely token", format("%.3f %%", 100 * s.same_top.value), format("%.2g %%", 100 * s.same_top.error));
  row("logit difference, mean", number(s.mean_difference));
  row("logit difference, largest", number(s.largest_difference), "",
      s.largest_difference > 0 ? at(s.largest_at) + ": logit of " + token(s.largest_id) : "");
  row("perplexity, reference", format("%.4f", s.perplexity_reference.value), error(s.perplexity_reference.error));
  row("perplexity, compared", format("%.4f", s.perplexity_compared.value), error(s.perplexity_compared.error));
  row("log-likelihood per token, difference", format("%+.6g", s.log_likelihood_difference.value),
      error(s.log_likelihood_difference.error));
  return "reference  " + report.sides[0].text() + "\ncompared   " + report.sides[1].text() +
         format("\ntext       %s, %zu windows of %zu tokens, %zu tokens scored\n\n", report.text_name.c_str(),
                report.windows.count(), report.windows.window(), report.windows.scored()) +
         table.text();
}

std::string json_of(const Report& report) {
  const LogitComparisonSummary& s = report.summary;
  const auto token = [&](int32_t id) {
    const std::optional<std::string> text = token_text(report.tokenizer, id);
    return Json{{"id", id}, {"text", text ? Json(make_utf8(*text)) : Json()}};
  };
  const auto place = [&](size_t position) {
    return Json{{"position", position}, {"token", token(report.windows.token(position))}};
  };
  Json kl = json_of(s.kl), difference = {{"mean", s.mean_difference}, {"largest", s.largest_difference}};
  kl["median"] = s.kl_median, kl["p99"] = s.kl_p99, kl["largest"] = s.kl_largest;
  kl["largest_at"] = place(s.kl_largest_at);
  difference["largest_at"] = place(s.largest_at);
  difference["largest_at"]["logit_of"] = token(s.largest_id);
  const Json json = {
      {"reference", json_of(report.sides[0])},
      {"compared", json_of(report.sides[1])},
      {"text", report.text_name},
      {"windows", report.windows.count()},
      {"window_tokens", report.windows.window()},
      {"tokens_scored", s.tokens},
      {"kl_divergence", kl},
      {"same_top", json_of(s.same_top)},
      {"logit_difference", difference},
      {"perplexity", {{"reference", json_of(s.perplexity_reference)}, {"compared", json_of(s.perplexity_compared)}}},
      {"log_likelihood_difference", json_of(s.log_likelihood_difference)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";  // file names may be any bytes
}

void run(const CompareFlags& flags) {
  const std::array<ModelFlags, 2> side_flags = flags.sides();
  // What both have in common is opened once, so that weights are held once if they are packed alike.
  const bool same_model = side_flags[0].model == side_flags[1].model;
  const bool same_device = side_flags[0].device == side_flags[1].device;
  const OpenModel first = open_model(side_flags[0]), second = same_model ? first : open_model(side_flags[1]);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*first.file, side_flags[0]);
  const Device device = open_device(side_flags[0]), other = same_device ? device : open_device(side_flags[1]);
  const std::array<Side, 2> sides = {{{side_flags[0], first, device.name()}, {side_flags[1], second, other.name()}}};
  if (!same_model) check_vocabularies(sides[0], *tokenizer, sides[1], *open_tokenizer(*second.file, side_flags[1]));

  const int64_t window = std::min(flags.windows.window_tokens(first.model), flags.windows.window_tokens(second.model));
  warn_beyond_training(first.model, window, "a window of");
  if (!same_model) warn_beyond_training(second.model, window, "a window of");
  const TextWindows windows = open_windows(flags.windows, *tokenizer, window);
  std::array<Engine, 2> engines = {
      open_window_engine(flags.windows, side_flags[0].engine_options(), first.model, device, windows.window()),
      open_window_engine(flags.windows, side_flags[1].engine_options(), second.model, other, windows.window())};

  LogitComparison comparison;
  Progress progress;
  for (size_t w = 0; w < windows.count(); ++w) {
    windows.evaluate(w, engines, [&](size_t position, std::span<const std::span<const float>> logits) {
      comparison.add(position, compare_logits(logits[0], logits[1], windows.token(position)));
    });
    progress.show(format("window %zu of %zu", w + 1, windows.count()));
  }
  progress.clear();
  const Report report{sides, flags.windows.text.file_name(), windows, *tokenizer, comparison.summary()};
  print(flags.json ? json_of(report) : table_of(report));
  if (flags.max_kl && !(report.summary.kl.value <= *flags.max_kl)) {
    std::fprintf(stderr, "weft: the mean KL divergence, %g, is above --max-kl %g\n", report.summary.kl.value,
                 *flags.max_kl);
    throw NegativeResult();
  }
}

}  // namespace

void add_compare(CLI::App& app) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = app.add_subcommand("compare", "Compare the predictions of two models, or of two settings of one");
  command->footer(
      "The first is the reference. Give -m twice, or two values to another flag: --precision exact,fast. Both sides\n"
      "evaluate the same tokens, in windows as in `weft perplexity`. Divergences are from the distribution of the\n"
      "reference to the other's, in nats. Tokens are counted from 0. After +/- stands the standard error. Models must\n"
      "have the same vocabulary.");
  ModelFlags& common = flags->common;
  add_model_flag(*command, common);
  add_window_flags(*command, flags->windows);
  command->add_flag("--json", flags->json, "Print JSON");
  command
      ->add_option("--max-kl", flags->max_kl, "Exit with 1 if the mean KL divergence is above this, for use in tests")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  add_tokenizer_flag(*command, common);
  add_device_flags(*command, common);
  add_cache_flags(*command, common);
  add_kernel_flag(*command, common);
  const auto for_each_side = [&](const char* name, std::string ModelFlags::* field) {
    CLI::Option* option = command->get_option(name);
    option->expected(1, 2)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    flags->side_flags.push_back({option, field});
    return option;
  };
  for_each_side("--model", &ModelFlags::model);  // whose names may have commas
  for_each_side("--device", &ModelFlags::device)->delimiter(',')->type_name("DEVICE[,DEVICE]");
  for_each_side("--precision", &ModelFlags::precision)->delimiter(',')->type_name("P[,P]");
  for_each_side("--cache-type-k", &ModelFlags::cache_k)->delimiter(',')->type_name("TYPE[,TYPE]");
  for_each_side("--cache-type-v", &ModelFlags::cache_v)->delimiter(',')->type_name("TYPE[,TYPE]");
  for_each_side("--kernel", &ModelFlags::kernel)->delimiter(',')->type_name("NAME[,NAME]");
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools
