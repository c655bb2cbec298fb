#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <exception>
#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {

/// Why LibTorch refused, as one line without frames, tracebacks of the interpreter or advice to programmers.
std::string torch_reason(const std::exception& error);

/// Whether there was no memory for what was asked: the standard library's exception or LibTorch's, on any device.
bool is_out_of_memory(const std::exception& error);

/// Calls body; whatever LibTorch throws there becomes UserError "SUBJECT: reason". LibTorch throws c10::Error,
/// torch::jit::ErrorReport, JITException and plain standard exceptions: the only things let through are the errors of
/// this program.
template <class Body>
decltype(auto) with_torch_errors(const std::string& subject, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const UserError&) {
    throw;
  } catch (const InternalError&) {
    throw;
  } catch (const std::exception& error) {
    throw UserError(concat(subject, ": ", torch_reason(error)));
  }
}

/// Keeps what LibTorch warns of in this thread off standard error, for as long as it lives.
class TorchWarnings : public c10::WarningHandler {
 public:
  TorchWarnings() : guard_(this) {}
  void process(const c10::Warning& warning) override;
  /// One line for each different warning with how often it came, the first ones first, at most `most` of them.
  std::vector<std::string> lines(std::size_t most) const;

 private:
  c10::WarningUtils::WarningHandlerGuard guard_;
  std::vector<std::string> order_;
  std::map<std::string, std::int64_t> counts_;
};

}  // namespace sharpseek
