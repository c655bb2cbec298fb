#include "core/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/unicode.h"

namespace sharpseek {
namespace {

using std::string_literals::operator""s;
using testing::HasSubstr;

std::string refusal(const std::string& bytes) {
  try {
    plain_text(bytes, "x.ini");
  } catch (const UserError& error) {
    return error.what();
  }
  return "(no error)";
}

/// ASCII text in UTF-16, the byte of the letter first or last.
std::string wide(std::string_view text, bool little_endian) {
  std::string bytes;
  for (const char c : text) bytes += little_endian ? std::string{c, '\0'} : std::string{'\0', c};
  return bytes;
}

TEST(PlainText, DropsTheMarkAndUnifiesLineEnds) {
  EXPECT_EQ(plain_text("\xEF\xBB\xBF"
                       "a\r\nb\rc\n\rd\r",
                       "x"),
            "a\nb\nc\n\nd\n");
  EXPECT_EQ(plain_text("\xEF\xBB\xBF", "x"), "");
  EXPECT_EQ(plain_text("", "x"), "");
  // A mark elsewhere is a character, which messages make visible.
  EXPECT_EQ(plain_text("a\xEF\xBB\xBF"
                       "b",
                       "x"),
            "a\xEF\xBB\xBF"
            "b");
}

TEST(PlainText, RefusesOtherEncodingsByName) {
  EXPECT_EQ(refusal("\xFF\xFE" + wide("[noise]", true)), "x.ini: is UTF-16 text; save it as UTF-8");
  EXPECT_EQ(refusal("\xFE\xFF" + wide("[noise]", false)), "x.ini: is UTF-16 text; save it as UTF-8");
  EXPECT_EQ(refusal(wide("1,0\r\n0,1\r\n", true)), "x.ini: is UTF-16 text; save it as UTF-8");
  EXPECT_EQ(refusal(wide("1,0\r\n0,1\r\n", false)), "x.ini: is UTF-16 text; save it as UTF-8");
  EXPECT_EQ(refusal("\xFF\xFE\0\0[\0\0\0"s), "x.ini: is UTF-32 text; save it as UTF-8");
  EXPECT_EQ(refusal("\0\0\xFE\xFF\0\0\0["s), "x.ini: is UTF-32 text; save it as UTF-8");
}

TEST(PlainText, NamesTheByteThatNoTextHas) {
  EXPECT_EQ(refusal("\x89HDF\r\n\x1A\n\0\0"s), "x.ini: is not a text file: byte 9 is NUL");
  EXPECT_EQ(refusal("[data]\r\n; caf\xE9\r\n"), "x.ini: line 2: byte 14 of the file, \\xE9, is not UTF-8 text");
  EXPECT_EQ(refusal("a\rb\r\xC0\x80"), "x.ini: line 3: byte 5 of the file, \\xC0, is not UTF-8 text");
  EXPECT_EQ(refusal("; caf\xC3\xA9\n"), "(no error)");
}

TEST(ReadTextFile, NamesWhatCannotBeRead) {
  for (const char* file : {"/nonexistent/x.ini", "/proc"}) {
    try {
      read_text_file(file);
      FAIL() << file;
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(std::string(file) + ": cannot be read"));
    }
  }
  EXPECT_EQ(read_text_file("/dev/null"), "");
}

TEST(FirstInvalidUtf8, FollowsRfc3629) {
  // The least and the largest character of each length.
  for (const char* text : {"", "a\x7F", "\xC2\x80\xDF\xBF", "\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF",
                           "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"}) {
    EXPECT_FALSE(first_invalid_utf8(text)) << visible(text);
  }
  // A tail alone, overlong forms, a surrogate, beyond the last character, cut short, bytes of no character.
  for (const char* text : {"a\x80", "a\xC0\xAF", "a\xC1\xBF", "a\xE0\x9F\xBF", "a\xF0\x8F\xBF\xBF", "a\xED\xA0\x80",
                           "a\xF4\x90\x80\x80", "a\xC3", "a\xE2\x82", "a\xF0\x9F\x98", "a\xFE", "a\xFF", "a\xF8\x88"}) {
    EXPECT_EQ(first_invalid_utf8(text), 1u) << visible(text);
  }
}

TEST(Visible, ShowsWhatATerminalHides) {
  EXPECT_EQ(visible("1\xC2\xA0"
                    "10"),
            "1\\u00a010");                                      // no-break space
  EXPECT_EQ(visible("\xEF\xBB\xBF[noise]"), "\\ufeff[noise]");  // byte order mark
  EXPECT_EQ(visible("a\xE2\x80\x8B"
                    "b\xE2\x80\xAE"),
            "a\\u200bb\\u202e");
  EXPECT_EQ(visible("a\nb\tc\x1B[31m\x7F"), "a\\u000ab\\u0009c\\u001b[31m\\u007f");
  EXPECT_EQ(visible("a\0b"s), "a\\u0000b");
  EXPECT_EQ(visible("caf\xE9"), "caf\\xE9");
  EXPECT_EQ(visible("\xF3\xA0\x80\xA0"), "\\U000e0020");
  EXPECT_EQ(visible("caf\xC3\xA9 \xE2\x89\xA4 \xF0\x9F\x98\x80 a b\\u"),
            "caf\xC3\xA9 \xE2\x89\xA4 \xF0\x9F\x98\x80 a b\\u");
}

TEST(ControlCharacters, AreThoseOfBothSets) {
  EXPECT_TRUE(has_control_characters("a\0"s));
  EXPECT_TRUE(has_control_characters("a\tb"));
  EXPECT_TRUE(has_control_characters("a\xC2\x85"));
  EXPECT_FALSE(has_control_characters("a b\xC2\xA0\xC3\xA9"));
}

}  // namespace
}  // namespace sharpseek
