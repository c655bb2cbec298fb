# Writes generated/experiments/run/version_data.h when what it says has changed. Run at every build by the target
# sharpseek_version_data with SOURCE_DIR, OUTPUT and the constants below.
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=12 OUTPUT_VARIABLE GIT_STATE
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(GIT_STATE "unknown")
  # A build without the repository, a container's, may be told what it is made from.
  if(NOT "$ENV{SHARPSEEK_REVISION}" STREQUAL "")
    set(GIT_STATE "$ENV{SHARPSEEK_REVISION}")
  endif()
endif()
set(text "#pragma once
#define SHARPSEEK_VERSION \"${VERSION}\"
#define SHARPSEEK_GIT_STATE \"${GIT_STATE}\"
#define SHARPSEEK_COMPILER \"${COMPILER}\"
#define SHARPSEEK_BUILD_TYPE \"${BUILD_TYPE}\"
#define SHARPSEEK_TORCH_VERSION \"${TORCH_VERSION}\"
")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
