#include "tools/report_charts.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/plan/explain.h"
#include "runtime/plan/step_graph.h"
#include "runtime/plan/svg.h"
#include "tools/output.h"

namespace weft::tools {

namespace {

constexpr double kWidth = 1000;
constexpr const char *kGrid = "#ddd", *kAxis = "#888", *kText = "#222", *kFaint = "#666";
constexpr std::array kSeriesColours = {"#4c78a8", "#e45756", "#54a24b", "#f58518"};

// One direction of a chart: numbers to pixels.
struct Scale {
  double low, high;  // numbers
  double from, to;   // pixels
  bool is_log = false;
  double operator()(double number) const {
    const auto place = [this](double x) { return is_log ? std::log10(x) : x; };
    return from + (to - from) * (place(number) - place(low)) / (place(high) - place(low));
  }
  // Powers of ten, or round numbers of which there are about five.
  std::vector<double> ticks() const {
    std::vector<double> ticks;
    if (is_log) {
      for (double tick = std::pow(10, std::ceil(std::log10(low) - 1e-9)); tick <= high * (1 + 1e-9); tick *= 10) {
        ticks.push_back(tick);
      }
      return ticks;
    }
    const double step = round_step((high - low) / 5);
    for (double tick = std::ceil(low / step) * step; tick <= high * (1 + 1e-9); tick += step) ticks.push_back(tick);
    return ticks;
  }
  // 1, 2 or 5 times a power of ten, at least `least`.
  static double round_step(double least) {
    const double power = std::pow(10, std::floor(std::log10(least)));
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor * power >= least * (1 - 1e-9)) return factor * power;
    }
    return 10 * power;
  }
};

std::string tick_text(double number) {
  std::string text = number >= 1000 || number == 0 ? with_prefix(number) : format("%g", number);
  return number == 0 ? "0" : text;
}

void draw_axes(Svg& svg, const Scale& x, const Scale& y, const std::string& x_name, const std::string& y_name) {
  for (const double tick : x.ticks()) {
    svg.line(x(tick), y.from, x(tick), y.to, {.stroke = kGrid});
    svg.text(x(tick), y.from + 16, tick_text(tick), 11, SvgAnchor::middle, kFaint);
  }
  for (const double tick : y.ticks()) {
    svg.line(x.from, y(tick), x.to, y(tick), {.stroke = kGrid});
    svg.text(x.from - 6, y(tick) + 4, tick_text(tick), 11, SvgAnchor::end, kFaint);
  }
  svg.line(x.from, y.from, x.to, y.from, {.stroke = kAxis});
  svg.line(x.from, y.from, x.from, y.to, {.stroke = kAxis});
  svg.text((x.from + x.to) / 2, y.from + 34, x_name, 12, SvgAnchor::middle, kText);
  svg.text(x.from, y.to - 8, y_name, 12, SvgAnchor::start, kText);
}

// What the colours of kinds stand for, from (x, y) on to the right.
void draw_kinds(Svg& svg, double x, double y) {
  for (int kind = 0; kind < kStepKindCount; ++kind) {
    const std::string_view text = name(static_cast<StepKind>(kind));
    svg.rectangle(x, y - 10, 12, 12, {.fill = std::string(kind_colour(static_cast<StepKind>(kind)))}, {}, 2);
    svg.text(x + 17, y, text, 12, SvgAnchor::start, kText);
    x += 34 + 7.2 * static_cast<double>(text.size());
  }
}

struct Dot {
  double intensity, rate, share;
  std::string title;
  StepKind kind;
  size_t profile;
};

std::vector<Dot> dots_of(const Plan& plan, std::span<const PlanProfile> profiles) {
  std::vector<Dot> dots;
  for (size_t p = 0; p < profiles.size(); ++p) {
    const PlanProfile& profile = profiles[p];
    double all = 0;
    for (const RunTimes& times : profile.steps) all += times.median();
    for (size_t i = 0; i < profile.steps.size(); ++i) {
      const StepCost& cost = profile.costs[i];
      const double read = cost.weight_bytes + cost.key_bytes, seconds = profile.steps[i].median();
      const bool reads = cost.product_flops > 0 && read > 0;
      const double flops = reads ? cost.product_flops : cost.flops, bytes = reads ? read : cost.bytes;
      if (flops <= 0 || bytes <= 0 || seconds <= 0) continue;
      const Step& step = plan.graph().steps[i];
      dots.push_back({flops / bytes, flops / seconds, seconds / all,
                      step.name + ", " + profile.title + "\n" + profile.kernels[i] + "\n" + with_prefix(flops) +
                          "FLOP, " + byte_text(static_cast<size_t>(bytes)) + ", " + time_text(seconds) + "\n" +
                          with_prefix(flops / seconds) + "FLOP/s, " + with_prefix(bytes / seconds) + "B/s",
                      step.kind, p});
    }
  }
  return dots;
}

}  // namespace

