// weft trace: every value of a prompt, recorded, or compared with a recording.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "runtime/trace/recording.h"
#include "runtime/trace/trace_comparison.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

constexpr double kExactTolerance = 1e-4, kFastTolerance = 5e-2;
constexpr size_t kListed = 12;  // names shown of a list that may be long

struct TraceFlags {
  ModelFlags model;
  PromptFlags prompt;
  std::string output, against, map;
  std::optional<double> tolerance;
  std::string expand;
  CLI::Option* expand_option = nullptr;
  int chunk = 0;
  bool all = false;
};

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kListed); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kListed ? text + ", and " + std::to_string(names.size() - kListed) + " more" : text;
}

std::string described(const ComparedValue& compared, double tolerance, const char* other) {
  const TracedValue& value = compared.value;
  std::string text = value.name + " (" + value.axes_text() + ")";
  if (compared.recorded_as != value.name) text += ", " + std::string(other) + " as " + compared.recorded_as;
  if (compared.state == ComparedValue::State::misfit) return text + ": " + compared.reason + "\n";
  const auto line = [&](const char* which, const Difference& d) {
    return format("  %s at %s: %.9g here, %.9g %s; difference %.3g, %.3g of the largest\n", which,
                  coordinates_text(value, d.at).c_str(), d.here, d.recorded, other, d.absolute, d.relative);
  };
  text += format("\n  %lld of %lld elements differ by more than %g of the largest, which is %.6g\n",
                 static_cast<long long>(compared.beyond), static_cast<long long>(value.elements()), tolerance,
                 compared.scale);
  text += line("first", compared.first);
  return compared.first.at == compared.largest.at ? text : text + line("most", compared.largest);
}

// One line per value. If there are many, parts of steps that agree are left out.
std::string table(const std::vector<ComparedValue>& values, bool all) {
  std::string text = format("%-32s %-36s %11s %11s\n", "value", "axes", "difference", "of largest");
  size_t left_out = 0;
  for (const ComparedValue& compared : values) {
    using State = ComparedValue::State;
    if (compared.state == State::absent || compared.state == State::left_out) continue;
    if (!all && !compared.differs() && compared.value.name.find('/') != std::string::npos) {
      ++left_out;
      continue;
    }
    text += format("%-32s %-36s ", compared.value.name.c_str(), compared.value.axes_text().c_str());
    if (compared.state == State::misfit) text += format("%23s  <-", "does not fit");
    else {
      text += format("%11.3g %11.3g%s", compared.largest.absolute, compared.largest.relative,
                     compared.differs() ? "  <-" : "");
    }
    text += "\n";
  }
  if (left_out != 0) text += format("(and %zu parts of steps that agree; --all lists them)\n", left_out);
  return text;
}

const ComparedValue* first_that_differs(const std::vector<ComparedValue>& values) {
  const auto at = std::find_if(values.begin(), values.end(), [](const ComparedValue& c) { return c.differs(); });
  return at == values.end() ? nullptr : &*at;
}

// Prints the findings; true if everything that could be compared agrees.
bool report(const TraceComparison& comparison, double tolerance, bool all) {
  const auto& values = comparison.values();
  std::vector<std::string> absent;
  size_t compared = 0;
  for (const ComparedValue& value : values) {
    const bool is_part = value.value.name.find('/') != std::string::npos;
    if (value.state == ComparedValue::State::absent && (all || !is_part)) absent.push_back(value.value.name);
    compared += value.state == ComparedValue::State::compared;
  }
  print(table(values, all));
  if (!absent.empty()) print("not in the recording: " + listed(absent) + "\n");
  if (const auto unused = comparison.unused(); !unused.empty()) {
    print("only in the recording: " + listed(unused) + "\n");
  }
  const ComparedValue* first = first_that_differs(values);
  if (first != nullptr) {
    print("first difference: " + described(*first, tolerance, "recorded"));
    return false;
  }
  print(format("%zu values agree within %g of their largest element\n", compared, tolerance));
  return true;
}

bool report_reference(const ReferenceComparison& comparison, double tolerance) {
  const ComparedValue* first = first_that_differs(comparison.values());
  if (first != nullptr) {
    print("differs from the reference, given the same inputs: " + described(*first, tolerance, "by the reference"));
    return false;
  }
  print(format("%zu results of expanded steps agree with the reference within %g of their largest element\n",
               comparison.values().size(), tolerance));
  return true;
}

std::vector<int32_t> prompt_tokens(const TraceFlags& flags, const OpenModel& open, const Recording* recording) {
  if (flags.prompt.has_tokens()) return parse_ids(flags.prompt.tokens, "--tokens");
  if (flags.prompt.has_text()) {
    return open_tokenizer(*open.file, flags.model)->encode(flags.prompt.prompt_text(), true);
  }
  std::vector<int32_t> tokens = recording->tokens();
  if (tokens.empty()) throw Error(recording->path() + ": contains no tokens; give the prompt that it was made with");
  return tokens;
}

