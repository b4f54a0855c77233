#include "tools/trace_file.h"

namespace weft::tools {

CLI::Option* add_trace_flag(CLI::App& app, std::string& path, const std::string& of) {
  return app
      .add_option(
          "--profile-trace", path,
          "Write what each thread did and when it waited, " + of +
              ", to this file, in Chrome's trace format (for Perfetto or chrome://tracing); on OpenCL each step is "
              "waited for")
      ->type_name("FILE");
}

void TraceFile::write(const Plan& plan, const RunTrace& trace) {
  const std::string text = chrome_trace(plan, trace);
  file_.write(text.data(), text.size());
  file_.finish();
}

}  // namespace weft::tools
