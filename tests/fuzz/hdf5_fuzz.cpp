// HDF5 files: those of a run with flipped and lost bytes, and files put together from names that the readers look for
// with other types and shapes. They are read, or refused by UserError in one line; what verify passes is what was
// written.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fuzzer/FuzzedDataProvider.h>
#include <hdf5_hl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/record.h"
#include "experiments/run/verify.h"
#include "files/checked_copy.h"
#include "files/checksum.h"
#include "files/netcdf_file.h"
#include "files/samples.h"
#include "tests/fuzz/expect.h"

namespace {

using namespace sharpseek;
namespace fs = std::filesystem;
using Bytes = std::vector<char>;

Bytes contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const fs::path& path, const Bytes& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  expect(out.good(), "the scratch folder is full");
}

/// What is read from a file, in the order of its variables.
struct Values {
  std::vector<std::string> names;
  std::vector<std::int64_t> checksums;
  bool operator==(const Values&) const = default;
};

/// A shape costs nothing to write, but hours to read where it is large: beyond this many values a variable is passed
/// over.
constexpr double kMostValues = 1e6;

Values read_all(const fs::path& path) {
  Values values;
  files::File file = files::File::open(path.string());
  for (const files::VariableInfo& info : file.variables()) {
    values.names.push_back(info.name);
    const double size = std::accumulate(info.shape.begin(), info.shape.end(), 1.0, std::multiplies<>());
    values.checksums.push_back(size > kMostValues ? -1 : files::variable_checksum(file, info));
    file.is_virtual(info.name);
  }
  return values;
}

