//! `qasr --version`: what this binary is made of, for a bug report.

use super::exit::Exit;
use super::{config, messages};

/// Prints version, git revision, the native library, its pin, the CPU features in use and the
/// configuration file.
pub fn run() -> Exit {
    let features = ggml::cpu_features();
    let features = if features.is_empty() { "none beyond the baseline".into() } else { features.join(" ") };
    messages::print_result(&format!(
        "qasr {} ({})\nggml {} from {}\nCPU features in use: {features}\n{}",
        qasr::VERSION,
        qasr::REVISION,
        ggml::version(),
        ggml::pin(),
        config::describe(),
    ))
}
