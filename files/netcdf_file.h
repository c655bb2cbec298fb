#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "files/hdf5_api.h"

namespace sharpseek::files {

/// One dimension of a file: its name and length.
struct Dimension {
  std::string name;
  hsize_t size;
};

/// How the variables of a new file are stored. All are chunked.
enum class Storage {
  kPacked,   ///< shuffled, deflated, with Fletcher-32 checksums
  kChecked,  ///< with Fletcher-32 checksums only: quick to write
  kInPlace,  ///< neither; every chunk is allocated and filled when the variable is created, so that later writes change
             ///< no structure of the file and can fail for want of space only on file systems that copy on write
};

/// What a variable holds.
enum class Kind { kNumber, kInteger, kText, kBareDimension };

/// A variable of an existing file.
struct VariableInfo {
  std::string name;                     ///< with its group: "checkpoint/parameters"
  Kind kind;                            ///< kBareDimension: a dimension without values of its own
  std::vector<std::string> dimensions;  ///< their names
  std::vector<hsize_t> shape;
};

/// A netCDF-4 file. Data sets get their dimensions by name; a dimension without a variable of its own becomes a scale
/// with netCDF's marker name. Links and attributes are created in tracked order. Files are opened without HDF5's locks,
/// so that a run can be read while it is written, and on file systems that have none; HDF5_USE_FILE_LOCKING overrides.
class File {
 public:
  /// Creates `path`, which must not exist. Throws UserError if it cannot.
  File(const std::string& path, Storage storage);
  /// Opens an existing file. Throws UserError naming it and what is wrong.
  static File open(const std::string& path, bool writable = false);

  const std::string& path() const { return path_; }
  /// HDF5's identifiers of the file and of a variable, which stay this object's.
  hid_t id() const { return file_; }
  hid_t dataset(const std::string& name);

  // --- definition

  /// Chunks are at most this long in `dimension`; call it before the variables are created.
  void limit_chunk(const std::string& dimension, hsize_t length) { chunk_limits_[dimension] = length; }
  /// Defines a dimension that has no coordinate variable (yet).
  void define(const Dimension& dimension);
  /// Creates a coordinate variable of the dimension with the same name, which must not be defined yet.
  void coordinate(const std::string& name, const std::vector<std::string>& values);
  /// Creates a float64 variable over defined dimensions, filled with NaN.
  void variable(const std::string& name, const std::vector<std::string>& dimensions);
  /// The same of int64, filled with 0.
  void integer_variable(const std::string& name, const std::vector<std::string>& dimensions);
  void string_variable(const std::string& name, const std::string& dimension, const std::vector<std::string>& values);
  /// A part of another file that a virtual variable shows: `source` (a path relative to this file) holds the indices
  /// from `first` on of the leading dimension.
  struct Part {
    std::string source;
    hsize_t first;
    std::vector<hsize_t> shape;
  };
  /// A variable like kNumber or kInteger ones whose values stay in other files, under the same name.
  void virtual_variable(const std::string& name, Kind kind, const std::vector<std::string>& dimensions,
                        const std::vector<Part>& parts);
  void group(const std::string& name);

  // --- values: a block is `start` and `count` in every dimension, row-major. Reading throws UserError naming what is
  // missing: a filter, or files that a virtual variable shows.