std::string roofline_svg(const Plan& plan, std::span<const PlanProfile> profiles) {
  const std::vector<Dot> dots = dots_of(plan, profiles);
  const auto limited = std::ranges::find_if(profiles, [](const PlanProfile& one) { return one.limits.has_value(); });
  double low_x = 0.1, high_x = 1000, low_y = 1e9, high_y = 1e10;
  for (const Dot& dot : dots) {
    low_x = std::min(low_x, dot.intensity), high_x = std::max(high_x, dot.intensity);
    low_y = std::min(low_y, dot.rate), high_y = std::max(high_y, dot.rate);
  }
  struct Roof {
    std::string name;
    double height;
  };
  std::vector<Roof> roofs;
  if (limited != profiles.end()) {
    for (const PeakUnit unit : {PeakUnit::fma, PeakUnit::int8, PeakUnit::amx}) {
      if (unit == PeakUnit::amx && limited->limits->amx_flops == 0) continue;
      const double peak = peak_of(*limited->limits, unit);
      roofs.push_back({peak_name(unit) + " " + with_prefix(peak) + "FLOP/s", peak});
      high_y = std::max(high_y, peak);
    }
  }
  const auto floor10 = [](double number) { return std::pow(10, std::floor(std::log10(number))); };
  const Scale x{floor10(low_x), 10 * floor10(high_x), 80, kWidth - 20, true};
  const Scale y{floor10(low_y), 10 * floor10(high_y), 500, 46, true};
  Svg svg;
  draw_axes(svg, x, y, "FLOPs for each byte read", "FLOP/s");
  draw_kinds(svg, x.from + 80, 16);
  if (limited != profiles.end()) {
    const double reads = limited->limits->read_bytes;
    double highest = 0;
    for (const Roof& roof : roofs) {
      const double ridge = std::max(roof.height / reads, x.low);
      svg.line(x(ridge), y(roof.height), x.to, y(roof.height), {.stroke = "#444", .width = 1.5, .dashes = "6 3"});
      svg.text(x.to - 4, y(roof.height) - 5, roof.name, 12, SvgAnchor::end, kText);
      highest = std::max(highest, roof.height);
    }
    const double begin = std::max(x.low, y.low / reads), end = std::min(highest / reads, x.high);
    svg.line(x(begin), y(begin * reads), x(end), y(end * reads), {.stroke = "#444", .width = 1.5}, "reads of memory");
    svg.text(x(begin) + 8, y(begin * reads) - 14, "reads " + with_prefix(reads) + "B/s", 12, SvgAnchor::start, kText);
  }
  for (const Dot& dot : dots) {
    const double radius = 3 + 28 * std::sqrt(dot.share);
    const std::string colour(kind_colour(dot.kind));
    if (dot.profile == 0) {
      svg.circle(x(dot.intensity), y(dot.rate), radius,
                 {.fill = colour, .stroke = "#fff", .width = 0.5, .opacity = 0.7}, dot.title);
    } else {
      // A fill that cannot be seen, so that the mouse finds the dot.
      svg.circle(x(dot.intensity), y(dot.rate), radius, {.fill = "#ffffff01", .stroke = colour, .width = 2}, dot.title);
    }
  }
  return svg.picture(kWidth, 545);
}

std::vector<double> waiting_shares(const RunTrace& trace, size_t run) {
  const auto [begin, end, extents] = trace.runs[run];
  const auto seconds = [](RunTrace::Clock::duration time) { return std::chrono::duration<double>(time).count(); };
  std::vector<double> shares;
  for (int thread = 0; thread < trace.team.threads(); ++thread) {
    double working = 0;
    // Spans are in the order of their ends: waits within a step, which lie in its time, come before it.
    std::vector<TeamTrace::Span> waits;
    for (const TeamTrace::Span& span : trace.team.of(thread)) {
      if (span.begin < begin || span.end > end) continue;
      if (span.step == TeamTrace::kWaiting) {
        waits.push_back(span);
        continue;
      }
      working += seconds(span.end - span.begin);
      for (const TeamTrace::Span& wait : waits) {
        if (wait.begin >= span.begin) working -= seconds(wait.end - wait.begin);
      }
      waits.clear();
    }
    shares.push_back(1 - working / seconds(end - begin));
  }
  return shares;
}

