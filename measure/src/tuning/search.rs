//! The search: every group at every type by itself, then the best combinations, measured as a whole.

use super::choice::{Candidate, Plan, front};
use super::groups::Group;
use qasr::error::{Error, Remedy, Result};
use qasr_format::GgmlType;
use serde::{Deserialize, Serialize};

/// The bound of the choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// Bytes of both files together.
    Size(u64),
    /// Mean divergence per token from the reference, in nats.
    Divergence(f64),
}

/// The cost of a model of certain types, measured as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Bytes of both files.
    pub bytes: u64,
    /// Mean divergence per token, in nats.
    pub kl: f64,
    /// Share of tokens where another one is the most likely.
    pub flip_rate: f64,
    /// exp of the mean −ln p of the text.
    pub perplexity: f64,
}

/// Where the numbers come from.
pub trait Trial {
    /// Bytes of the group's tensors at this type, and of all tensors and headers that belong to no group.
    ///
    /// # Errors
    /// When the model has none.
    fn bytes(&mut self, group: Group, kind: GgmlType) -> Result<u64>;

    /// Bytes of both files without the tensors of the groups.
    fn rest(&mut self) -> Result<u64>;

    /// Makes and measures the model with these types, and the source's own for the other groups.
    fn measure(&mut self, types: &[(Group, GgmlType)]) -> Result<Measured>;
}

/// The cost of one group at one type, with all others as in the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sensitivity {
    /// The group.
    pub group: Group,
    /// Its type.
    pub kind: GgmlType,
    /// Bytes of the group's tensors.
    pub bytes: u64,
    /// Its own cost.
    pub measured: Measured,
}

/// A choice of types, and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// A type for every group.
    pub types: Vec<(Group, GgmlType)>,
    /// The sum of the groups' own costs.
    pub predicted: f64,
    /// The cost of the whole.
    pub measured: Measured,
}

/// Combinations measured as a whole where their predicted costs are close.
const FINALISTS: usize = 3;

