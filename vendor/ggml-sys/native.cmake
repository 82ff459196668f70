# CMake includes this file after every project() that llama-cpp-sys-2 builds: .cargo/config.toml names it in
# CMAKE_PROJECT_INCLUDE. It saves time of compilation where nothing runs that takes time: in `common` and mtmd, which
# only the oracle's tests use. ggml and libllama keep their flags.
if(NOT PROJECT_NAME STREQUAL "llama.cpp" OR CMAKE_VERSION VERSION_LESS 3.19 OR MSVC)
    return()
endif()

function(qasr_compile_quickly)
    foreach(target llama-common llama-common-base cpp-httplib)
        if(TARGET ${target})
            target_compile_options(${target} PRIVATE -O0)
        endif()
    endforeach()
    if(TARGET mtmd)
        target_compile_options(mtmd PRIVATE -O1)
        # Its models in a few units, as upstream does with those of libllama.
        get_target_property(sources mtmd SOURCES)
        list(FILTER sources EXCLUDE REGEX "models/[^/]*\\.cpp$")
        # Relative names would mean files of this folder.
        get_target_property(folder mtmd SOURCE_DIR)
        list(TRANSFORM sources PREPEND "${folder}/")
        set_source_files_properties(${sources} TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
        set_target_properties(mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    endif()
endfunction()
# At the end of the top-level file, when all targets are known.
cmake_language(DEFER CALL qasr_compile_quickly)
