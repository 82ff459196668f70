//! How many threads the next graph gets, from how long the threads of earlier ones waited for a processor.
//!
//! A thread that another process pushes aside stops all others at the next barrier, where they spin. With `n` threads
//! of which `lost` are missing on average, work goes on in at best `1 - lost` of the time, so `n` threads do the work of
//! `n * (1 - lost)`. Once that comes near the work of `n - 1` undisturbed ones, fewer are faster.

use std::time::Duration;

/// Time that must have been watched before the number changes: some slices of the system's scheduler.
pub(crate) const EVIDENCE: Duration = Duration::from_millis(30);

/// Computing time between two tries with all threads; doubled whenever a try fails, up to the second number.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Threads that wait for this share of their time show that no processor is free for one more.
const CROWDED: f64 = 0.1;

/// Some graphs: their time, and how much of it their threads together waited for a processor.
#[derive(Debug, Clone, Copy, Default)]
struct Spell {
    wall: Duration,
    waited: Duration,
}

impl Spell {
    fn add(&mut self, wall: Duration, waited: Duration) {
        self.wall += wall;
        self.waited += waited;
    }

    /// Threads that were missing on average.
    fn lost(self) -> f64 {
        self.waited.as_secs_f64() / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// History of the graphs that one thread pool computed.
#[derive(Debug)]
pub(crate) struct Load {
    limit: usize,
    now: usize,
    /// The latest graphs, up to [`EVIDENCE`], and all since the number changed.
    recent: Spell,
    whole: Spell,
    /// How long fewer threads than all must have worked before all are tried.
    patience: Duration,
}

impl Load {
    /// All of `limit` threads at first.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, now: limit, recent: Spell::default(), whole: Spell::default(), patience: PATIENCE.0 }
    }

    /// Threads for the next graph.
    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// Whether it is time to see how all threads fare ([`Self::tried`]).
    pub(crate) fn is_due(&mut self) -> bool {
        if self.now == self.limit || self.whole.wall < self.patience {
            return false;
        }
        let is_crowded = self.whole.lost() > CROWDED * self.now as f64;
        self.whole = Spell::default();
        !is_crowded
    }

    /// A graph took `wall` with [`Self::now`] threads, which together waited for `waited` of it.
    pub(crate) fn record(&mut self, wall: Duration, waited: Duration) {
        self.whole.add(wall, waited);
        self.recent.add(wall, waited);
        if self.recent.wall >= EVIDENCE {
            if let Some(fewer) = fewer(self.now, self.recent.lost()) {
                self.now = fewer;
                self.whole = Spell::default();
            }
            self.recent = Spell::default();
        }
    }

    /// All threads ran for `wall` and together waited for `waited` of it.
    pub(crate) fn tried(&mut self, wall: Duration, waited: Duration) {
        (self.now, self.patience) = match fewer(self.limit, Spell { wall, waited }.lost()) {
            None => (self.limit, PATIENCE.0),
            Some(fewer) => (fewer, (self.patience * 2).min(PATIENCE.1)),
        };
        (self.recent, self.whole) = (Spell::default(), Spell::default());
    }
}

/// How many of `threads` to go on with when `lost` of them are missing on average; `None` where all are worth it.
fn fewer(threads: usize, lost: f64) -> Option<usize> {
    // A margin over the formula above: threads that wait also use up the time that the missing ones need.
    const MARGIN: f64 = 0.4;
    if threads == 1 || lost * threads as f64 <= 1.0 - MARGIN {
        return None;
    }
    // As many as there were processors for; the rounding keeps a thread that was there most of the time.
    Some(((threads as f64 - lost + 0.3) as usize).clamp(1, threads - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASS: Duration = Duration::from_millis(20);

    /// Runs graphs for `time` on `cores` processors beside `others` processes; returns the threads of each, and how
    /// often all were tried.
    fn run(load: &mut Load, cores: usize, others: usize, time: Duration) -> (Vec<usize>, usize) {
        let waited = |threads: usize| {
            let share = (cores as f64 / (threads + others) as f64).min(1.0);
            PASS.mul_f64(threads as f64 * (1.0 - share))
        };
        let mut tries = 0;
        let mut pass = |_| {
            if load.is_due() {
                tries += 1;
                load.tried(PASS, waited(load.limit));
            }
            let threads = load.now();
            load.record(PASS, waited(threads));
            threads
        };
        let threads = (0..time.as_millis() / PASS.as_millis()).map(&mut pass).collect();
        (threads, tries)
    }

    #[test]
    fn alone_all_threads_work_and_a_hiccup_changes_nothing() {
        let mut load = Load::new(4);
        let (threads, tries) = run(&mut load, 4, 0, Duration::from_secs(2));
        assert!(threads.iter().all(|threads| *threads == 4) && tries == 0);
        load.record(PASS * 2, PASS / 5);
        assert_eq!(load.now(), 4);
    }

    #[test]
    fn beside_a_busy_process_two_threads_become_one_at_once() {
        for (others, expected) in [(1, 4..=6), (2, 0..=0), (8, 0..=0)] {
            let mut load = Load::new(2);
            let (threads, tries) = run(&mut load, 2, others, Duration::from_secs(20));
            assert_eq!(threads[..3], [2, 2, 1], "beside {others}");
            assert!(threads[3..].iter().all(|threads| *threads == 1), "beside {others}");
            assert!(expected.contains(&tries), "{tries} tries beside {others}");
        }
    }

    #[test]
    fn many_cores_give_up_as_many_as_are_taken() {
        let mut load = Load::new(8);
        let (threads, _) = run(&mut load, 8, 1, Duration::from_millis(400));
        assert_eq!(threads.last(), Some(&7), "{threads:?}");
        let mut load = Load::new(8);
        let (threads, _) = run(&mut load, 8, 6, Duration::from_millis(400));
        assert!((1..=3).contains(threads.last().expect("graphs")), "{threads:?}");
    }

    #[test]
    fn all_come_back_when_the_machine_is_quiet_again() {
        for others in [1, 2] {
            let mut load = Load::new(2);
            run(&mut load, 2, others, Duration::from_secs(60));
            let (threads, _) = run(&mut load, 2, 0, Duration::from_secs(9));
            assert_eq!(threads.last(), Some(&2));
        }
        let mut load = Load::new(8);
        run(&mut load, 8, 8, Duration::from_millis(200));
        let (threads, _) = run(&mut load, 8, 0, Duration::from_millis(800));
        assert_eq!(threads.last(), Some(&8), "soon after a short disturbance");
    }
}
