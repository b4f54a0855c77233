# What is installed: the command with its model, the libraries and headers, and what find_package and pkg-config read; and
# a Debian package of it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(weft_models_archive STATIC $<TARGET_OBJECTS:weft_models>)
set_target_properties(weft_models_archive PROPERTIES OUTPUT_NAME weft_models LINKER_LANGUAGE CXX)
install(TARGETS weft RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS weft_lib weft_harness weft_models_archive weft_tools ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY core ops runtime gpu models DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weft FILES_MATCHING PATTERN "*.h")

file(GLOB WEFT_SHIPPED_MODELS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/models/shipped/*.gguf)
install(FILES ${WEFT_SHIPPED_MODELS} ${CMAKE_SOURCE_DIR}/models/shipped/CARD.md DESTINATION ${CMAKE_INSTALL_DATADIR}/weft/models)
install(FILES LICENSE THIRD_PARTY_NOTICES.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(WEFT_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
configure_package_config_file(cmake/weft-config.cmake.in ${CMAKE_BINARY_DIR}/generated/weft-config.cmake
                              INSTALL_DESTINATION ${WEFT_CMAKE_DIR}
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/weft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/weft-config.cmake ${CMAKE_BINARY_DIR}/generated/weft-config-version.cmake
              cmake/weft_functions.cmake cmake/model.cc.in
        DESTINATION ${WEFT_CMAKE_DIR})
# Wherever it is moved to.
file(RELATIVE_PATH WEFT_PREFIX_OF_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/weft.pc.in ${CMAKE_BINARY_DIR}/generated/weft.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME weft)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Transformer inference with typed axes, on CPU and OpenCL")
set(CPACK_PACKAGE_CONTACT "The Weft developers <weft@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What programs are built with, beside the libraries that the command itself needs.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "g++-12, cmake, libhwy-dev, libomp-19-dev, libpcre2-dev, libutf8proc-dev, libedit-dev")
include(CPack)
