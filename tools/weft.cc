// The `weft` command: text to stdout, errors and figures to stderr; exits with 0, 1 for a failure, 2 for wrong
// usage. If the reader of its output goes away, it ends by SIGPIPE like other programs, without a message.
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/output_file.h"
#include "tools/common.h"

namespace {

int fail(const char* what) {
  std::fprintf(stderr, "weft: error: %s\n", what);
  return 1;
}

// The reader has gone, and what was unfinished has been cleaned up.
int end_by_broken_pipe() {
  std::signal(SIGPIPE, SIG_DFL);
  std::raise(SIGPIPE);
  return 128 + SIGPIPE;  // if it is blocked
}

// Names of several letters behind one dash, as other programs have them, by the names that CLI11 takes.
std::vector<const char*> long_names(int argc, char** argv) {
  std::vector<const char*> arguments(argv, argv + argc);
  for (const char*& argument : arguments) {
    if (std::string_view(argument) == "--") break;
    if (std::string_view(argument) == "-ctk") argument = "--cache-type-k";
    else if (std::string_view(argument) == "-ctv") argument = "--cache-type-v";
  }
  return arguments;
}

// The text that --help or --version requests.
int print_help(const std::string& text) {
  try {
    weft::tools::print(text);
  } catch (const weft::BrokenPipe&) {
    return end_by_broken_pipe();
  } catch (const weft::Error& error) {
    return fail(error.what());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away is an error of write, so that nothing is left unfinished; see end_by_broken_pipe.
  std::signal(SIGPIPE, SIG_IGN);

  CLI::App app("Transformer inference with typed axes, on CPU and OpenCL.", "weft");
  app.set_version_flag("--version", WEFT_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_help_all_flag("--help-all", "Print the help of all commands and exit");
  app.require_subcommand(1);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return "weft: error: " + std::string(error.what()) + "\nTry 'weft --help' or 'weft COMMAND --help'.\n";
  });
  weft::tools::add_run(app);
  weft::tools::add_chat(app);
  weft::tools::add_logits(app);
  weft::tools::add_embed(app);
  weft::tools::add_inspect(app);
  weft::tools::add_explain(app);
  weft::tools::add_report(app);
  weft::tools::add_trace(app);
  weft::tools::add_tokenize(app);
  weft::tools::add_perplexity(app);
  weft::tools::add_compare(app);
  weft::tools::add_bench(app);
  weft::tools::add_kernel(app);
  weft::tools::add_quantize(app);
  weft::tools::add_convert(app);

  // CLI11 would only say that a command is missing.
  const auto is_wanted = [&](const CLI::App* command) { return command->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_wanted).empty()) {
    std::fprintf(stderr, "weft: error: there is no command '%s'\nTry 'weft --help'.\n", argv[1]);
    return 2;
  }
  try {
    app.parse(argc, long_names(argc, argv).data());
  } catch (const CLI::ParseError& error) {
    std::ostringstream help;
    if (app.exit(error, help, std::cerr) != 0) return 2;
    return print_help(help.str());
  } catch (const weft::tools::NegativeResult&) {
    return 1;
  } catch (const weft::BrokenPipe&) {
    return end_by_broken_pipe();
  } catch (const weft::Error& error) {
    return fail(error.what());
  } catch (const std::bad_alloc&) {
    return fail("out of memory; use a smaller context (-c) or batch (-b)");
  } catch (const std::exception& error) {
    return fail(error.what());
  }
  return 0;
}
