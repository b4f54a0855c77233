// `weft embed`: vectors of texts, against the model's hidden states as the library computes them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "models/axes.h"
#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

using nlohmann::json;

const std::vector<int32_t> kTokens = {1, 677, 1979, 339, 1989, 466, 368, 333, 2013};
const std::string kIds = "1,677,1979,339,1989,466,368,333,2013";

CommandResult embed(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), {"embed"});
  arguments.insert(arguments.end(), {"--precision", "exact"});
  return run_weft(arguments, input);
}

std::vector<json> lines_of(const CommandResult& result) {
  EXPECT_EQ(result.code, 0) << result.err;
  std::vector<json> lines;
  std::istringstream text(result.out);
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  return lines;
}

std::vector<float> vector_of(const json& line) { return line["embedding"]; }

// The hidden state of every token of kTokens.
std::vector<std::vector<float>> hidden_states() {
  Engine engine(load_model(Checkpoint::open(shipped_model())), Device::cpu(2),
                {.precision = Precision::exact, .context = 64, .batch = 64, .logit_rows = 64, .results = {"hidden"}});
  engine.add(engine.cache().open(), kTokens, WantLogits::all);
  engine.run();
  const auto hidden = engine.result<f32, Seq, Embed>("hidden");
  std::vector<std::vector<float>> rows;
  for (int32_t row = 0; row < engine.rows(); ++row) {
    rows.emplace_back(hidden.row(row).begin(), hidden.row(row).end());
  }
  return rows;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-4) << what << ", element " << i;
}

double length(const std::vector<float>& vector) {
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares);
}

TEST(EmbedCommand, PoolsTheHiddenStatesOfTheModel) {
  const auto rows = hidden_states();
  std::vector<double> mean(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += static_cast<double>(row[i]) / static_cast<double>(rows.size());
  }
  const std::vector<double> first(rows.front().begin(), rows.front().end()),
      last(rows.back().begin(), rows.back().end());
  std::vector<std::string> devices = {"cpu"};
  if (opencl_device()) devices.emplace_back("opencl");
  for (const std::string& device : devices) {
    for (const char* batch : {"512", "4", "1"}) {
      const auto of = [&](const std::vector<std::string>& more) {
        std::vector<std::string> arguments = {"--tokens", kIds, "-b", batch, "--device", device};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const std::vector<json> lines = lines_of(embed(arguments));
        EXPECT_EQ(lines.size(), 1u);
        EXPECT_EQ(lines.at(0)["tokens"], kTokens.size());
        return vector_of(lines.at(0));
      };
      const std::string what = device + ", batch " + batch;
      expect_near(of({}), mean, what);
      expect_near(of({"--pool", "mean"}), mean, what);
      expect_near(of({"--pool", "cls"}), first, what);
      expect_near(of({"--pool", "last"}), last, what);
      EXPECT_NEAR(length(of({"--normalize"})), 1, 1e-5) << what;
    }
  }
}

TEST(EmbedCommand, ALineIsAText) {
  const TemporaryFolder folder;
  const std::string file = (folder / "texts").string(), out = (folder / "out.f32").string();
  const std::vector<std::string> texts = {"It was a truth", "", "Pray, who is she?", "caf\xC3\xA9 \xF0\x9F\x98\x80",
                                          std::string("a\0b", 3)};
  std::ofstream stream(file, std::ios::binary);
  for (const std::string& text : texts) stream << text << "\n";
  stream.close();
  const std::vector<json> lines = lines_of(embed({"-f", file}));
  ASSERT_EQ(lines.size(), texts.size());
  ASSERT_EQ(lines_of(embed({"-f", "-"}, read_file(file))), lines);
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(lines[i]["index"], i);
  EXPECT_EQ(vector_of(lines_of(embed({"-p", texts[0]})).at(0)), vector_of(lines[0]));
  EXPECT_EQ(vector_of(lines_of(embed({"-p", ""})).at(0)), vector_of(lines[1]));  // the beginning of a text alone
  EXPECT_NE(vector_of(lines[0]), vector_of(lines[2]));

  const CommandResult raw = embed({"-f", file, "-o", out});
  EXPECT_EQ(raw.code, 0) << raw.err;
  EXPECT_EQ(raw.out, "");
  EXPECT_CONTAINS(raw.err, ": 5 texts x ");
  std::vector<float> all;
  for (const json& line : lines) {
    const std::vector<float> vector = vector_of(line);
    all.insert(all.end(), vector.begin(), vector.end());
  }
  EXPECT_EQ(read_floats(out), all);  // JSON has all digits
}

TEST(EmbedCommand, HostileInput) {
  const TemporaryFolder folder;
  const auto file = [&](const std::string& name, const std::string& content) {
    std::ofstream(folder / name, std::ios::binary) << content;
    return (folder / name).string();
  };
  const auto fails = [&](const std::vector<std::string>& arguments, int code, const std::string& part) {
    const CommandResult result = embed(arguments);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(result.err.rfind("weft: error: ", 0), 0u) << result.err;
    EXPECT_CONTAINS(result.err, part);
  };
  fails({}, 2, "one of --prompt, --file and --tokens");
  fails({"-p", "a", "-f", "b"}, 2, "excludes");
  fails({"-p", "a", "--pool", "max"}, 2, "--pool");
  fails({"--tokens", "1,x"}, 2, "--tokens");
  fails({"--tokens", "1,99999"}, 1, "the text: token 99999 is outside the vocabulary of ");
  fails({"--tokens", "-1"}, 2, "'-1' is not a token id");
  fails({"-f", (folder / "absent").string()}, 1, "absent");
  fails({"-f", file("empty", "")}, 1, "has no text");
  fails({"-f", file("utf16", std::string("\xFF\xFEg\0", 4))}, 1, "is UTF-16");
  fails({"-f", file("long", "It\nIt was a truth universally acknowledged\n"), "-c", "4"}, 1, "long, line 2: ");
  fails({"-p", "a", "-o", (folder / "no" / "out").string()}, 1, "No such file");
  fails({"-p", "a", "-m", file("model", "GGUF")}, 1, "model");
  // What fails leaves no file, and an older one as it was.
  const std::string kept = file("kept", "kept");
  fails({"-f", file("two", "It\nIt was a truth universally acknowledged\n"), "-c", "4", "-o", kept}, 1, "line 2");
  EXPECT_EQ(read_file(kept), "kept");
  const CommandResult bytes = embed({"-f", file("bytes", "\x80\xFE\n\xED\xA0\x80\n")});
  EXPECT_EQ(bytes.code, 0) << bytes.err;
  for (const json& line : lines_of(bytes)) EXPECT_TRUE(std::isfinite(length(vector_of(line))));
}

TEST(EmbedCommand, HelpSaysWhatIsPrinted) {
  const CommandResult help = run_weft({"embed", "--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* part : {"--pool", "--normalize", "--output", "--model", "A line of JSON for each text"}) {
    EXPECT_CONTAINS(help.out, part);
  }
}

}  // namespace
}  // namespace weft::test