  void write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
             const double* values);
  void write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
             const std::int64_t* values);
  void read(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
            double* values);
  void read(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
            std::int64_t* values);
  /// All values of a variable with one dimension, or of any in row-major order.
  std::vector<double> numbers(const std::string& name);
  std::vector<std::int64_t> integers(const std::string& name);
  std::vector<std::string> texts(const std::string& name);

  // --- attributes of a variable, or of the file when `name` is "/"

  void attribute(const std::string& name, const std::string& key, const std::string& value);
  void attribute(const std::string& name, const std::string& key, double value);
  void attribute(const std::string& name, const std::string& key, const std::vector<std::int64_t>& values);
  bool has_attribute(const std::string& name, const std::string& key);
  /// Throw UserError "<file>: attribute ... is missing".
  std::string text_attribute(const std::string& name, const std::string& key);
  std::int64_t integer_attribute(const std::string& name, const std::string& key);
  /// Copies those of an object of another file that describe meaning, not storage; `except` are left out.
  void copy_attributes(File& source, const std::string& object, const std::vector<std::string>& except = {});

  // --- structure

  bool has(const std::string& name);
  std::vector<hsize_t> shape(const std::string& name);
  /// The length of a variable with one dimension. Throws UserError if it has another number of them.
  hsize_t length(const std::string& name);
  /// The number of elements of a block of a variable, each of 8 bytes. Throws UserError unless they fit in memory, so
  /// that a damaged shape is not allocated.
  std::size_t elements(const std::string& name, const std::vector<hsize_t>& count) const;
  /// Shape of its chunks; that of the variable where it has none.
  std::vector<hsize_t> chunk(const std::string& name);
  /// Bytes of the file that hold its values: fewer than they have where they are compressed or were never written.
  hsize_t stored_bytes(const std::string& name);
  /// Whether its values lie in other files.
  bool is_virtual(const std::string& name);
  /// Everything in the file in the order of creation: the root first, then its groups.
  std::vector<VariableInfo> variables();

  void flush();
  /// Flushes; the data have reached the disk when this returns.
  void sync();
  /// Says that the file, which stays open, has been renamed: errors name it so from now on.
  void renamed(const std::string& path) { path_ = path; }
  /// The same as sync(), and closes.
  void close();

 private:
  File() = default;
  hid_t object(const std::string& name) { return name == "/" ? hid_t{file_} : dataset(name); }
  std::vector<hsize_t> shape_of(const std::vector<std::string>& dimensions) const;
  void create(const std::string& name, hid_t type, const std::vector<std::string>& dimensions, const void* fill);
  void attach(const std::string& name, const std::vector<std::string>& dimensions);
  void scale(const std::string& name, const std::string& title);
  /// All but the dimensions' names of variables that are none themselves.
  void list(const std::string& group, std::vector<VariableInfo>& found);
  /// A variable, by address, that has a scale as one of its dimensions.
  struct ScaleUse {
    hobj_ref_t variable;
    int axis;
  };
  /// Which variables a scale belongs to, by its own list. The variables' lists say the same, but lie in a global heap,
  /// which HDF5 1.10 reads beyond its end where it is damaged.
  std::vector<ScaleUse> uses(const std::string& scale);
  void transfer(const std::string& name, hid_t type, const std::vector<hsize_t>& start,
                const std::vector<hsize_t>& count, const void* source, void* target);

  /// Throws UserError unless all values of a virtual variable are found. HDF5 does not say what it misses: it reads as
  /// the fill value. `depth`: how many virtual files show this one.
  void require_sources(const std::string& name, int depth = 0);
  /// Opens the file that a virtual variable names, where HDF5 looks for it. Nothing: it is in none of those places.
  std::optional<File> source(const std::string& file) const;

  std::string path_;
  std::string directory_;  ///< of `path_` when it was opened, absolute
  Storage storage_ = Storage::kPacked;
  bool created_ = false;  ///< by this object, so that not all of it needs to be on disk yet
  Handle file_;
  std::vector<Dimension> dimensions_;
  std::map<std::string, hsize_t> chunk_limits_;
  std::map<std::string, Handle> datasets_;
  std::set<std::string> complete_;  ///< variables that require_sources has passed
};

/// Throws UserError unless so many values of 8 bytes fit in the memory that is available.
void require_memory_for(double values, const std::string& file, const std::string& name);

/// Lets this process open as many files as the system allows it; where that fails, opening the files says so.
void allow_many_files();

}  // namespace sharpseek::files
