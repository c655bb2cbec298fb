#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/matrix.h"
#include "models/model.h"
#include "models/program.h"

namespace sharpseek {

/// The teacher_* keys of the [data] section.
struct TeacherOptions {
  /// aligned | identity | generic | tanh | mlp | network | diagonal:a,b,.. | file:V.csv | fit | measured (made by
  /// make_task)
  std::string specification = "aligned";
  double scale = 1;           ///< s
  int width = 8;              ///< hidden features of the mlp and network teachers
  ModelOptions network = {};  ///< of `network`: the students, whose hidden features are not the teacher's
};

/// f*: the function that labels inputs, shared by all replicas of a group. n = tokens x inputs of a flattened sample.
///  - diagonal:a,b,..: V [outputs, n] with these on its diagonal;  aligned: geometric from 1.5 s to 0.7 s
///  - generic: V_ij ~ N(0, s^2 / n);  file:V.csv;  tanh: tanh(V x) with a generic V
///  - mlp: V2 tanh(V1 x), V1 [width, n] ~ N(0, 1 / n), V2 [outputs, width] ~ N(0, s^2 / width) in parameter order
///  - network: options.network with `width` hidden features (of a transformer in its MLPs), its initial weights (scale
///    and imbalance 1), the last matrix times s
struct Teacher {
  Program program;
  std::vector<double> parameters;  ///< of `program`
  std::optional<Matrix> matrix;    ///< V [outputs, n]; absent for mlp, and for network but a linear one
  bool linear = false;             ///< f*(x) = V x
};

/// Draws random teachers from Stream::kTeacher (replica key 0). Throws UserError naming data.teacher.
Teacher make_teacher(const TeacherOptions& options, int tokens, int inputs, int outputs, std::uint64_t seed);

}  // namespace sharpseek
