// Files that take their name when they are complete: nobody sees half of one, and nothing is left of one that failed.
#include "files/new_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include "core/error.h"
#include "files/atomic_file.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A folder of its own, removed in the end.
class NewFiles : public testing::Test {
 protected:
  NewFiles() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~NewFiles() override { fs::remove_all(folder_); }

  fs::path path(const std::string& name) const { return folder_ / name; }
  static void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string contents(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  template <class Action>
  static std::string refusal(Action action) {
    try {
      action();
    } catch (const UserError& error) {
      return error.what();
    }
    return "(no error)";
  }

  fs::path folder_ = fs::path(testing::TempDir()) /
                     (std::string("new-file-") + testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(NewFiles, AnAtomicFileReplacesTheOldOneOnlyWhenItIsCommitted) {
  put(path("a"), "old");
  put(path("a.new"), "left by a process that was killed");
  {
    const files::AtomicFile unfinished(path("a"));
    EXPECT_FALSE(fs::exists(path("a.new")));
    put(unfinished.fresh(), "half");
  }
  EXPECT_EQ(contents(path("a")), "old");
  EXPECT_FALSE(fs::exists(path("a.new")));
  files::AtomicFile finished(path("a"));
  put(finished.fresh(), "new");
  EXPECT_EQ(contents(path("a")), "old");
  finished.commit();
  EXPECT_EQ(contents(path("a")), "new");
  EXPECT_FALSE(fs::exists(path("a.new")));
}

TEST_F(NewFiles, ARenameThatFailsNamesBothFiles) {
  files::AtomicFile file(path("a"));  // of which nothing is written
  EXPECT_THAT(refusal([&] { file.commit(); }),
              testing::AllOf(HasSubstr("a.new: cannot be renamed to "), HasSubstr("No such file")));
  fs::create_directory(path("folder"));
  files::AtomicFile folder(path("folder"));
  put(folder.fresh(), "text");
  EXPECT_THAT(refusal([&] { folder.commit(); }), HasSubstr("folder.new: cannot be renamed to "));
}

TEST_F(NewFiles, TheFileAndItsFoldersAreThereAfterIt) {
  {
    files::NewFile file(path("one/two/a"));
    EXPECT_TRUE(fs::is_directory(path("one/two")));
    EXPECT_TRUE(fs::is_empty(path("one/two")));
    file.fill([&](const fs::path& fresh) { put(fresh, "whole"); });
  }
  EXPECT_EQ(contents(path("one/two/a")), "whole");
  EXPECT_FALSE(fs::exists(path("one/two/a.new")));
}

TEST_F(NewFiles, NothingIsLeftOfAFileThatFailed) {
  fs::create_directory(path("mine"));
  for (const char* name : {"one/two/a", "mine/a"}) {
    const auto fail = [&] {
      files::NewFile file(path(name));
      file.fill([&](const fs::path& fresh) {
        put(fresh, "half");
        throw std::runtime_error("the disk is full");
      });
    };
    EXPECT_THROW(fail(), std::runtime_error);
    { const files::NewFile unused(path(name)); }
  }
  EXPECT_FALSE(fs::exists(path("one")));
  EXPECT_TRUE(fs::is_empty(path("mine")));
}

TEST_F(NewFiles, WhatIsThereIsNeverReplaced) {
  put(path("a"), "of somebody");
  fs::create_symlink(path("nowhere"), path("link"));
  EXPECT_THAT(refusal([&] { files::NewFile file(path("a")); }), HasSubstr("a: exists already"));
  EXPECT_THAT(refusal([&] { files::NewFile file(path("link")); }), HasSubstr("link: exists already"));
  EXPECT_THAT(refusal([&] { files::NewFile file(path("a/b")); }), HasSubstr("b: cannot be created: "));
  EXPECT_THAT(refusal([&] { files::NewFile file(path("c/")); }), HasSubstr("names a folder: must be a file"));
  // Made while the work was done.
  files::NewFile late(path("late"));
  put(path("late"), "of somebody");
  EXPECT_THAT(refusal([&] { late.fill([&](const fs::path& fresh) { put(fresh, "mine"); }); }),
              HasSubstr("late: exists already"));
  for (const char* name : {"a", "late"}) EXPECT_EQ(contents(path(name)), "of somebody");
}

TEST_F(NewFiles, TheUnfinishedFileOfAnotherProcessStaysUntilThisOneWrites) {
  put(path("a.new"), "of another process");
  files::NewFile file(path("a"));
  EXPECT_EQ(contents(path("a.new")), "of another process");
  file.fill([&](const fs::path& fresh) { put(fresh, "mine"); });
  EXPECT_EQ(contents(path("a")), "mine");
}

}  // namespace
}  // namespace sharpseek
