//! Is it still the same model? Golden values computed by the official package ([`golden`]) and the distances to them
//! ([`metrics`]); and how far a quantized model may be from the exact one ([`limits`]). The comparisons themselves are
//! this package's tests.

pub mod golden;
pub mod limits;
pub mod metrics;
pub mod strings;
