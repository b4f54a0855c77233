#include "runtime/files/file_kind.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/errors.h"

namespace weft::test {
namespace {

using namespace std::string_literals;

TEST(FileKind, NamesWhatItIsAndTheRemedy) {
  struct Case {
    std::string bytes, what, remedy;
  };
  const std::string oid = "oid sha256:" + std::string(64, 'a') + "\n";
  const Case cases[] = {
      {"", "is empty", "download it again"},
      {"version https://git-lfs.github.com/spec/v1\n" + oid + "size 540868960\n",
       "is a Git LFS pointer to a file of 540868960 bytes", "`git lfs pull`"},
      {"version https://git-lfs.github.com/spec/v1\r\n" + oid, "is a Git LFS pointer, not the file", "`git lfs pull`"},
      {"version https://hawser.github.com/spec/v1\n" + oid, "is a Git LFS pointer", "`git lfs pull`"},
      {"<!DOCTYPE html>\n<html>", "is a web page", "download the file again"},
      {"\xEF\xBB\xBF\r\n <HTML lang=en>", "is a web page", "download the file again"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "is a web page", "download the file again"},
      {"{\"error\": \"Repository not found\"}", "is JSON text", "name the directory"},
      {"\n[1]", "is JSON text", "name the directory"},
      {"Entry not found", "is text, which begins with 'Entry not found'", "download the file again"},
      {" \n", "is text without any characters", "download the file again"},
      {"h\xC3\xA9 " + std::string(1020, 'x') + "\xC3\xA9", "is text, which begins with 'h\xC3\xA9 x", "again"},
      {"GGUF\1\0\0\0\0\0\0\0"s, "is a GGUF file of version 1", "convert the original model again"},
      {"GGUF\0\0\0\3"s, "is a big-endian GGUF file", "gguf_convert_endian.py"},
      {"GGUF\3\0\0\0"s, "is a GGUF file", "name this file"},
      {"lmgg\x20\0\0\0"s, "is a GGML file", "convert the original model again"},
      {"fmgg\1\0\0\0"s, "is a GGMF file", "convert the original model again"},
      {"tjgg\3\0\0\0"s, "is a GGJT file", "convert the original model again"},
      {"algg\1\0\0\0"s, "is a GGLA file", "GGUF"},
      {"\x40\0\0\0\0\0\0\0{\"a\":"s, "is a safetensors file", "name the directory"},
      {"PK\3\4\0\0"s, "is a zip archive, as PyTorch's .bin", "safetensors"},
      {"\x80\2\x8a\nl\xfc\x9c"s, "is a Python pickle", "safetensors"},
      {"\x89HDF\r\n\x1a\n"s, "is an HDF5 file", "safetensors"},
      {"\x1f\x8b\x08"s, "is an archive", "unpack it first"},
      {std::string(257, 'x') + "ustar\0"s, "is an archive", "unpack it first"},
      {"\x7f"
       "ELF\2\1"s,
       "is a program", "not a model"},
      {std::string(4096, '\0'), "begins with 1024 zero bytes", "not complete"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(describe_foreign(c.bytes).find(c.what), 0u) << describe_foreign(c.bytes);
    EXPECT_CONTAINS(describe_foreign(c.bytes), c.remedy);
  }
}

TEST(FileKind, UnknownBytesAreNotGuessed) {
  for (const std::string& bytes : {"\xff\0\x1b\n........"s, "\1"s, "\x80"s, "ab\0c"s, "\xC3"s, "\3\0\0\0\0\0\0\1{"s}) {
    EXPECT_EQ(describe_foreign(bytes), "");
  }
}

}  // namespace
}  // namespace weft::test
