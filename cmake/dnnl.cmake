# oneDNN from Debian's libdnnl-dev. Its own CMake package insists on OpenCL, which nothing here uses.
find_path(DNNL_INCLUDE dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
add_library(dnnl INTERFACE)
target_include_directories(dnnl SYSTEM INTERFACE ${DNNL_INCLUDE})
target_link_libraries(dnnl INTERFACE ${DNNL_LIBRARY} OpenMP::OpenMP_CXX)
