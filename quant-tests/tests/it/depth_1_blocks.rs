//! Depth 1: errors of a round trip through every type, for values of known distributions.

use crate::common::Checks;
use qasr_convert::distance::blocks;
use qasr_format::GgmlType;
use quant_tests::limits::Depth;

#[test]
fn every_type_stays_within_its_limits() {
    let mut checks = Checks::new(Depth::Blocks);
    for name in ["q8_0", "q6_k", "q5_k", "q5_0", "q4_k", "q4_0", "iq4_nl"] {
        let kind = GgmlType::find(name).unwrap();
        for error in blocks(kind, None).unwrap() {
            let subject = error.shape.name().replace(' ', "_");
            checks.add(&subject, name, "relative_rms", error.relative_rms, "all blocks");
            checks.add(&subject, name, "max_relative", error.max_relative, "the worst block");
        }
    }
    checks.finish();
}

/// The limits are tight enough to separate a type from the next better one.
#[test]
fn a_type_with_fewer_bits_is_over_the_limit_of_its_neighbour() {
    for (kind, better) in [("q4_0", "q4_k"), ("q4_k", "q5_0"), ("q5_0", "q5_k"), ("q5_k", "q6_k"), ("q6_k", "q8_0")] {
        let mut checks = Checks::new(Depth::Blocks);
        let errors = blocks(GgmlType::find(kind).unwrap(), None).unwrap();
        checks.add("normal", better, "relative_rms", errors[0].relative_rms, "all blocks");
        let over = checks.over();
        assert!(
            over.len() == 1 && over[0].starts_with(&format!("depth 1 (blocks), {better}, normal, all blocks: ")),
            "{over:?}"
        );
    }
}
