#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "files/column.h"
#include "files/netcdf_file.h"
#include "models/program.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// What a run file holds, known before the first record.
struct RecordLayout {
  std::int64_t replicas = 0;
  std::int64_t records = 0;                        ///< length of time
  std::int64_t steps = 0;                          ///< of the whole run
  std::int64_t first = 0;                          ///< step of the first record: of a fork its parent's
  std::int64_t every = 1;                          ///< steps between records
  std::int64_t batch = 1;                          ///< samples of a step: for gd all of the set
  std::string fingerprint;                         ///< problem_fingerprint()
  std::int64_t eigenvalues = 0;                    ///< length of eigen
  std::vector<files::Column> replica_coordinates;  ///< swept keys and the seed, each [replica]
  std::vector<Parameter> parameters;               ///< blocks: the layers
  std::vector<Balance> balances;                   ///< empty unless measured
  std::vector<Variable> variables;                 ///< measured over time
  bool keep_parameters = false;                    ///< store the weights at every record
  std::map<std::string, std::int64_t> integers;    ///< further attributes of the file
  std::map<std::string, std::string> attributes;   ///< of the file: resolved config, versions, machine, ...

  /// The dimension of a file by a variable's name for it, with its length.
  files::Dimension dimension(std::string_view name) const;
  /// Those of a variable, whose names stand one after the other: "", "layer", "layer eigen".
  std::vector<files::Dimension> dimensions(std::string_view names) const;
};

/// "W_1[8,4] W_2[3,8]": the blocks of the parameter vector, as files tell them.
std::string block_shapes(const std::vector<Parameter>& parameters);

/// A variable over time: [replica, time], or with extra dimensions [replica, time, ...].
struct Series {
  std::string name;
  std::vector<hsize_t> extra;  ///< lengths of the extra dimensions

  /// Values of a replica at a time.
  hsize_t size() const;
  /// The place of `count` records of `replicas` replicas from these on: first index and length in each dimension.
  std::vector<hsize_t> start(hsize_t replica, hsize_t record) const;
  std::vector<hsize_t> shape(hsize_t replicas, hsize_t count) const;
};

/// The variables over time, in the order of the file.
std::vector<Series> series_of(const RecordLayout& layout);

}  // namespace sharpseek