// False if a comparison found a difference.
bool run(const TraceFlags& flags) {
  std::optional<Recording> recording;
  std::optional<TraceMap> map;
  if (!flags.against.empty()) recording.emplace(Recording::open(flags.against));
  if (!flags.map.empty()) map.emplace(TraceMap::open(flags.map));
  const OpenModel open = open_model(flags.model);
  const std::vector<int32_t> tokens = prompt_tokens(flags, open, recording ? &*recording : nullptr);
  warn_beyond_training(open.model, static_cast<int64_t>(tokens.size()), "a prompt of");
  const Device device = open_device(flags.model);
  TraceOptions options;
  options.precision = flags.model.precision_value();
  const EngineOptions engine = flags.model.engine_options();
  options.cache_k = engine.cache_k;
  options.cache_v = engine.cache_v;
  options.pack_cache = engine.pack_cache;
  options.warn = engine.warn;
  options.chunk = flags.chunk;
  if (*flags.expand_option) options.expand = flags.expand.empty() ? "*" : flags.expand;
  const bool rounded = options.cache_k.value_or(Format::f32) != Format::f32 ||
                       options.cache_v.value_or(Format::f32) != Format::f32 || options.precision == Precision::fast;
  const bool fast = rounded || (recording && recording->text("precision") == "fast");
  const double tolerance = flags.tolerance.value_or(fast ? kFastTolerance : kExactTolerance);

  std::vector<TraceSink*> sinks;
  std::optional<RecordingWriter> writer;
  std::optional<TraceComparison> comparison;
  ReferenceComparison reference(tolerance);
  if (!flags.output.empty()) {
    const std::string precision(name(options.precision));
    sinks.push_back(
        &writer.emplace(flags.output, std::map<std::string, std::string>{{"format", "weft trace 1"},
                                                                         {"model", open.file->path()},
                                                                         {"architecture", open.model.architecture},
                                                                         {"device", device.name()},
                                                                         {"precision", precision}}));
  }
  if (recording) sinks.push_back(&comparison.emplace(*recording, map ? &*map : nullptr, tolerance));
  if (options.expand) sinks.push_back(&reference);
  waiting_for("tracing", [&] { return trace(open.model, device, tokens, options, sinks), 0; });
  if (writer) writer->finish();

  std::fprintf(stderr, "%s%zu tokens (%s, precision %s)\n", writer ? (flags.output + ": ").c_str() : "", tokens.size(),
               device.name().c_str(), std::string(name(options.precision)).c_str());
  bool agree = true;
  if (comparison) agree = report(*comparison, tolerance, flags.all);
  if (options.expand) agree &= report_reference(reference, tolerance);
  return agree;
}

}  // namespace

void add_trace(CLI::App& app) {
  auto flags = std::make_shared<TraceFlags>();
  CLI::App* command =
      app.add_subcommand("trace", "Record every value of a prompt, or find the first that differs from a recording");
  command->footer(
      "A recording is a safetensors file with every value that the model's graph materializes, the logits of all\n"
      "positions and the tokens. --against runs and compares: the exit code is 1 where a value differs by more than\n"
      "the tolerance times the largest element of the recorded one. Without a prompt, the recording's tokens are\n"
      "taken. A prompt is processed in chunks, so that memory does not grow with its length.");
  add_model_flag(*command, flags->model);
  add_prompt_flags(*command, flags->prompt, kPromptText | kPromptFile | kPromptTokens);
  command->add_option("-o,--output", flags->output, "Recording to write")->type_name("OUT.safetensors");
  CLI::Option* against =
      command->add_option("--against", flags->against, "Recording to compare with")->type_name("REC.safetensors");
  command->add_option("--map", flags->map, "Names of the values in a recording made elsewhere (see tools/trace/)")
      ->needs(against)
      ->type_name("FILE.json");
  command
      ->add_option("--tolerance", flags->tolerance,
                   "Largest difference allowed (default: 1e-4 where both are exact, with caches in f32, else 5e-2)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  flags->expand_option =
      command
          ->add_option(
              "--expand", flags->expand,
              "Also the parts of steps (of all, or of those with such names: 'blk.3.*'), by the reference; slow")
          ->expected(0, 1)
          ->type_name("STEPS");
  command
      ->add_option("--chunk", flags->chunk, "Tokens to process at a time (default: as many as have values of 256 MiB)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  command->add_flag("--all", flags->all, "Also list parts of steps that agree");
  add_tokenizer_flag(*command, flags->model);
  add_device_flags(*command, flags->model);
  add_cache_flags(*command, flags->model);
  command->callback([flags] {
    if (flags->output.empty() && flags->against.empty()) throw CLI::RequiredError("one of --output and --against");
    if (!flags->prompt.has_text() && !flags->prompt.has_tokens() && flags->against.empty()) {
      throw CLI::RequiredError("one of --prompt, --file, --tokens and --against");
    }
    if (!run(*flags)) throw NegativeResult();
  });
}

}  // namespace weft::tools
