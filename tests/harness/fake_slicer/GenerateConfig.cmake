# Writes the extension's description, as Slicer does, and refuses one that says too little.

set(_description "")
foreach(_field HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${_field}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${_field} is not set")
  endif()
  string(APPEND _description "${_field} ${EXTENSION_${_field}}\n")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.txt" "${_description}")
install(FILES "${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.txt"
  DESTINATION "share/Slicer-${Slicer_VERSION}" COMPONENT Runtime)
