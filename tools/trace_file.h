// --profile-trace: what the threads did in the runs of a plan, as a file for trace viewers.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "runtime/files/output_file.h"
#include "runtime/plan/run_trace.h"

namespace weft::tools {

// `of`: which runs, "of the whole run".
CLI::Option* add_trace_flag(CLI::App& app, std::string& path, const std::string& of);

class TraceFile {
 public:
  explicit TraceFile(const std::string& path) : file_(path) {}  // throws Error where it cannot be written
  void write(const Plan& plan, const RunTrace& trace);

 private:
  OutputFile file_;
};

}  // namespace weft::tools