std::string timeline_svg(const Plan& plan, const RunTrace& trace, size_t run) {
  constexpr double kLaneHeight = 40, kTop = 34, kLeft = 80;
  const auto [begin, end, extents] = trace.runs[run];
  const auto seconds = [from = begin](RunTrace::Clock::time_point at) {
    return std::chrono::duration<double>(at - from).count();
  };
  const double height = kTop + kLaneHeight * trace.team.threads();
  const Scale x{0, std::max(seconds(end), 1e-9), kLeft, kWidth - 20};
  Svg svg;
  draw_kinds(svg, kLeft, 16);
  svg.rectangle(kLeft + 640, 6, 12, 12, {.fill = "#ccc"}, {}, 2);
  svg.text(kLeft + 657, 16, "wait", 12, SvgAnchor::start, kText);
  for (const double tick : x.ticks()) {
    svg.line(x(tick), kTop, x(tick), height + 6, {.stroke = kGrid});
    svg.text(x(tick), height + 22, tick > 0 ? time_text(tick) : "0", 11, SvgAnchor::middle, kFaint);
  }
  for (int thread = 0; thread < trace.team.threads(); ++thread) {
    const double top = kTop + kLaneHeight * thread;
    svg.text(kLeft - 8, top + kLaneHeight / 2 + 4, plan.device().is_cpu() ? format("thread %d", thread) : "device", 12,
             SvgAnchor::end, kText);
    const auto draw = [&](bool waits) {
      for (const TeamTrace::Span& span : trace.team.of(thread)) {
        if ((span.step == TeamTrace::kWaiting) != waits || span.begin < begin || span.end > end) continue;
        const double from = x(seconds(span.begin)), to = x(seconds(span.end));
        const std::string time = time_text(seconds(span.end) - seconds(span.begin));
        if (waits) {
          svg.rectangle(from, top + 4, std::max(to - from, 0.2), kLaneHeight - 8, {.fill = "#ccc"}, "wait\n" + time);
          continue;
        }
        const auto step = static_cast<size_t>(span.step);
        svg.rectangle(from, top + 4, std::max(to - from, 0.2), kLaneHeight - 8,
                      {.fill = std::string(kind_colour(plan.graph().steps[step].kind)), .stroke = "#fff", .width = 0.3},
                      plan.graph().steps[step].name + "\n" + plan.steps()[step].kernel + "\n" + time);
      }
    };
    draw(false), draw(true);
  }
  return svg.picture(kWidth, height + 32);
}

std::string rates_svg(const std::vector<RateSeries>& series, const std::string& x_name) {
  double high_x = 1, high_y = 1e-9, low_x = 1e30;
  for (const RateSeries& one : series) {
    for (const RateSeries::Point& point : one.points) {
      low_x = std::min(low_x, point.x), high_x = std::max(high_x, point.x);
      high_y = std::max({high_y, point.most, point.limit.value_or(0)});
    }
  }
  const double step = Scale::round_step(high_y / 5);
  const Scale x{std::min(low_x, 0.0), high_x * 1.03, 80, kWidth - 150};
  const Scale y{0, std::ceil(high_y / step) * step, 330, 40};
  Svg svg;
  draw_axes(svg, x, y, x_name, "tokens/s");
  for (size_t i = 0; i < series.size(); ++i) {
    const std::string colour = kSeriesColours[i % kSeriesColours.size()];
    std::string measured, allowed;
    for (const RateSeries::Point& point : series[i].points) {
      const auto go = [&](std::string& path, double rate) {
        path += (path.empty() ? "M " : " L ") + svg_number(x(point.x)) + " " + svg_number(y(rate));
      };
      go(measured, point.median);
      if (point.limit) go(allowed, *point.limit);
      svg.line(x(point.x), y(point.least), x(point.x), y(point.most), {.stroke = colour, .width = 2});
    }
    if (!allowed.empty())
      svg.path(allowed, {.stroke = colour, .width = 1.2, .dashes = "5 4"}, "what the machine allows");
    svg.path(measured, {.stroke = colour, .width = 2});
    for (const RateSeries::Point& point : series[i].points) {
      std::string title = series[i].name + format(" at %g: %.4g tokens/s (%.4g to %.4g)", point.x, point.median,
                                                  point.least, point.most);
      if (point.limit) title += format(", %.1f %% of what the machine allows", 100 * point.median / *point.limit);
      svg.circle(x(point.x), y(point.median), 4, {.fill = colour}, title);
    }
    const double at = 60 + 40 * static_cast<double>(i);
    svg.line(kWidth - 140, at, kWidth - 116, at, {.stroke = colour, .width = 2});
    svg.text(kWidth - 110, at + 4, series[i].name, 12, SvgAnchor::start, kText);
    if (allowed.empty()) continue;
    svg.line(kWidth - 140, at + 16, kWidth - 116, at + 16, {.stroke = colour, .width = 1.2, .dashes = "5 4"});
    svg.text(kWidth - 110, at + 20, "limit", 12, SvgAnchor::start, kText);
  }
  return svg.picture(kWidth, 375);
}

