#include "tools/bench_op.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "core/comma_list.h"
#include "core/error.h"
#include "gpu/case_runner.h"
#include "gpu/device.h"
#include "ops/cpu/kernel_table.h"
#include "runtime/plan/cache_formats.h"
#include "runtime/plan/device.h"
#include "runtime/plan/statistics.h"
#include "runtime/plan/text_table.h"
#include "runtime/trace/case_file.h"
#include "tools/common.h"
#include "tools/kernel_file.h"
#include "tools/measure.h"
#include "tools/op_peer.h"
#include "tools/op_time.h"

namespace weft::tools {
namespace {

struct OpFlags {
  std::string op, case_file, rows, device = "cpu", peers, threads, precision = "fast", cache = "warm", output = "table";
  std::vector<std::string> shapes, kernels, kernel_files;
  int rounds = 20;
  AttentionWork attention;
  std::string heads = "8x4", cache_type = "f32";
};

int64_t parse_count(const std::string& text, const std::string& flag) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > (1 << 24)) {
    throw Error(flag + ": '" + text + "' is no number from 1 to 2^24");
  }
  return value;
}

// "1,2,8", "1..1024" by doubling.
std::vector<int64_t> parse_counts(const std::string& text, const std::string& flag) {
  std::vector<int64_t> counts;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, comma - at);
    const size_t dots = part.find("..");
    if (dots == part.npos) {
      counts.push_back(parse_count(part, flag));
    } else {
      const int64_t last = parse_count(part.substr(dots + 2), flag);
      for (int64_t count = parse_count(part.substr(0, dots), flag); count <= last; count *= 2) counts.push_back(count);
    }
    at = comma + 1;
  }
  if (counts.empty()) throw Error(flag + ": '" + text + "' holds no number");
  return counts;
}

Format format_named(const std::string& text) {
  std::string upper = text;
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (const Format format : kFloatFormats) {
    if (name(format) == upper) return format;
  }
  throw Error("OP: there is no format '" + text + "'");
}

constexpr const char* kContract = "contract/";

std::vector<OpWork> works_of(const OpFlags& flags) {
  std::vector<OpWork> works;
  if (!flags.case_file.empty()) {
    works.push_back(case_work(read_case(flags.case_file)));
    return works;
  }
  // Numbers of rows, in place of that of the shape where they are given.
  const auto rows_of = [&](int64_t rows) {
    return flags.rows.empty() ? std::vector<int64_t>{rows} : parse_counts(flags.rows, "--rows");
  };
  const auto shapes_or = [&](const char* otherwise) {
    return flags.shapes.empty() ? std::vector<std::string>{otherwise} : flags.shapes;
  };
  if (flags.op == "attention") {
    if (!flags.shapes.empty()) throw Error("SHAPE: attention has --rows, --keys, --heads and --dim");
    AttentionWork work = flags.attention;
    const auto heads = parse_extents(flags.heads, "--heads", "KVxGROUP");
    work.heads = heads[0];
    work.group = heads[1];
    work.cache = *cache_format(flags.cache_type);
    for (const int64_t rows : rows_of(1)) {
      work.rows = rows;
      works.push_back(attention_work(work));
    }
  } else if (flags.op.starts_with(kContract)) {
    const Format format = format_named(flags.op.substr(std::string(kContract).size()));
    for (const std::string& shape : shapes_or("1x4096x4096")) {
      const auto extents = parse_extents(shape, "SHAPE", "ROWSxOUTPUTSxK");
      for (const int64_t rows : rows_of(extents[0]))
        works.push_back(contract_work(format, rows, extents[1], extents[2]));
    }
  } else {
    const Formula formula = parse_formula(flags.op);
    if (formula.inputs == std::vector<std::string>{flags.op}) {
      throw Error("OP: there is no '" + flags.op + "'; there are contract/FORMAT, attention, and formulas");
    }
    for (const std::string& shape : shapes_or("512x4096")) {
      const auto extents = parse_extents(shape, "SHAPE", "ROWSxWIDTH");
      for (const int64_t rows : rows_of(extents[0])) works.push_back(formula_work(formula, rows, extents[1]));
    }
  }
  return works;
}

