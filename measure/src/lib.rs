//! What recognition and quantization cost: scores, evaluations over manifests, the distance of types from their source,
//! the search for recipes, and the pages that show all of it. Built on the public face of [`qasr`].

#![warn(missing_docs)]

pub mod command;
pub mod depths;
pub mod evaluation;
pub mod identity;
pub mod importance;
pub mod journal;
pub mod machine;
pub mod process;
pub mod report;
pub mod scoring;
pub mod tuning;
pub mod variants;
pub mod whole;