/// Measures every group at every type of `kinds`. `progress` gets the numbers done and in all.
///
/// # Errors
/// Those of `trial`.
pub fn sensitivities(
    trial: &mut dyn Trial,
    kinds: &[GgmlType],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Sensitivity>> {
    let total = Group::ALL.len() * kinds.len();
    let mut all = Vec::with_capacity(total);
    for group in Group::ALL {
        for kind in kinds {
            let (bytes, measured) = (trial.bytes(group, *kind)?, trial.measure(&[(group, *kind)])?);
            all.push(Sensitivity { group, kind: *kind, bytes, measured });
            progress(all.len(), total);
        }
    }
    Ok(all)
}

/// The best types under `budget`.
///
/// For a size, the few combinations that are predicted to be best are measured and the best of them is taken. For a
/// divergence, the smallest combination that is measured to keep it is searched by halving, as predictions can be off.
///
/// # Errors
/// [`qasr::ErrorKind::Usage`] when nothing fits the budget, with the nearest that there is; those of `trial`.
pub fn search(trial: &mut dyn Trial, sensitivities: &[Sensitivity], budget: Budget) -> Result<Found> {
    let rest = trial.rest()?;
    let candidates = |group: &Group| {
        let of_group = sensitivities.iter().enumerate().filter(|(_, one)| one.group == *group);
        of_group.map(|(kind, one)| Candidate { kind, bytes: one.bytes, cost: one.measured.kl }).collect()
    };
    let groups: Vec<Vec<Candidate>> = Group::ALL.iter().map(candidates).collect();
    let front = front(&groups);
    let types = |plan: &Plan| -> Vec<(Group, GgmlType)> {
        plan.kinds.iter().map(|kind| (sensitivities[*kind].group, sensitivities[*kind].kind)).collect()
    };
    let mut measure = |plan: &Plan| -> Result<Found> {
        let types = types(plan);
        let measured = trial.measure(&types)?;
        Ok(Found { types, predicted: plan.cost, measured })
    };
    match budget {
        Budget::Size(bytes) => {
            let fitting = front.iter().rev().filter(|plan| plan.bytes.saturating_add(rest) <= bytes);
            let mut best: Option<Found> = None;
            for plan in fitting.take(FINALISTS) {
                let found = measure(plan)?;
                if found.measured.bytes <= bytes
                    && best.as_ref().is_none_or(|best| found.measured.kl < best.measured.kl)
                {
                    best = Some(found);
                }
            }
            best.ok_or_else(|| {
                let least = front.first().map_or(0, |plan| plan.bytes).saturating_add(rest);
                Error::usage(format!(
                    "no types make the model as small as {:.2} MB: the smallest is about {:.2} MB ({least} \
                     bytes)",
                    bytes as f64 / 1e6,
                    least as f64 / 1e6
                ))
                .with_remedy(Remedy::LargerFilesOrSmallerTypes)
            })
        }
        Budget::Divergence(kl) => {
            let (mut low, mut high) = (0, front.len());
            let mut best: Option<Found> = None;
            let mut nearest = f64::INFINITY;
            while low < high {
                let middle = low + (high - low) / 2;
                let found = measure(&front[middle])?;
                nearest = nearest.min(found.measured.kl);
                if found.measured.kl <= kl {
                    best = Some(found);
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            best.ok_or_else(|| {
                Error::usage(format!(
                    "no types keep the divergence under {kl} nats per token: the least is {nearest:.2e}"
                ))
                .with_remedy(Remedy::MoreDivergenceOrLargerTypes)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const KINDS: [GgmlType; 3] = [GgmlType::F16, GgmlType::Q8_0, GgmlType::Q4_0];

    /// A model of numbers: groups of different sizes, costs that grow with missing bits and a little with each other.
    struct Numbers {
        measured: usize,
    }

    fn weight(group: Group) -> f64 {
        let place = Group::ALL.iter().position(|one| *one == group).unwrap_or(0);
        [0.1, 0.5, 0.6, 0.05, 0.4, 0.3, 1.0][place]
    }

    impl Trial for Numbers {
        fn bytes(&mut self, group: Group, kind: GgmlType) -> Result<u64> {
            Ok((weight(group) * 1e6 * kind.bits_per_value() / 8.0) as u64)
        }

        fn rest(&mut self) -> Result<u64> {
            Ok(50_000)
        }

        fn measure(&mut self, types: &[(Group, GgmlType)]) -> Result<Measured> {
            self.measured += 1;
            let given: BTreeMap<Group, GgmlType> = types.iter().copied().collect();
            let mut kl = 0.0;
            let mut bytes = 50_000;
            for group in Group::ALL {
                let Some(kind) = given.get(&group).copied() else {
                    bytes += self.bytes(group, GgmlType::F16)?;
                    continue;
                };
                // The projector is small and precious, the decoder's MLP large and cheap.
                let harm = if group == Group::Projector { 40.0 } else { 1.0 / weight(group) };
                kl += harm * (18.0 - kind.bits_per_value()).powi(2) * 1e-4;
                bytes += self.bytes(group, kind)?;
            }
            // Together they harm more than one by one.
            Ok(Measured { bytes, kl: kl + 2.0 * kl * kl, flip_rate: kl, perplexity: 1.0 + kl })
        }
    }

    fn of(found: &Found, group: Group) -> GgmlType {
        found.types.iter().find(|(one, _)| *one == group).map(|(_, kind)| *kind).unwrap()
    }

    #[test]
    fn a_size_is_kept_and_bits_go_where_they_count() {
        let mut trial = Numbers { measured: 0 };
        let all = sensitivities(&mut trial, &KINDS, &mut |_, _| {}).unwrap();
        assert_eq!((all.len(), trial.measured), (21, 21));
        let found = search(&mut trial, &all, Budget::Size(3_000_000)).unwrap();
        assert!(found.measured.bytes <= 3_000_000 && found.measured.bytes > 2_600_000, "{found:?}");
        assert!(of(&found, Group::Projector).bits_per_value() > of(&found, Group::DecoderMlp).bits_per_value());
        let smaller = search(&mut trial, &all, Budget::Size(2_000_000)).unwrap();
        assert!(smaller.measured.kl > found.measured.kl);
        let error = search(&mut trial, &all, Budget::Size(1_000_000)).unwrap_err();
        assert!(error.to_string().contains("smallest is about 1."), "{error}");
    }

    #[test]
    fn a_divergence_is_kept_as_measured_not_as_predicted() {
        let mut trial = Numbers { measured: 0 };
        let all = sensitivities(&mut trial, &KINDS, &mut |_, _| {}).unwrap();
        let least = search(&mut trial, &all, Budget::Size(u64::MAX)).unwrap().measured.kl;
        let found = search(&mut trial, &all, Budget::Divergence(0.2)).unwrap();
        assert!(found.measured.kl <= 0.2 && found.predicted < found.measured.kl, "{found:?}");
        let looser = search(&mut trial, &all, Budget::Divergence(0.5)).unwrap();
        assert!(looser.measured.bytes < found.measured.bytes);
        let error = search(&mut trial, &all, Budget::Divergence(least / 2.0)).unwrap_err();
        assert!(error.to_string().contains("allow more divergence"), "{error}");
    }
}
