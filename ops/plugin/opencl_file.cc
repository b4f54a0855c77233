#include "ops/plugin/opencl_file.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace weft {
namespace {

constexpr std::string_view kDeclaration = "WEFT_KERNEL";
constexpr size_t kMostBytes = size_t{1} << 20;
// Left-hand rows, the right-hand one, elements, which of the work-items that share a sum it is, how many, the sums.
constexpr const char* kProductParameters = "__global const float**, __global const uchar*, int, int, int, float*";

constexpr const char* kFields =
    "computes, widths, work_items, columns and shared, and of contractions formats, tile, first_rows and last_rows";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads the text as a preprocessor does, so far as declarations need it: without comments, lines of directives, and
// literals. Nothing is expanded, and no condition is looked at.
class Parser {
 public:
  Parser(std::string path, std::string text) {
    file_->path = std::move(path);
    file_->text = std::move(text);
    text_ = file_->text;
  }

  OpenClKernels parse() {
    if (text_.size() > kMostBytes) fail_whole("it is longer than " + std::to_string(kMostBytes) + " bytes");
    if (text_.find('\0') != text_.npos) fail_whole("it is no text");
    while (skip_space(), at_ < text_.size()) {
      if (is_letter(text_[at_])) {
        const std::string_view word = name();
        if (word == kDeclaration) declaration();
        else if (peek() == '(') called_.insert(word);
      } else if (text_[at_] == '"' || text_[at_] == '\'') {
        (void)skip_literal();
      } else {
        ++at_;
      }
    }
    if (file_->functions.empty()) fail_whole("it has no " + std::string(kDeclaration));
    for (const OpenClFile::Function& function : file_->functions) {
      if (!called_.contains(function.name)) {
        throw Error(at_line(function.line) + "there is no function '" + function.name + "'");
      }
    }
    return std::move(kernels_);
  }

 private:
  std::string at_line(int line) const {
    return "kernel file '" + file_->path + "', line " + std::to_string(line) + ": ";
  }
  [[noreturn]] void fail_whole(const std::string& what) const {
    throw Error("kernel file '" + file_->path + "': " + what);
  }
  [[noreturn]] void fail(const std::string& what) { throw Error(at_line(line_at(at_)) + what); }
  int line_at(size_t at) {
    for (; counted_ < std::min(at, text_.size()); ++counted_) line_ += text_[counted_] == '\n';
    return line_;
  }

