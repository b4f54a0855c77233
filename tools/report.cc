// weft report: what a model's plan does on this machine, as one HTML page.
#include <algorithm>
#include <memory>

#include "ops/attention/mask_blocks.h"
#include "runtime/files/output_file.h"
#include "runtime/plan/explain.h"
#include "runtime/plan/step_graph.h"
#include "runtime/plan/svg.h"
#include "tools/bench_machine.h"
#include "tools/bench_tests.h"
#include "tools/common.h"
#include "tools/measure.h"
#include "tools/profiled_runs.h"
#include "tools/report_charts.h"

namespace weft::tools {

namespace {

constexpr int kTracedDecodes = 8;
constexpr int32_t kDecoded = 16;  // tokens of a test of decoding

struct ReportFlags {
  ModelFlags model;
  std::string output;
  int context = 0, batch = 512, repetitions = 3;
  bool all = false;
};

std::string section(const std::string& title, const std::string& about, const std::string& picture) {
  return "<section>\n<h2>" + xml_text(title) + "</h2>\n<p>" + about + "</p>\n" + picture + "</section>\n";
}

std::string preformatted(const std::string& text) { return "<pre>" + xml_text(text) + "</pre>\n"; }

std::string row(const std::string& what, const std::string& value) {
  return "<tr><th>" + xml_text(what) + "</th><td>" + xml_text(value) + "</td></tr>\n";
}

// Powers of two from `from` to `to`, and `to`.
std::vector<int32_t> doubled(int32_t from, int32_t to) {
  std::vector<int32_t> all;
  for (int32_t n = from; n < to; n *= 2) all.push_back(n);
  all.push_back(to);
  return all;
}

// The tests of one chart, what each is drawn over, and the rates of their repetitions.
struct RateChart {
  std::string title, x_name, series;
  std::vector<BenchTest> tests;
  std::vector<double> x;
  std::vector<std::vector<double>> rates = {};
};

std::vector<RateChart> rate_charts(const ReportFlags& flags, int32_t context) {
  std::vector<RateChart> charts;
  RateChart prompts{"Prompts", "tokens of the prompt", "prefill", {}, {}};
  for (const int32_t tokens : doubled(8, std::min(context, 2 * flags.batch))) {
    prompts.tests.push_back({.is_prompt = true, .tokens = tokens});
    prompts.x.push_back(tokens);
  }
  RateChart depths{"Decoding behind a context", "tokens in the cache before", "decode", {}, {}};
  const int32_t deepest = std::max(context - kDecoded, 0);
  for (const int32_t share : {0, 1, 2, 4, 6, 8}) {
    const int32_t depth = deepest / 8 * share;
    if (!depths.x.empty() && depth == static_cast<int32_t>(depths.x.back())) continue;
    depths.tests.push_back({.is_prompt = false, .tokens = std::min(kDecoded, context), .depth = depth});
    depths.x.push_back(depth);
  }
  RateChart batches{"Decoding several sequences", "sequences at a time", "decode, all together", {}, {}};
  for (const int32_t sequences : {1, 2, 4, 8, 16}) {
    batches.tests.push_back({.is_prompt = false, .tokens = std::min(kDecoded, context), .sequences = sequences});
    batches.x.push_back(sequences);
  }
  charts.push_back(std::move(prompts)), charts.push_back(std::move(depths)), charts.push_back(std::move(batches));
  return charts;
}

// Measured in turns, as `weft bench` does.
std::string rates_sections(const ReportFlags& flags, const LanguageModel& model, const Device& device,
                           EngineOptions options, int32_t context) {
  std::vector<RateChart> charts = rate_charts(flags, context);
  std::vector<BenchTest> tests;
  for (const RateChart& chart : charts) tests.insert(tests.end(), chart.tests.begin(), chart.tests.end());
  options.profile = false;
  options.context = 0;
  BenchEngine engine(model, device, options, tests);
  Progress progress;
  for (RateChart& chart : charts) chart.rates.resize(chart.tests.size());
  for (int repetition = 0; repetition < flags.repetitions; ++repetition) {
    progress.show(format("repetition %d of %d", repetition + 1, flags.repetitions));
    for (RateChart& chart : charts) {
      for (size_t i = 0; i < chart.tests.size(); ++i) {
        chart.rates[i].push_back(static_cast<double>(chart.tests[i].all_tokens()) / engine.run(chart.tests[i]));
      }
    }
  }
  progress.clear();
  std::string text;
  for (const RateChart& chart : charts) {
    RateSeries series{.name = chart.series, .points = {}};
    std::optional<MachineLimits> limits;
    if (device.is_cpu()) {
      size_t bytes = engine.bytes_read(chart.tests.front());
      for (const BenchTest& test : chart.tests) bytes = std::min(bytes, engine.bytes_read(test));
      limits = measure_limits(device.threads(), bytes);
    }
    for (size_t i = 0; i < chart.tests.size(); ++i) {
      const auto [least, most] = std::ranges::minmax(chart.rates[i]);
      series.points.push_back({.x = chart.x[i], .least = least, .median = median(chart.rates[i]), .most = most});
      if (!limits) continue;
      const double seconds = engine.limit(chart.tests[i], *limits).seconds;
      if (seconds > 0) series.points.back().limit = static_cast<double>(chart.tests[i].all_tokens()) / seconds;
    }
    text += section(chart.title,
                    format("Medians of %d repetitions, with the least and the largest rate", flags.repetitions) +
                        (limits ? "; dashed: what the machine allows by its measured limits." : "."),
                    rates_svg({series}, chart.x_name));
  }
  return text;
}

std::string waits_text(const RunTrace& trace, size_t run) {
  const std::vector<double> shares = waiting_shares(trace, run);
  std::string text = "Threads did not work, because they waited for the others or were not yet awake, for ";
  for (size_t i = 0; i < shares.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == shares.size() ? " and " : ", ") + format("%.1f", 100 * shares[i]);
  }
  return text + " % of the time.";
}

// The attention steps whose masks differ, each with what its score lets see of a prompt.
std::string mask_sections(const Plan& plan, const ProfiledRuns& runs) {
  std::vector<int64_t> extents;
  for (size_t axis = 0; axis < plan.graph().axes.size(); ++axis) {
    extents.push_back(plan.limits()[static_cast<AxisId>(axis)]);
  }
  std::string text;
  std::vector<std::vector<BlockState>> shown;
  for (const Step& step : plan.graph().steps) {
    if (step.kind != StepKind::attention) continue;
    const MaskBlocks blocks = mask_blocks(plan.graph(), step, extents, runs.prompt, runs.prompt);
    if (std::ranges::find(shown, blocks.blocks) != shown.end()) continue;
    shown.push_back(blocks.blocks);
    text +=
        section("What attention sees: " + step.name,
                format("A prompt of %d tokens, in the blocks of products in f32. Steps of the same mask are not shown "
                       "again.",
                       runs.prompt),
                mask_svg(blocks));
  }
  return text;
}

std::string page(const std::string& title, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + xml_text(title) +
         "</title>\n<style>\n"
         "body { font: 15px/1.45 Helvetica, Arial, sans-serif; color: #222; margin: 2em auto; max-width: 1040px; "
         "padding: 0 20px; }\n"
         "h1 { font-size: 26px; } h2 { font-size: 19px; margin: 1.6em 0 0.2em; } p { margin: 0.3em 0 0.8em; color: "
         "#555; }\n"
         "table.facts th { text-align: left; padding-right: 2em; font-weight: normal; color: #555; }\n"
         "pre { font-size: 12px; overflow-x: auto; background: #f6f6f6; padding: 10px; }\n"
         "svg { max-width: 100%; height: auto; }\n"
         "details { margin: 1em 0; } summary { cursor: pointer; }\n"
         "</style>\n</head>\n<body>\n" +
         body + "</body>\n</html>\n";
}

void run(const ReportFlags& flags) {
  OutputFile file(flags.output);  // one that cannot be written is known before everything is measured
  const OpenModel open = open_model(flags.model);
  const Device device = open_device(flags.model, TeamPolicy::fixed);
  EngineOptions options = flags.model.engine_options();
  options.context = flags.context, options.batch = flags.batch, options.profile = true;
  std::string body;
  const std::string model_name = open.model.name.empty() ? open.model.architecture : open.model.name;
  const std::string path = flags.model.model.empty() ? shipped_model().string() : flags.model.model;
  int32_t context = 0;
  {
    Engine engine = waiting_for("loading", [&] { return Engine(open.model, device, options); });
    Plan& plan = engine.plan();
    context = engine.context();
    std::vector<double> prefill_seconds;
    const ProfiledRuns runs =
        profiled_runs(engine, flags.repetitions, 16, [&] { prefill_seconds = plan.seconds_per_run(); });
    const std::vector<double> decode_seconds = plan.seconds_per_run();
    const RunTrace trace = traced_runs(engine, kTracedDecodes);

    const Machine machine = this_machine();
    body += "<h1>" + xml_text(model_name) + "</h1>\n<table class=\"facts\">\n" + row("file", path) +
            row("machine", machine.cpu) + row("device", device.name()) +
            row("precision", std::string(name(options.precision))) + row("weights", byte_text(plan.memory().weights)) +
            row("packed for kernels", byte_text(plan.memory().packed_weights)) +
            row("arena", byte_text(plan.memory().arena) + " for values of " + byte_text(plan.memory().intermediates));
    if (runs.decode.limits) body += row("limits", limits_text(*runs.decode.limits));
    body += row("prefill", format("%d tokens in %.3f ms", runs.prompt, 1e3 * runs.prefill.runs.median()));
    body += row("decode", format("1 token behind %d in %.3f ms", runs.behind, 1e3 * runs.decode.runs.median()));
    body += "</table>\n<p>Shapes have a text where the mouse is over them.</p>\n";

    const std::vector<PlanProfile> profiles = {runs.prefill, runs.decode};
    body +=
        section("Roofline",
                "Every step of a prefill (filled) and of a decoded token (outlined). The area of a dot is its share of "
                "the time. Steps that read neither weights nor keys are drawn over the bytes of all of their values, "
                "which lie in caches: they may be above the line of memory.",
                roofline_svg(plan, profiles));
    const size_t last = trace.runs.size() - 1;
    body += section("Timeline of a prefill", waits_text(trace, 0), timeline_svg(plan, trace, 0));
    if (last > 0) {
      body += section("Timeline of a decoded token", waits_text(trace, last), timeline_svg(plan, trace, last));
    }
    const char* about = flags.all
                            ? "Every step of the plan; heights tell its share of the time."
                            : "Equal steps of all layers are one box, with their number and the sum of their times; "
                              "heights tell shares of the time. Dashed edges go on to the next layer.";
    body += section("Steps of a prefill", about, svg_text(step_graph(plan, prefill_seconds, flags.all)));
    if (!decode_seconds.empty()) {
      body += section("Steps of a decoded token", about, svg_text(step_graph(plan, decode_seconds, flags.all)));
    }
    body += section(
        "Memory of values",
        "Where the plan has placed what its steps write, and their scratch, in one block. Values whose lives do "
        "not overlap share bytes.",
        arena_svg(plan));
    body += mask_sections(plan, runs);
    body += "<details><summary>Profile, as <code>weft explain --profile</code> prints it</summary>\n" +
            preformatted(profile_text(plan, runs.prefill, flags.all) + profile_text(plan, runs.decode, flags.all)) +
            "</details>\n";
  }
  body += rates_sections(flags, open.model, device, options, context);
  const std::string text = page("weft report: " + model_name, body);
  file.write(text.data(), text.size());
  file.finish();
}

}  // namespace

void add_report(CLI::App& app) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command = app.add_subcommand("report", "Measure a model, and draw what its plan does, as one page of HTML");
  command->footer(
      "The page shows each step below the roofs of the machine, timelines of the threads, the steps of a layer and "
      "how\n"
      "they depend on each other, the memory of values, which blocks attention skips, and rates over lengths of "
      "prompts,\n"
      "depths and numbers of sequences. It loads nothing from anywhere.");
  add_model_flag(*command, flags->model);
  command->add_option("-o,--output", flags->output, "The HTML file to write")->required()->type_name("FILE");
  add_size_flags(*command, flags->context, flags->batch);
  command->add_option("-r,--repetitions", flags->repetitions, "How often everything is measured")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  command->add_flag("--all", flags->all, "Show every step, equal ones too");
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  add_kernel_flag(*command, flags->model);
  command->callback([flags] { run(*flags); });
}

}  // namespace weft::tools
