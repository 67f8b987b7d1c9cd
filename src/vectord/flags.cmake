# One file is compiled for a newer instruction set than the rest; distance.c calls into it only when
# the processor has it.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/vectord/distance_avx2.c
      PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
endif()
