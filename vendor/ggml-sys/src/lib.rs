//! Raw names: the pinned package's functions and types, re-exported, and the macro constants its bindings lack.
//! No logic of any kind; [`ggml`](../ggml/index.html) is the safe layer.

pub use llama_cpp_sys_2::*;

/// Macro constants generated from the installed headers by `build.rs`.
pub mod constants {
    include!(concat!(env!("OUT_DIR"), "/constants.rs"));
}

/// Name and version of the pinned package, read from this package's manifest.
pub const PIN: &str = env!("GGML_SYS_PIN");

#[cfg(test)]
mod tests {
    use super::*;

    /// A bump of the pin that changes what we rely on should fail here, before anything subtle does.
    #[test]
    fn values_we_depend_on() {
        assert_eq!(constants::GGML_MAX_DIMS, 4);
        assert_eq!(constants::GGUF_DEFAULT_ALIGNMENT, 32);
        assert_eq!(constants::GGUF_VERSION, 3);
        let ids = [
            GGML_TYPE_F32,
            GGML_TYPE_F16,
            GGML_TYPE_Q4_0,
            GGML_TYPE_Q5_0,
            GGML_TYPE_Q8_0,
            GGML_TYPE_Q4_K,
            GGML_TYPE_Q5_K,
            GGML_TYPE_Q6_K,
            GGML_TYPE_IQ4_NL,
            GGML_TYPE_BF16,
        ];
        assert_eq!(ids, [0, 1, 2, 6, 8, 12, 13, 14, 20, 30]);
        assert_eq!(GGML_STATUS_SUCCESS, 0);
    }
}
