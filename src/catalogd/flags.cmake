# Manifests are compressed with zstd (parquet_write.c, parquet_read.c).
pkg_check_modules(LH_ZSTD REQUIRED IMPORTED_TARGET libzstd)
if(sources)
  target_link_libraries(lh_catalogd PUBLIC PkgConfig::LH_ZSTD)
  # The unit tests read manifests back with DuckDB; the program does not use it and must not load it.
  target_link_options(lh_catalogd INTERFACE LINKER:--as-needed)
endif()
