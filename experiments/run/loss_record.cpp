#include "experiments/run/loss_record.h"

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/labels.h"

namespace sharpseek {

std::map<std::string, std::string> loss_attributes(LossKind loss, LabelKind labels) {
  return {{"loss", traits(loss).name},
          {"loss_definition", concat("mean over samples of the ", traits(loss).definition, ", f outputs, y labels")},
          {"loss_units", traits(loss).units},
          {"labels", name_of(labels)},
          {"labels_definition", definition_of(labels)}};
}

files::Column label_error_column(const at::Tensor& error) {
  const double* first = error.const_data_ptr<double>();
  return {"label_mean_error", std::vector<double>(first, first + error.numel()), "1",
          "standard error of an element of the samples' mean labels, over which loss, curvature and fluctuation are "
          "taken: their noise is averaged over random values that are the same at all records (docs/concepts.md)"};
}

}  // namespace sharpseek
