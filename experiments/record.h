#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "experiments/hdf5.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// Values along one dimension with their meaning: a coordinate or a variable of the file.
struct Column {
  std::string name;
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::string>> values;
  std::string units;
  std::string definition;
};

/// What a run file holds, known before the first record.
struct RecordLayout {
  std::int64_t replicas = 0;
  std::int64_t records = 0;                       ///< length of time
  std::int64_t eigenvalues = 0;                   ///< length of eigen
  std::vector<Column> replica_coordinates;        ///< swept keys and the seed, each [replica]
  std::vector<Parameter> parameters;              ///< blocks: the layers
  std::vector<Balance> balances;                  ///< empty unless measured
  std::vector<Variable> variables;                ///< measured over time
  bool keep_parameters = false;                   ///< store the weights at every record
  std::map<std::string, std::string> attributes;  ///< of the file: resolved config, versions, machine, ...
};

/// Writes one DIR/run.h5 (docs/files.md): valid netCDF-4, under a temporary name until finish() renames it, so that
/// run.h5 is always complete. A record that is never finished leaves nothing behind.
class RunRecord {
 public:
  /// Throws UserError naming the file if it exists or cannot be created.
  RunRecord(std::string path, RecordLayout layout, const Task& task, const std::vector<Noise>& noise);
  ~RunRecord();
  RunRecord(const RunRecord&) = delete;
  RunRecord& operator=(const RunRecord&) = delete;

  /// Appends one record: the measurement, train_loss from the state's sums, step and rescaled time [E].
  void append(const TrainingState& state, const std::vector<double>& rescaled_time, const Measurement& measurement);

  /// Everything recorded so far of a variable [replica, time], row-major; NaN where not measured.
  const std::vector<double>& series(const std::string& variable) const { return series_.at(variable); }
  /// Those of one replica: [records()].
  std::span<const double> series(const std::string& variable, std::size_t replica) const {
    return std::span(series(variable))
        .subspan(replica * static_cast<std::size_t>(layout_.records), static_cast<std::size_t>(written_));
  }
  bool has_series(const std::string& variable) const { return series_.contains(variable); }
  std::int64_t records() const { return written_; }

  /// Adds a variable [replica].
  void replica_variable(const Column& column);
  /// Adds balance_difference_mean and the like: a variable [replica, balance].
  void balance_variable(const std::string& name, const std::vector<double>& values, const std::string& definition);
  /// Attributes of a variable that exists, such as flag meanings.
  void flags(const std::string& variable, const std::vector<std::int64_t>& values, const std::string& meanings);
  void attribute(const std::string& name, const std::string& value) { file_.attribute("/", name, value); }

  /// Writes the checkpoint, closes the file, and gives it its name.
  void finish(const TrainingState& state);

 private:
  void describe(const std::string& name, const std::string& units, const std::string& definition);

  std::string path_;
  std::string partial_;
  RecordLayout layout_;
  hdf5::File file_;
  std::int64_t written_ = 0;
  bool finished_ = false;
  std::map<std::string, std::vector<double>> series_;  ///< [E, records] or [E, records, dimension]
};

}  // namespace sharpseek
