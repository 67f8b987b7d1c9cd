# The target lh_flags carries the compiler's flags for code of ours.
add_library(lh_flags INTERFACE)

set(lh_c_warnings
    -Wall -Wextra -Wshadow
    -Wconversion -Wno-sign-conversion # the guard against 64 to 32 bit; signs are mostly noise
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual
    -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wdouble-promotion -Wimplicit-fallthrough -fno-common)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND lh_c_warnings -Wjump-misses-init -Wlogical-op -Wduplicated-cond -Wnull-dereference)
endif()

target_compile_options(lh_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:C>:${lh_c_warnings}>"
    "$<$<COMPILE_LANGUAGE:C>:SHELL:-include ${CMAKE_SOURCE_DIR}/src/base/banned.h>"
    "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-fno-exceptions;-fno-rtti>")
if(LH_WERROR)
  target_compile_options(lh_flags INTERFACE -Werror)
endif()

target_compile_definitions(lh_flags INTERFACE
    _GNU_SOURCE _FILE_OFFSET_BITS=64 LH_VERSION="${PROJECT_VERSION}"
    $<$<CONFIG:Debug>:LH_DEBUG>)

# Hardening, in release builds. -march is never set: code that needs more asks the CPU at start.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(lh_flags INTERFACE
      -O3 -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -UNDEBUG)
  target_link_options(lh_flags INTERFACE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()