/// A scratch folder in memory where there is one, and the files of two small runs.
class Scratch {
 public:
  Scratch() {
    const fs::path base = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    folder_ = base / concat("sharpseek-fuzz-", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    const fs::path seeds = SHARPSEEK_FUZZ_SEEDS;
    finished_ = contents(seeds / "finished.h5");
    unfinished_ = contents(seeds / "unfinished.h5");
    checkpoint_ = contents(seeds / "checkpoint.h5");
    expect(!finished_.empty() && !unfinished_.empty() && !checkpoint_.empty(), "there are no seeds");
    values_ = read_all(seeds / "finished.h5");
  }
  ~Scratch() { fs::remove_all(folder_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  fs::path run() const { return folder_ / kRunFile; }
  fs::path checkpoint() const { return folder_ / kCheckpointFile; }
  const Bytes& finished() const { return finished_; }
  const Bytes& unfinished() const { return unfinished_; }
  const Bytes& saved() const { return checkpoint_; }
  const Values& values() const { return values_; }

 private:
  fs::path folder_;
  Bytes finished_, unfinished_, checkpoint_;
  Values values_;
};

Scratch& scratch() {
  static Scratch made;
  return made;
}

/// Changes a few bytes and perhaps cuts the end off. Says whether anything is different.
bool damage(Bytes& file, FuzzedDataProvider& bytes) {
  const Bytes before = file;
  if (bytes.ConsumeIntegralInRange(0, 7) == 0) file.resize(bytes.ConsumeIntegralInRange<std::size_t>(0, file.size()));
  for (int i = bytes.ConsumeIntegralInRange(0, 8); i > 0 && !file.empty(); --i) {
    file[bytes.ConsumeIntegralInRange<std::size_t>(0, file.size() - 1)] ^= bytes.ConsumeIntegral<char>();
  }
  return file != before;
}

template <class Action>
bool accepted(Action action) {
  try {
    action();
    return true;
  } catch (const UserError& error) {
    expect(std::string(error.what()).find('\n') == std::string::npos, concat("several lines: ", error.what()));
    return false;
  }
}

// --- files of any structure

using files::Handle;

Handle any_type(FuzzedDataProvider& bytes) {
  Handle type;
  switch (bytes.ConsumeIntegralInRange(0, 9)) {
    case 0: type = Handle(H5Tcopy(H5T_IEEE_F64LE), H5Tclose); break;
    case 1: type = Handle(H5Tcopy(H5T_STD_I64LE), H5Tclose); break;
    case 2: type = Handle(H5Tcopy(H5T_IEEE_F32BE), H5Tclose); break;
    case 3: type = Handle(H5Tcopy(H5T_STD_U8LE), H5Tclose); break;
    case 4:
      type = Handle(H5Tcopy(H5T_C_S1), H5Tclose);
      H5Tset_size(type, H5T_VARIABLE);
      break;
    case 5:
      type = Handle(H5Tcopy(H5T_C_S1), H5Tclose);
      H5Tset_size(type, bytes.ConsumeIntegralInRange<std::size_t>(1, 9));
      break;
    case 6:
      type = Handle(H5Tcreate(H5T_COMPOUND, 16), H5Tclose);
      H5Tinsert(type, "a", 0, H5T_STD_I64LE);
      H5Tinsert(type, "b", 8, H5T_IEEE_F64LE);
      break;
    case 7: type = Handle(H5Tvlen_create(H5T_STD_I64LE), H5Tclose); break;
    case 8: {
      const std::array<hsize_t, 1> size{3};
      type = Handle(H5Tarray_create2(H5T_IEEE_F64LE, 1, size.data()), H5Tclose);
      break;
    }
    default: type = Handle(H5Tcreate(H5T_OPAQUE, 5), H5Tclose); break;
  }
  return type;
}

Handle any_space(FuzzedDataProvider& bytes, bool may_be_large) {
  const int rank = bytes.ConsumeIntegralInRange(-2, 4);
  if (rank == -2) return {H5Screate(H5S_NULL), H5Sclose};
  if (rank <= 0) return {H5Screate(H5S_SCALAR), H5Sclose};
  std::vector<hsize_t> shape(static_cast<std::size_t>(rank));
  for (hsize_t& size : shape) {
    size = may_be_large && bytes.ConsumeIntegralInRange(0, 15) == 0 ? bytes.ConsumeIntegral<hsize_t>()
                                                                    : bytes.ConsumeIntegralInRange<hsize_t>(0, 3);
  }
  return {H5Screate_simple(rank, shape.data(), nullptr), H5Sclose};
}

/// Zeros of a type without pointers; a text of its own for variable strings; nothing else is written.
template <class Write>
void fill(hid_t type, hid_t space, FuzzedDataProvider& bytes, Write write) {
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (count <= 0 || count > 1000) return;
  if (H5Tis_variable_str(type) > 0) {
    const std::string text = bytes.ConsumeRandomLengthString(12);
    const std::vector<const char*> pointers(static_cast<std::size_t>(count), text.c_str());
    write(pointers.data());
  } else if (H5Tget_class(type) != H5T_VLEN) {
    std::vector<unsigned char> values(H5Tget_size(type) * static_cast<std::size_t>(count));
    const std::vector<unsigned char> given =
        bytes.ConsumeBytes<unsigned char>(std::min<std::size_t>(values.size(), 16));
    std::copy(given.begin(), given.end(), values.begin());
    write(values.data());
  }
}

void any_attribute(hid_t object, const char* name, FuzzedDataProvider& bytes) {
  const Handle type = any_type(bytes);
  const Handle space = any_space(bytes, false);
  if (type < 0 || space < 0) return;
  const Handle made(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (made >= 0) fill(type, space, bytes, [&](const void* values) { H5Awrite(made, type, values); });
}

void sound_attribute(hid_t object, const char* name, std::int64_t value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle made(H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (made >= 0) H5Awrite(made, H5T_NATIVE_INT64, &value);
}

/// By which netCDF says what a stored number means.
constexpr std::array kMeaning{"scale_factor", "add_offset", "_FillValue", "missing_value", "valid_min", "valid_range"};

void any_variable(hid_t file, const char* name, FuzzedDataProvider& bytes, std::vector<Handle>& made) {
  const Handle type = any_type(bytes);
  const Handle space = any_space(bytes, true);
  if (type < 0 || space < 0) return;
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank > 0 && bytes.ConsumeBool()) {
    const std::vector<hsize_t> chunk(static_cast<std::size_t>(rank), bytes.ConsumeIntegralInRange<hsize_t>(1, 3));
    H5Pset_chunk(creation, rank, chunk.data());
    if (bytes.ConsumeBool()) H5Pset_deflate(creation, 1);
  }
  Handle variable(H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose);
  if (variable < 0) return;
  fill(type, space, bytes,
       [&](const void* values) { H5Dwrite(variable, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values); });
  switch (bytes.ConsumeIntegralInRange(0, 3)) {
    case 0: H5DSset_scale(variable, name); break;
    case 1: H5DSset_scale(variable, "This is a netCDF dimension but not a netCDF variable.          2"); break;
    case 2:
      for (int axis = 0; axis < rank && !made.empty(); ++axis) {
        H5DSattach_scale(variable, made[bytes.ConsumeIntegralInRange<std::size_t>(0, made.size() - 1)],
                         static_cast<unsigned>(axis));
      }
      break;
    default: break;
  }
  if (bytes.ConsumeBool()) any_attribute(variable, files::kChecksumAttribute, bytes);
  if (bytes.ConsumeBool()) any_attribute(variable, "step", bytes);
  if (bytes.ConsumeBool()) any_attribute(variable, kMeaning[bytes.ConsumeIntegralInRange<std::size_t>(0, 5)], bytes);
  made.push_back(std::move(variable));
}

constexpr std::array kNames{"step",
                            "replica",
                            "time",
                            "layer",
                            "rescaled_time",
                            "train_loss",
                            "seed",
                            "status",
                            "parameters",
                            "inputs",
                            "targets",
                            "diverged_at",
                            "stationary",
                            "noise_covariance",
                            "input_covariance",
                            "record_checksum",
                            "record",
                            "other",
                            "checkpoint/parameters",
                            "checkpoint/loss_sum",
                            "checkpoint/loss_count",
                            "checkpoint/diverged_at",
                            "checkpoint/slot_0"};
constexpr std::array kAttributes{"config",   "version",        "git_state",         "engine",      "seed",
                                 "steps",    "group",          "record_every",      "fingerprint", "started",
                                 "finished", "schema_version", "checkpoint_schema", "records"};

/// Writes a file with variables and attributes of the names above, some of them sound.
void any_file(const fs::path& path, FuzzedDataProvider& bytes) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  if (bytes.ConsumeIntegralInRange(0, 7) != 0) {
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  }
  const Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, H5P_DEFAULT), H5Fclose);
  expect(file >= 0, "the scratch file cannot be made");
  Handle group;
  if (bytes.ConsumeBool()) {
    const Handle order(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
    H5Pset_link_creation_order(order, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    group = Handle(H5Gcreate2(file, "checkpoint", H5P_DEFAULT, order, H5P_DEFAULT), H5Gclose);
  }
  for (const char* name : kAttributes) {
    switch (bytes.ConsumeIntegralInRange(0, 3)) {
      case 0: any_attribute(file, name, bytes); break;
      case 1: break;
      default: sound_attribute(file, name, bytes.ConsumeIntegralInRange(0, 3)); break;
    }
  }
  std::vector<Handle> made;
  for (int i = bytes.ConsumeIntegralInRange(0, 24); i > 0; --i) {
    any_variable(file, kNames[bytes.ConsumeIntegralInRange<std::size_t>(0, kNames.size() - 1)], bytes, made);
  }
  switch (bytes.ConsumeIntegralInRange(0, 7)) {
    case 0: H5Lcreate_soft("/nowhere", file, "soft", H5P_DEFAULT, H5P_DEFAULT); break;
    case 1: H5Lcreate_external("missing.h5", "/x", file, "external", H5P_DEFAULT, H5P_DEFAULT); break;
    case 2: H5Lcreate_soft("/", file, "circle", H5P_DEFAULT, H5P_DEFAULT); break;
    case 3: {
      const Handle type(H5Tcopy(H5T_STD_I64LE), H5Tclose);
      H5Tcommit2(file, "type", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      break;
    }
    case 4: {
      const Handle long_name(H5Gcreate2(file, std::string(300, 'n').c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             H5Gclose);
      break;
    }
    default: break;
  }
}

/// Reads the array unless it is larger than a fuzzer's share of memory, though the machine's may hold it: a file of a
/// few bytes may declare any size, and what was not written reads as zeros.
void read_modest_array(files::File& input, const std::string& name) {
  constexpr std::size_t kMost = std::size_t{1} << 26;
  if (input.elements(name, input.shape(name)) <= kMost) files::read_array(input, name);
}

void read_as_anything(const fs::path& path) {
  accepted([&] { verify_file(path); });
  accepted([&] { read_checkpoint(path, at::kDouble); });
  accepted([&] { read_all(path); });
  accepted([&] {
    files::File input = files::File::open(path.string());
    accepted([&] { read_modest_array(input, "inputs"); });
    accepted([&] { files::read_samples(input, "inputs", files::Booleans::kIntegers); });
    accepted([&] { files::read_samples(input, "targets", files::Booleans::kReals); });
    accepted([&] { read_modest_array(input, "checkpoint/parameters"); });
    accepted([&] { input.text_attribute("/", "config"); });
    accepted([&] { input.integer_attribute("checkpoint/parameters", "step"); });
    accepted([&] { input.integer_attribute("/", "steps"); });
  });
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  at::set_num_threads(1);
  scratch();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider bytes(data, size);
  Scratch& files = scratch();
  fs::remove(files.checkpoint());
  switch (bytes.ConsumeIntegralInRange(0, 4)) {
    case 0: {
      Bytes file = files.finished();
      damage(file, bytes);
      put(files.run(), file);
      if (accepted([&] { verify_file(files.run()); })) {
        expect(read_all(files.run()) == files.values(), "verify passed other values than were written");
      }
      break;
    }
    case 1:
    case 2: {
      Bytes file = files.unfinished();
      Bytes saved = files.saved();
      damage(bytes.ConsumeBool() ? file : saved, bytes);
      put(files.run(), file);
      put(files.checkpoint(), saved);
      accepted([&] { verify_file(files.run()); });
      accepted([&] { read_checkpoint(files.checkpoint(), at::kDouble); });
      break;
    }
    default:
      any_file(files.run(), bytes);
      read_as_anything(files.run());
      break;
  }
  return 0;
}
