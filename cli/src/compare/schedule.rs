//! Who runs when: every recording in every round by every engine, with another engine first each time.

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Counted from 0.
    pub round: usize,
    pub recording: usize,
    pub engine: usize,
    /// Which of the engines' turns this is at this recording in this round, counted from 0.
    pub turn: usize,
}

/// All runs in order. An engine that always ran after the same other one would always meet the state that it left: a warm
/// or a throttled processor.
pub fn plan(engines: usize, recordings: usize, rounds: usize) -> impl Iterator<Item = Planned> {
    let visits = (0..rounds).flat_map(move |round| (0..recordings).map(move |recording| (round, recording)));
    visits.flat_map(move |(round, recording)| {
        // Rounds shift by one more, so that with as many recordings as engines each begins everywhere in turn.
        let first = round + recording;
        (0..engines).map(move |turn| Planned { round, recording, engine: (first + turn) % engines, turn })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_run_is_there_once() {
        let runs: Vec<Planned> = plan(3, 4, 2).collect();
        let distinct: HashSet<_> = runs.iter().map(|run| (run.round, run.recording, run.engine)).collect();
        assert_eq!((runs.len(), distinct.len()), (24, 24));
        assert_eq!(plan(0, 4, 2).count() + plan(3, 0, 2).count(), 0);
    }

    #[test]
    fn each_engine_begins_about_equally_often_and_at_each_recording() {
        for (engines, recordings) in [(2, 2), (3, 3), (3, 4), (4, 2)] {
            let runs: Vec<Planned> = plan(engines, recordings, engines).collect();
            for engine in 0..engines {
                let begun: Vec<usize> =
                    runs.iter().filter(|run| run.engine == engine && run.turn == 0).map(|run| run.recording).collect();
                assert_eq!(begun.len(), recordings, "{engines} engines, {recordings} recordings");
                assert_eq!(begun.iter().collect::<HashSet<_>>().len(), recordings);
            }
        }
    }
}
