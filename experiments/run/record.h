#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/noise.h"
#include "data/task.h"
#include "engine/engine.h"
#include "experiments/predict/predicted.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/record_buffer.h"
#include "experiments/run/record_layout.h"
#include "files/atomic_file.h"
#include "files/column.h"
#include "files/netcdf_file.h"
#include "sharpness/quantity.h"
#include "training/recorded_series.h"

namespace sharpseek {

inline constexpr const char* kRunFile = "run.h5";

/// Writes one DIR/run.h5 (docs/files.md): valid netCDF-4 at every instant.
///
/// During the run, run.h5 has its whole length from the start, filled with NaN, and records are written in
/// place: no later write changes the file's structure, so that a process killed in the middle of one leaves what was
/// there. How many records are part of the run is what the checkpoint next to it says, which is replaced by renaming.
/// In the end a packed copy with checksums, and with the variables that summarise the run, takes its place.
///
/// Memory: one buffer of records, at most kBufferBytes (or one record, if that is larger).
class RunRecord : public RecordedSeries {
 public:
  /// The record of a run in `directory`; call create() or reopen() next.
  RunRecord(std::filesystem::path directory, RecordLayout layout);
  ~RunRecord() override;
  RunRecord(const RunRecord&) = delete;
  RunRecord& operator=(const RunRecord&) = delete;

  /// Makes the file. It has its name once `replica_variable`s are all there: at begin(); until then nothing is left of
  /// it. Throws UserError naming the file.
  void create(const Task& task, const std::vector<Noise>& noise);
  /// Gives the file its name; it is on disk.
  void begin();
  /// Continues an existing file whose first `checkpoint.records` records are part of the run; checks them against
  /// their checksums. Throws UserError naming what is damaged or different.
  void reopen(const Checkpoint& checkpoint);
  /// Takes the first `records` records over from another file of the same run, made with another length.
  void import(files::File& source, std::int64_t records);

  /// Appends one record: the measurement, train_loss from the state's sums, step and rescaled time [E].
  void append(const TrainingState& state, const std::vector<double>& rescaled_time, const Measurement& measurement);
  /// Puts what was appended, and then `state` with the eigenvectors that the next record is tracked from (undefined:
  /// none), on disk; what this returns from is never lost.
  void checkpoint(const TrainingState& state, const at::Tensor& tracked);
  /// The same before begin(), for a file that takes another one's place.
  void save(const TrainingState& state, const at::Tensor& tracked) { checkpoint(state, tracked); }

  std::int64_t records() const override { return written_; }
  /// CRC-32 of the values of each record, [records()].
  const std::vector<std::int64_t>& checksums() const { return checksums_; }
  bool has_series(std::string_view variable) const override { return buffer_.has(variable); }
  /// Calls visit(first replica, values [count, records(), size of the extra dimension]) for chunks of replicas that
  /// together are all of them.
  void for_each_chunk(const std::string& variable,
                      const std::function<void(std::size_t first, std::span<const double> values)>& visit);
  void for_each_series(const std::string& variable,
                       const std::function<void(std::size_t replica, std::span<const double> series)>& visit) override;
  /// Steps of the records so far, [records()].
  const std::vector<std::int64_t>& steps() const { return steps_; }

  /// Adds what a theory predicts. Paths have layout.records values for each replica.
  void add(const Predicted& predicted);
  /// Begins the packed file, which takes over everything. Variables and attributes are then added to it.
  void pack();
  /// Adds a variable [replica], or replaces the values of one that is there.
  void replica_variable(const files::Column& column);
  /// Adds balance_difference_mean and the like: a variable [replica, balance].
  void balance_variable(const std::string& name, const std::vector<double>& values, const std::string& definition);
  void attribute(const std::string& name, const std::string& value);
  /// Writes the state and gives the packed file its name; the checkpoint next to it goes.
  void finish(const TrainingState& state, const at::Tensor& tracked);

 private:
  std::filesystem::path path() const { return directory_ / kRunFile; }
  /// The file that takes variables now.
  files::File& target() { return packed_ ? *packed_ : *file_; }
  void write_buffer();

  std::filesystem::path directory_;
  RecordLayout layout_;
  std::optional<files::AtomicFile> fresh_;  ///< the name of file_ before begin(), of packed_ after pack()
  std::unique_ptr<files::File> file_;       ///< written in place
  std::unique_ptr<files::File> packed_;     ///< after pack()
  RecordBuffer buffer_;                     ///< that the last record is in, or the next one
  std::int64_t written_ = 0;                ///< records appended
  bool unsaved_ = false;                    ///< the buffer has records that are not in the file
  std::vector<std::int64_t> steps_;         ///< [written_]
  std::vector<std::int64_t> checksums_;     ///< [written_]
};

}  // namespace sharpseek