std::string arena_svg(const Plan& plan) {
  const std::vector<ArenaPart> parts = plan.arena();
  const double groups = static_cast<double>(std::max<size_t>(plan.schedule().groups.size(), 1));
  const double bytes = static_cast<double>(std::max<size_t>(plan.memory().arena, 1));
  const Scale x{0, groups, 80, kWidth - 20};
  const Scale y{0, bytes, 430, 40};
  Svg svg;
  draw_axes(svg, x, y, "groups of steps, in the order in which they run", "offset in bytes");
  for (const ArenaPart& part : parts) {
    if (part.bytes == 0) continue;
    const double from = x(static_cast<double>(part.first_group)), to = x(static_cast<double>(part.last_group + 1)),
                 bottom = y(static_cast<double>(part.offset)), top = y(static_cast<double>(part.offset + part.bytes));
    const bool scratch = part.value == kNoValue;
    const std::string name = scratch ? "scratch" : plan.graph().values[part.value].name;
    svg.rectangle(from, top, to - from, bottom - top,
                  {.fill = scratch ? "#eeca3b" : "#4c78a8", .stroke = "#fff", .width = 0.5, .opacity = 0.85},
                  name + "\n" + byte_text(part.bytes) + " at " + std::to_string(part.offset) +
                      format("\ngroups %zu to %zu", part.first_group, part.last_group));
    if (bottom - top >= 12) {
      svg.text(from + 4, (top + bottom) / 2 + 4, fitting_text(name, to - from - 6, 11), 11, SvgAnchor::start, "#fff");
    }
  }
  svg.rectangle(kWidth - 210, 12, 12, 12, {.fill = "#4c78a8"}, {}, 2);
  svg.text(kWidth - 193, 22, "values", 12, SvgAnchor::start, kText);
  svg.rectangle(kWidth - 130, 12, 12, 12, {.fill = "#eeca3b"}, {}, 2);
  svg.text(kWidth - 113, 22, "scratch of a group", 12, SvgAnchor::start, kText);
  return svg.picture(kWidth, 475);
}

std::string mask_svg(const MaskBlocks& blocks) {
  constexpr double kSide = 420, kLeft = 80, kTop = 30;
  const auto rows = static_cast<double>(std::max<int64_t>(blocks.rows(), 1)),
             columns = static_cast<double>(std::max<int64_t>(blocks.columns(), 1));
  Svg svg;
  const auto colour = [](BlockState state) -> std::string {
    return state == BlockState::skipped ? "#eee" : state == BlockState::partial ? "#f58518" : "#4c78a8";
  };
  for (int64_t row = 0; row < blocks.rows(); ++row) {
    for (int64_t column = 0; column < blocks.columns(); ++column) {
      const BlockState state = blocks.at(row, column);
      svg.rectangle(kLeft + kSide * static_cast<double>(column) / columns,
                    kTop + kSide * static_cast<double>(row) / rows, kSide / columns, kSide / rows,
                    {.fill = colour(state), .stroke = "#fff", .width = 0.4},
                    format("queries from %s, keys from %s: ", std::to_string(row * blocks.query_block).c_str(),
                           std::to_string(column * blocks.key_block).c_str()) +
                        (state == BlockState::skipped   ? "skipped"
                         : state == BlockState::partial ? "partial"
                                                        : "full"));
    }
  }
  svg.text(kLeft + kSide / 2, kTop - 10,
           format("%lld keys, blocks of %lld", static_cast<long long>(blocks.keys),
                  static_cast<long long>(blocks.key_block)),
           12, SvgAnchor::middle, kText);
  svg.text(kLeft - 8, kTop + 14, format("%lld", static_cast<long long>(blocks.queries)), 12, SvgAnchor::end, kText);
  svg.text(kLeft - 8, kTop + 30, "queries,", 12, SvgAnchor::end, kText);
  svg.text(kLeft - 8, kTop + 46, "blocks", 12, SvgAnchor::end, kText);
  svg.text(kLeft - 8, kTop + 62, format("of %lld", static_cast<long long>(blocks.query_block)), 12, SvgAnchor::end,
           kText);
  double at = kTop + 14;
  const auto all = static_cast<double>(std::max<size_t>(blocks.blocks.size(), 1));
  for (const auto& [state, text] : {std::pair(BlockState::skipped, "skipped: no product is computed"),
                                    std::pair(BlockState::partial, "partial: the mask is asked for each score"),
                                    std::pair(BlockState::full, "full: the mask is not asked")}) {
    svg.rectangle(kLeft + kSide + 30, at - 10, 12, 12, {.fill = colour(state)}, {}, 2);
    svg.text(kLeft + kSide + 48, at,
             text + format(", %lld of %zu blocks (%.1f %%)", static_cast<long long>(blocks.count(state)),
                           blocks.blocks.size(), 100 * static_cast<double>(blocks.count(state)) / all),
             12, SvgAnchor::start, kText);
    at += 22;
  }
  return svg.picture(kWidth, kTop + kSide + 12);
}

}  // namespace weft::tools