// First what a plan runs, then the kernels of contractions that can serve, or those that are asked for.
std::vector<CpuRunOptions> sides_of(const OpWork& work, const OpFlags& flags, int threads) {
  const Precision precision = flags.precision == "exact" ? Precision::exact : Precision::fast;
  std::vector<CpuRunOptions> sides = {{.precision = precision, .threads = threads}};
  const auto wanted = [&](const std::string& kernel) {
    return flags.kernels.empty() || std::ranges::find(flags.kernels, kernel) != flags.kernels.end();
  };
  const auto names_of = [&](const CpuRunOptions& side) {
    std::vector<std::string> names;
    for (const KernelRange& range : CpuCaseRunner(work.step_case, side).kernels()) {
      if (range.first_rows <= work.rows && work.rows <= range.last_rows) names.push_back(range.name);
    }
    return names;
  };
  const std::vector<std::string> first = names_of(sides.front());
  const StepKind kind = work.step_case.step().kind;
  if (kind != StepKind::contract && kind != StepKind::append) return sides;
  for (const ProductKernel* kernel : kernel_table().products()) {
    if (!kernel->is_available() || !kernel->serves(precision) || !wanted(kernel->name)) continue;
    if (std::ranges::find(first, kernel->name) != first.end()) continue;
    CpuRunOptions side = sides.front();
    side.forced = kernel;
    const std::vector<std::string> names = names_of(side);
    if (std::ranges::find(names, kernel->name) != names.end()) sides.push_back(side);
  }
  return sides;
}

struct OpResult {
  std::string shape, kernel;
  int threads = 1;
  std::vector<double> seconds;
  double flops = 0, bytes = 0, limit_share = 0;
  RateRatio to_first;
};

// On an OpenCL device: what a plan runs there, and the kernels that are asked for.
std::vector<OpResult> measure_on_device(const OpFlags& flags) {
  const std::shared_ptr<GpuDevice> device = Device::by_name(flags.device).gpu();
  std::vector<std::string> kernels = {""};
  kernels.insert(kernels.end(), flags.kernels.begin(), flags.kernels.end());
  std::vector<OpResult> results;
  for (const OpWork& work : works_of(flags)) {
    std::vector<std::unique_ptr<GpuCaseRunner>> runners;
    std::vector<TimedRuns> sides;
    for (const std::string& kernel : kernels) {
      runners.push_back(std::make_unique<GpuCaseRunner>(*device, work.step_case, kernel));
      sides.emplace_back([of = runners.back().get()](int64_t times) { of->run(times); });
    }
    const auto times = time_in_turns(sides, flags.rounds);
    for (size_t side = 0; side < times.size(); ++side) {
      if (side > 0 && !runners[side]->ran().contains(kernels[side])) {
        throw Error("--kernel: '" + kernels[side] + "' does not serve " + work.name + " on " + device->info().name);
      }
      results.push_back({work.name, comma_list(runners[side]->ran()), 0, times[side], work.flops, work.bytes, 0,
                         ratio_of_rounds(times[side], times[0])});
    }
  }
  return results;
}

std::vector<std::string> peers_of(const OpFlags& flags) {
  std::vector<std::string> peers = op_peers_in(flags.peers);
  if (!peers.empty() && flags.op != std::string(kContract) + "f32") {
    throw CLI::ValidationError("--vs", "is for contract/f32: what these libraries compute too");
  }
  return peers;
}

