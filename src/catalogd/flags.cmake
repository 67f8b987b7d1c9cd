# Manifests are compressed with zstd (parquet_write.c, parquet_read.c).
pkg_check_modules(LH_ZSTD REQUIRED IMPORTED_TARGET libzstd)
if(sources)
  target_link_libraries(lh_catalogd PUBLIC PkgConfig::LH_ZSTD)
endif()
