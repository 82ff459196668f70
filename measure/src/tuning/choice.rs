//! The best types under a budget, where every group's cost has been measured by itself.
//!
//! The divergences that groups cause by themselves are small, and are taken to add up. That is an assumption: what is
//! chosen is measured as a whole afterwards.

/// One type for a group: what it takes and what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Place among the types that were tried.
    pub kind: usize,
    /// Bytes of the group's tensors.
    pub bytes: u64,
    /// Divergence it causes alone.
    pub cost: f64,
}

/// A type for every group, in the order of the groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Places among the types that were tried.
    pub kinds: Vec<usize>,
    /// Bytes of all groups.
    pub bytes: u64,
    /// Sum of their costs.
    pub cost: f64,
}

/// Every plan that no other beats in both size and cost, the smallest first.
pub fn front(groups: &[Vec<Candidate>]) -> Vec<Plan> {
    let mut plans = vec![Plan { kinds: Vec::new(), bytes: 0, cost: 0.0 }];
    for candidates in groups {
        let longer = plans.iter().flat_map(|plan| {
            candidates.iter().map(|candidate| Plan {
                kinds: plan.kinds.iter().copied().chain([candidate.kind]).collect(),
                bytes: plan.bytes + candidate.bytes,
                cost: plan.cost + candidate.cost,
            })
        });
        plans = unbeaten(longer.collect());
    }
    plans
}

fn unbeaten(mut plans: Vec<Plan>) -> Vec<Plan> {
    plans.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.cost.total_cmp(&b.cost)));
    let mut least = f64::INFINITY;
    plans.retain(|plan| {
        let better = plan.cost < least;
        least = least.min(plan.cost);
        better
    });
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates of five groups from a fixed sequence of numbers; some are beaten by others.
    fn groups() -> Vec<Vec<Candidate>> {
        let mut state = 12_345_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        (0..5)
            .map(|_| {
                (0..4).map(|kind| Candidate { kind, bytes: 10 + next(90), cost: next(1000) as f64 / 1000.0 }).collect()
            })
            .collect()
    }

    /// Every combination, the slow way.
    fn all(groups: &[Vec<Candidate>]) -> Vec<(u64, f64)> {
        groups.iter().fold(vec![(0, 0.0)], |sums, candidates| {
            sums.iter()
                .flat_map(|(bytes, cost)| candidates.iter().map(move |one| (bytes + one.bytes, cost + one.cost)))
                .collect()
        })
    }

    #[test]
    fn the_best_under_every_budget_is_found() {
        let groups = groups();
        let (all, front) = (all(&groups), front(&groups));
        assert_eq!(all.len(), 1024);
        for budget in (40..500).step_by(7) {
            let best = all.iter().filter(|plan| plan.0 <= budget).map(|plan| plan.1).reduce(f64::min);
            assert_eq!(
                front.iter().rev().find(|plan| plan.bytes <= budget).map(|plan| plan.cost),
                best,
                "{budget} bytes"
            );
        }
        for cost in (0..60).map(|step| f64::from(step) / 12.0) {
            let smallest = all.iter().filter(|plan| plan.1 <= cost).map(|plan| plan.0).min();
            assert_eq!(front.iter().find(|plan| plan.cost <= cost).map(|plan| plan.bytes), smallest, "cost {cost}");
        }
    }

    #[test]
    fn a_plan_names_its_candidates() {
        let groups = groups();
        for plan in front(&groups) {
            let chosen: Vec<_> = plan.kinds.iter().zip(&groups).map(|(kind, group)| group[*kind]).collect();
            assert_eq!(chosen.iter().map(|one| one.bytes).sum::<u64>(), plan.bytes);
            assert!((chosen.iter().map(|one| one.cost).sum::<f64>() - plan.cost).abs() < 1e-12);
        }
    }
}