std::vector<OpResult> measure(const OpFlags& flags) {
  use_kernel_files(flags.kernel_files, flags.device);
  if (flags.device != "cpu") return measure_on_device(flags);
  for (const std::string& kernel : flags.kernels) {
    if (!kernel_table().has(kernel)) throw Error("--kernel: there is no kernel '" + kernel + "'");
  }
  std::vector<int64_t> teams = {thread_count(0)};
  if (!flags.threads.empty()) teams = parse_counts(flags.threads, "--threads");
  const CacheState cache = flags.cache == "cold" ? CacheState::cold : CacheState::warm;
  const std::vector<std::string> peers = peers_of(flags);
  std::vector<OpResult> results;
  for (const OpWork& work : works_of(flags)) {
    for (const int64_t team : teams) {
      const int threads = thread_count(static_cast<int>(team));
      const MachineLimits limits = measure_limits(threads, static_cast<size_t>(work.bytes));
      std::vector<std::string> ran;
      std::vector<TimedRuns> others;
      for (const std::string& peer : peers) others.push_back(op_peer(peer, *work.matrices, threads));
      const auto times = time_in_turns(work, sides_of(work, flags, threads), flags.rounds, cache, ran, others);
      ran.insert(ran.end(), peers.begin(), peers.end());
      for (size_t side = 0; side < times.size(); ++side) {
        results.push_back({work.name, ran[side], threads, times[side], work.flops, work.bytes,
                           least_seconds(work, limits, ran[side]) / median(times[side]),
                           ratio_of_rounds(times[side], times[0])});
      }
    }
  }
  return results;
}

std::string ratio_text(const RateRatio& ratio) {
  std::string text = format("%.3f", ratio.ratio);
  if (ratio.interval) text += format(" (%.3f - %.3f)", ratio.interval->low, ratio.interval->high);
  return text;
}

std::string table_of(const std::vector<OpResult>& results) {
  TextTable table{.head = {{"shape"},
                           {"threads", true},
                           {"kernel"},
                           {"us min", true},
                           {"median", true},
                           {"max", true},
                           {"GFLOP/s", true},
                           {"GB/s", true},
                           {"% limit", true},
                           {"x first (95 %)", true}}};
  for (const OpResult& result : results) {
    const double time = median(result.seconds);
    const auto [least, most] = std::ranges::minmax(result.seconds);
    table.rows.push_back({result.shape, result.threads > 0 ? std::to_string(result.threads) : "", result.kernel,
                          format("%.2f", least * 1e6), format("%.2f", time * 1e6), format("%.2f", most * 1e6),
                          format("%.1f", result.flops / time / 1e9), format("%.1f", result.bytes / time / 1e9),
                          result.limit_share > 0 ? format("%.1f", 100 * result.limit_share) : "",
                          ratio_text(result.to_first)});
  }
  return table.text();
}

std::string csv_of(const OpFlags& flags, const std::vector<OpResult>& results) {
  std::string text =
      "op,shape,threads,kernel,precision,cache,seconds_min,seconds_median,seconds_max,flops,bytes,"
      "limit_share,ratio,ratio_low,ratio_high\n";
  for (const OpResult& result : results) {
    const auto [least, most] = std::ranges::minmax(result.seconds);
    const auto& interval = result.to_first.interval;
    text += "\"" + flags.op + "\",\"" + result.shape + "\"," + std::to_string(result.threads) + ",\"" + result.kernel +
            "\"," + flags.precision + "," + flags.cache +
            format(",%.9g,%.9g,%.9g,%.9g,%.9g,%.4f,%.4f,", least, median(result.seconds), most, result.flops,
                   result.bytes, result.limit_share, result.to_first.ratio) +
            (interval ? format("%.4f,%.4f", interval->low, interval->high) : std::string(",")) + "\n";
  }
  return text;
}

std::string json_of(const OpFlags& flags, const std::vector<OpResult>& results) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const OpResult& result : results) {
    nlohmann::ordered_json entry = {{"op", flags.op},
                                    {"shape", result.shape},
                                    {"threads", result.threads},
                                    {"kernel", result.kernel},
                                    {"precision", flags.precision},
                                    {"cache", flags.cache},
                                    {"seconds", result.seconds},
                                    {"flops", result.flops},
                                    {"bytes", result.bytes},
                                    {"limit_share", result.limit_share},
                                    {"ratio", result.to_first.ratio}};
    if (const auto& interval = result.to_first.interval) entry["ratio_interval"] = {interval->low, interval->high};
    list.push_back(std::move(entry));
  }
  return list.dump(2) + "\n";
}

void run(const OpFlags& flags) {
  const std::vector<OpResult> results = measure(flags);
  print(flags.output == "json"  ? json_of(flags, results)
        : flags.output == "csv" ? csv_of(flags, results)
                                : table_of(results));
}

}  // namespace

