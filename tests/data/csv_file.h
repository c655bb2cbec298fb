#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace sharpseek {

/// A file with this text, of no other test's name, that is removed at the end of its scope.
class CsvFile {
 public:
  explicit CsvFile(const std::string& text)
      : path_(testing::TempDir() + "sharpseek-" + std::to_string(::getpid()) + "-" + std::to_string(count_++) +
              ".csv") {
    std::ofstream(path_) << text;
  }
  ~CsvFile() { std::remove(path_.c_str()); }
  CsvFile(const CsvFile&) = delete;
  CsvFile& operator=(const CsvFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  inline static int count_ = 0;
  std::string path_;
};

}  // namespace sharpseek
