# The macros that a scripted module's CMakeLists.txt calls.

if(NOT DEFINED EXTENSION_NAME)
  set(EXTENSION_NAME ${PROJECT_NAME})
endif()

option(BUILD_TESTING "Test the extension." ON)
if(BUILD_TESTING)
  enable_testing()
endif()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(_module "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME"
    "SCRIPTS;RESOURCES" ${ARGN})
  if(_module_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown arguments: ${_module_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT _module_NAME)
    message(FATAL_ERROR "a scripted module needs a NAME")
  endif()
  set(_copied)
  foreach(_file IN LISTS _module_SCRIPTS _module_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${_file}")
      message(FATAL_ERROR "${_module_NAME} names a file that is not there: ${_file}")
    endif()
    set(_target "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${_file}")
    get_filename_component(_folder "${_file}" DIRECTORY)
    add_custom_command(
      OUTPUT "${_target}"
      COMMAND ${CMAKE_COMMAND} -E copy_if_different
        "${CMAKE_CURRENT_SOURCE_DIR}/${_file}" "${_target}"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${_file}"
      )
    install(FILES "${_target}"
      DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/${_folder}"
      COMPONENT RuntimeLibraries)
    list(APPEND _copied "${_target}")
  endforeach()
  add_custom_target(CopyScripts${_module_NAME} ALL DEPENDS ${_copied})
endmacro()

# The real one runs Slicer; FAKE_SLICER_PYTHON_RUNNER runs the same test with the stand-ins.
macro(slicer_add_python_unittest)
  cmake_parse_arguments(_test "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${_test_SCRIPT}")
    message(FATAL_ERROR "a test of a script that is not there: ${_test_SCRIPT}")
  endif()
  get_filename_component(_test_name "${_test_SCRIPT}" NAME_WE)
  add_test(
    NAME py_${_test_TESTNAME_PREFIX}${_test_name}
    COMMAND ${FAKE_SLICER_PYTHON_RUNNER} ${_test_name}
    )
endmacro()