void add_bench_op(CLI::App& bench) {
  auto flags = std::make_shared<OpFlags>();
  CLI::App* command = bench.add_subcommand("op", "Time one operation on every kernel that can serve it");
  command->footer(
      "OP is contract/FORMAT (contract/q4_k) with shapes ROWSxOUTPUTSxK, attention, or a formula of rows with shapes\n"
      "ROWSxWIDTH: 'rms_norm(x, w, $eps)', 'silu(a) * b' (docs/write_a_kernel.md has what formulas are made of). "
      "First\n"
      "comes what a plan runs, then each other kernel of contractions that can serve; all take turns. 'x first' is "
      "how\n"
      "many times as fast as the first one each is, by the median of the rounds, with an interval of 95 %.");
  CLI::Option* op = command->add_option("OP", flags->op, "The operation");
  command->add_option("SHAPE", flags->shapes, "Its shapes")->needs(op);
  command
      ->add_option("--case", flags->case_file,
                   "Instead of OP: a step of a model, as explain --dump-step has written it")
      ->type_name("FILE")
      ->excludes(op);
  command
      ->add_option("--rows", flags->rows,
                   "Numbers of rows in place of those of the shapes: 1,8 or 1..1024, by doubling")
      ->type_name("LIST");
  CLI::Option* device =
      command->add_option("--device", flags->device, "cpu, opencl, or opencl:NAME for the device with that name")
          ->capture_default_str()
          ->check([](const std::string& name) {
            return name == "cpu" || name == "opencl" || name.starts_with("opencl:") ? std::string()
                                                                                    : "no device '" + name + "'";
          })
          ->type_name("DEVICE");
  command
      ->add_option("--vs", flags->peers,
                   "Of contract/f32: libraries that take turns with the kernels, a list of " + op_peer_names() +
                       "; each is found when it is asked for (eigen by its headers, which $CXX builds)")
      ->check([](const std::string& list) {
        try {
          (void)op_peers_in(list);
        } catch (const Error& error) {
          return std::string(error.what());
        }
        return std::string();
      })
      ->type_name("LIST")
      ->excludes(device);
  command->add_option("--kernel", flags->kernels, "Only these kernels besides the first (may be repeated)")
      ->type_name("NAME");
  add_kernel_file_flag(*command, flags->kernel_files);
  command->add_option("-t,--threads", flags->threads, "CPU threads, a list (default: the CPUs that may be used)")
      ->type_name("LIST");
  command->add_option("-r,--rounds", flags->rounds, "Rounds; fewer of what takes long")
      ->check(CLI::Range(3, 10000))
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--precision", flags->precision, "exact or fast: which kernels can serve")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str()
      ->type_name("P");
  command
      ->add_option("--cache", flags->cache,
                   "warm: the same memory is read again and again; cold: copies take turns, twice the last-level cache")
      ->check(CLI::IsMember({"warm", "cold"}))
      ->capture_default_str()
      ->type_name("STATE");
  command->add_option("--keys", flags->attention.keys, "Of attention: keys; the rows are the last ones")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--heads", flags->heads, "Of attention: heads of keys x queries to each")
      ->capture_default_str()
      ->type_name("KVxGROUP");
  command->add_option("--dim", flags->attention.dim, "Of attention: elements of a key and of a value")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--score", flags->attention.score,
                   "Of attention: causal, window, alibi, softcap, prefix, joined by +")
      ->capture_default_str()
      ->type_name("SCORE");
  command->add_option("--cache-type", flags->cache_type, "Of attention: f32, f16, bf16 or q8_0")
      ->check([](const std::string& given) {
        return cache_format(given) ? std::string()
                                   : "no type of caches '" + given + "': there are " + cache_format_names();
      })
      ->capture_default_str()
      ->type_name("TYPE");
  command->add_option("-o,--output", flags->output, "table, json or csv")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str()
      ->type_name("FORMAT");
  command->callback([flags] {
    if (flags->op.empty() && flags->case_file.empty()) throw CLI::RequiredError("OP or --case");
    run(*flags);
  });
}

}  // namespace weft::tools
