//! Is it still the same model? Golden values computed by the official package ([`golden`]) and the distances to them
//! ([`metrics`]). The comparisons themselves are this package's tests.

pub mod golden;
pub mod metrics;
pub mod strings;