  // Behind blanks, comments, and lines that begin with '#'.
  void skip_space() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        begins_line_ = true;
        ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
        ++at_;
      } else if (text_.substr(at_, 2) == "//" || (c == '#' && begins_line_)) {
        if (c == '#') note_macro();
        skip_line();
      } else if (text_.substr(at_, 2) == "/*") {
        const size_t end = text_.find("*/", at_ + 2);
        if (end == text_.npos) fail("a comment does not end");
        at_ = end + 2;
      } else {
        begins_line_ = false;
        return;
      }
    }
  }
  void note_macro() {
    std::istringstream line(std::string(text_.substr(at_ + 1, text_.find('\n', at_) - at_ - 1)));
    std::string word, macro;
    if (!(line >> word >> macro) || word != "define") return;
    const auto end = std::ranges::find_if(macro, [](char c) { return !is_letter(c) && !is_digit(c); });
    macro.erase(end, macro.end());
    if (!macro.empty() && !macro.starts_with("WEFT_")) file_->macros.push_back(std::move(macro));
  }
  // With those that it is continued on by a backslash.
  void skip_line() {
    for (;;) {
      const size_t end = std::min(text_.find('\n', at_), text_.size());
      std::string_view line = text_.substr(at_, end - at_);
      if (line.ends_with('\r')) line.remove_suffix(1);
      const bool goes_on = line.ends_with('\\');
      at_ = end;
      if (!goes_on || at_ == text_.size()) return;
      ++at_;
    }
  }
  // False where it does not end on its line: what follows is read on from there.
  bool skip_literal() {
    const char quote = text_[at_];
    for (++at_; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == quote) {
        ++at_;
        return true;
      }
    }
    at_ = std::min(at_, text_.size());
    return false;
  }

  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool takes(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!takes(c)) fail(std::string("'") + c + "' is missing");
  }
  std::string_view name() {
    if (!is_letter(peek())) fail("a name is missing");
    const size_t begin = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  // Adjacent literals are one.
  std::string string() {
    if (peek() != '"') fail("a text in quotes is missing");
    std::string value;
    while (peek() == '"') {
      const size_t begin = at_ + 1;
      if (!skip_literal()) fail("a text in quotes does not end");
      value += text_.substr(begin, at_ - 1 - begin);
    }
    if (value.find('\\') != value.npos) fail("a text with a backslash");
    return value;
  }
  int64_t number(int64_t most) {
    (void)peek();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc() || value < 1 || value > most)
      fail("a number from 1 to " + std::to_string(most) + " is wanted");
    at_ = static_cast<size_t>(end - text_.data());
    return value;
  }

  // With the file and the line in errors.
  template <class Make>
  auto in_place(const Make& make) {
    try {
      return make();
    } catch (const Error& error) {
      fail(error.what());
    }
  }

  void declaration() {
    const int line = line_at(at_);
    expect('(');
    const std::string function(name());
    const auto has_name = [&](const OpenClFile::Function& other) { return other.name == function; };
    if (std::ranges::any_of(file_->functions, has_name)) fail("there is a kernel of that name");
    Fields fields;
    while (takes(',')) {
      expect('.');
      const std::string_view field = name();
      expect('=');
      set(fields, field);
      if (!fields.given.insert(field).second) fail("'" + std::string(field) + "' is there twice");
    }
    expect(')');
    if (fields.computes.empty()) fail("'computes' is missing");
    if (fields.computes == "contract") {
      file_->functions.push_back({function, kProductParameters, line});
      kernels_.products.push_back(product(fields, function));
    } else {
      kernels_.rows.push_back(rows(fields, function));
      file_->functions.push_back({function, parameters(kernels_.rows.back()), line});
    }
  }

  // What a declaration says, and which fields it has.
  struct Fields {
    std::string computes;
    OpenClRowsKernel rows;
    OpenClProductKernel product;
    std::set<std::string_view> given;
  };

  OpenClRowsKernel rows(Fields& fields, const std::string& function) {
    refuse(fields, {"formats", "tile", "first_rows", "last_rows"}, "of contractions");
    OpenClRowsKernel& kernel = fields.rows;
    kernel.name = function;
    kernel.file = file_;
    kernel.formula = std::make_shared<const Formula>(in_place([&] { return parse_formula(fields.computes); }));
    if (kernel.formula->op.empty()) refuse(fields, {"widths"}, "of ops");
    if (kernel.formula->reduces_row) refuse(fields, {"columns"}, "of formulas that give a row");
    if (kernel.formula->inputs.size() > kMostInputs) {
      fail("a kernel takes at most " + std::to_string(kMostInputs) + " inputs");
    }
    if (kernel.shared == 0) kernel.shared = kernel.work_items;
    return std::move(kernel);
  }

  OpenClProductKernel product(Fields& fields, const std::string& function) {
    refuse(fields, {"widths", "work_items", "columns", "shared"}, "of formulas and ops");
    OpenClProductKernel& kernel = fields.product;
    kernel.name = function;
    kernel.file = file_;
    if (kernel.formats.size() != 1) fail("'formats' is to name one format");
    in_place([&] { return check_row(kernel), 0; });
    return std::move(kernel);
  }

  void refuse(const Fields& fields, std::initializer_list<const char*> names, const std::string& of) {
    for (const char* name : names) {
      if (fields.given.contains(name)) fail("'" + std::string(name) + "' is " + of);
    }
  }

  static std::string parameters(const OpenClRowsKernel& kernel) {
    std::string types;
    for (size_t i = 0; i < kernel.formula->inputs.size(); ++i) types += "__global const float*, ";
    types += "__global float*, ";
    for (size_t i = 0; i < kernel.formula->constants.size(); ++i) types += "float, ";
    return types + (kernel.columns > 0 ? "int, int, int, " : "int, ") + "__local float*";
  }

  void set(Fields& fields, std::string_view field) {
    constexpr int64_t kMostWorkItems = 1024, kMostColumns = 1 << 20, kMostShared = 1 << 16, kMostRows = 1 << 30;
    OpenClRowsKernel& rows = fields.rows;
    OpenClProductKernel& product = fields.product;
    if (field == "computes") fields.computes = string();
    else if (field == "widths") rows.widths = in_place([text = string()] { return widths_of(text.c_str()); });
    else if (field == "work_items") rows.work_items = number(kMostWorkItems);
    else if (field == "columns") rows.columns = number(kMostColumns);
    else if (field == "shared") rows.shared = number(kMostShared);
    else if (field == "formats") product.formats = in_place([text = string()] { return formats_of(text.c_str()); });
    else if (field == "tile") product.activations.tile = number(kMostTileRows);
    else if (field == "first_rows") product.first_rows = number(kMostRows);
    else if (field == "last_rows") product.last_rows = number(kMostRows);
    else if (field == "is_reference") fail("references are C++: another file declares this one");
    else fail("there is no field '" + std::string(field) + "'; there are " + kFields);
  }

  std::shared_ptr<OpenClFile> file_ = std::make_shared<OpenClFile>();
  std::string_view text_;
  size_t at_ = 0, counted_ = 0;
  int line_ = 1;  // of counted_
  bool begins_line_ = true;
  std::set<std::string_view> called_;  // names before a parenthesis
  OpenClKernels kernels_;
};

}  // namespace

// Tables live as long as the program, as plans may.
KernelRows<OpenClRowsKernel>& opencl_rows_table() {
  static auto* const table = new KernelRows<OpenClRowsKernel>;
  return *table;
}
KernelRows<OpenClProductKernel>& opencl_products_table() {
  static auto* const table = new KernelRows<OpenClProductKernel>;
  return *table;
}

OpenClKernels parse_opencl_file(std::string path, std::string text) {
  return Parser(std::move(path), std::move(text)).parse();
}

AddedOpenClKernels add_opencl_file(std::string path, std::string text, PluginPlace place) {
  OpenClKernels kernels = parse_opencl_file(std::move(path), std::move(text));
  const auto check = [](const auto& kernel) {
    if (opencl_rows_table().find(kernel.name) != nullptr || opencl_products_table().find(kernel.name) != nullptr) {
      throw Error(kernel.file->where(kernel.name) + ": there is a kernel of that name");
    }
  };
  std::ranges::for_each(kernels.rows, check);
  std::ranges::for_each(kernels.products, check);
  const auto add = [&](auto& table, auto& kernel, auto& added) {
    const std::string name = kernel.name;
    kernel.preference = plugin_preference(place);
    table.add(std::move(kernel));
    added.push_back(table.find(name));
  };
  AddedOpenClKernels added;
  for (OpenClRowsKernel& kernel : kernels.rows) add(opencl_rows_table(), kernel, added.rows);
  for (OpenClProductKernel& kernel : kernels.products) add(opencl_products_table(), kernel, added.products);
  return added;
}

AddedOpenClKernels load_opencl_file(const std::string& path, PluginPlace place) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error("kernel file '" + path + "': it cannot be read");
  std::string text(kMostBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return add_opencl_file(path, std::move(text), place);
}

}  // namespace weft
