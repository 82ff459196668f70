# CMake includes this file after every project() that llama-cpp-sys-2 builds: .cargo/config.toml names it in
# CMAKE_PROJECT_INCLUDE. It saves time of compilation where nothing runs that takes time: in `common` and mtmd, which
# only the oracle's tests use. ggml and libllama keep their flags.
if(NOT PROJECT_NAME STREQUAL "llama.cpp" OR CMAKE_VERSION VERSION_LESS 3.20 OR MSVC)
    return()
endif()

# Compiles the files of one folder of a target in a few units, as upstream does with the models of libllama.
function(qasr_join target folder)
    get_target_property(sources ${target} SOURCES)
    get_target_property(root ${target} SOURCE_DIR)
    list(FILTER sources EXCLUDE REGEX "(^|/)${folder}/[^/]*\\.cpp$")
    foreach(source IN LISTS sources)
        # A relative name would mean a file of this folder.
        cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${root}")
        set_source_files_properties("${source}" TARGET_DIRECTORY ${target} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endforeach()
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
endfunction()

function(qasr_compile_quickly)
    if(TARGET cpp-httplib)
        target_compile_options(cpp-httplib PRIVATE -O0)
    endif()
    if(TARGET llama-common)
        target_compile_options(llama-common PRIVATE -O0)
        qasr_join(llama-common parsers)
    endif()
    if(TARGET mtmd)
        target_compile_options(mtmd PRIVATE -O1)
        qasr_join(mtmd models)
    endif()
endfunction()
# At the end of the top-level file, when all targets are known.
cmake_language(DEFER CALL qasr_compile_quickly)
