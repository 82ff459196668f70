//! `qasr listen`: speech in, text out while it is being spoken; and `qasr replay`, which does it again from a trace.
//!
//! ```text
//! sources ─▶ live | drive ─▶ session (engine, record, totals) ─▶ events ─▶ front (json, lines, screen)
//! ```
//!
//! `args` is what can be typed, `sources` chooses the sound. `live` is for audio that does not wait, `drive` for
//! recordings. `saved` writes the text to a file; `record` and `header` write a trace, `trace` reads it, `replay` compares. `screen` and `layout` are the terminal, `mailbox`
//! lies between the engine and a front that may be slow, `hearing` between a source and an engine that may be.

pub mod args;
mod drive;
mod events;
mod front;
mod header;
mod hearing;
mod layout;
mod live;
mod mailbox;
mod record;
pub mod replay;
mod saved;
mod screen;
mod session;
mod sources;
mod totals;
mod trace;

use super::exit::{Exit, Tally};
use super::messages::Messages;
use super::shared::OpenModel;
use args::{CommitName, ListenArgs, PolicyName};
use events::{End, Event, Ready, Said};
use front::Front;
use header::Header;
use qasr::error::{Error, Result};
use record::Recorder;
use saved::Saved;
use session::{Session, clock};
use sources::Sound;
use std::time::Duration;

/// Runs the subcommand.
pub fn run(args: &ListenArgs) -> Exit {
    let messages = Messages::new(args.no_prints, false);
    if args.list_devices {
        return sources::list_devices(&messages);
    }
    listen(args, &messages).unwrap_or_else(|error| messages.failure(&error))
}

fn listen(args: &ListenArgs, messages: &Messages) -> Result<Exit> {
    sources::check(args)?;
    let mut options = args.stream_options()?;
    // Before the model: nobody should wait for a model in front of a microphone that is not there, and what is said while
    // it opens is heard.
    let sound = sources::open(args)?;
    let open = args.model.open(messages)?;
    let header = args.trace.as_ref().map(|_| Header::new(&args.model, &open, &options)).transpose()?;
    options.clock = Some(clock);
    crate::interrupt::install()?;
    let recorder = match (&args.trace, &header) {
        (Some(trace), Some(header)) => Some(Recorder::create(trace, header)?),
        _ => None,
    };
    let saved = args.output.iter().map(|path| Saved::create(path)).collect::<Result<Vec<_>>>()?;
    let ready = ready(args, &open, &sound);
    let mut front = Front::new(messages, args.json, args.no_prints, args.timestamps);
    let model = open.model;
    let ended = match sound {
        Sound::Live(source) => {
            let name = args.input.as_ref().map_or(source.name().into(), |input| input.to_string_lossy());
            messages.note(format_args!("listening to {name}; Ctrl-C ends"));
            let open = move || Session::open(&model, options, recorder, saved);
            live::listen(open, ready, source, args.patience(), &mut front)
        }
        Sound::Recording(mut source) => {
            let mut session = Session::open(&model, options, recorder, saved)?;
            front.show(&ready);
            let step = usize::try_from(args.step_samples()).unwrap_or(usize::MAX);
            let heard = drive::as_fast_as_possible(&mut session, &mut source, step, &mut |event| {
                front.show(&event);
                front.is_wanted()
            });
            Ended::finish(session, heard, &mut |event| front.show(&event))
        }
        Sound::Whole(recording) => {
            let mut session = Session::open(&model, options, recorder, saved)?;
            front.show(&ready);
            for warning in &recording.warnings {
                front.show(&Event::Warning(Said::from(warning)));
            }
            let simulated = drive::simulate(&mut session, recording.pcm.samples(), &mut |event| {
                front.show(&event);
                front.is_wanted()
            });
            let (heard, now) = match simulated {
                Ok((why, now)) => (Ok(why), Some(now)),
                Err(error) => (Err(error), None),
            };
            Ended::finish_at(session, heard, now, &mut |event| front.show(&event))
        }
    };
    let written = front.close();
    Ok(ended.report(args, messages, written))
}

fn ready(args: &ListenArgs, open: &OpenModel, sound: &Sound) -> Event {
    let input = match (sound, &args.input) {
        (_, Some(input)) => input.display().to_string(),
        (Sound::Live(source), None) => source.name().to_owned(),
        (Sound::Recording(_) | Sound::Whole(_), None) => String::new(),
    };
    Event::Ready(Ready {
        version: qasr::VERSION,
        model: open.model.info().name.clone(),
        input,
        step_ms: args.step.into(),
        policy: match args.policy {
            PolicyName::Exact => "exact",
            PolicyName::Official => "official",
        },
        commit: match args.commit {
            CommitName::Steady => "steady",
            CommitName::Utterance => "utterance",
        },
    })
}

/// A run that is over.
struct Ended {
    /// `None` where there never was a stream.
    end: Option<End>,
    failures: Vec<Error>,
}

impl Ended {
    fn failed(error: Error) -> Self {
        Self { end: None, failures: vec![error] }
    }

    /// Finishes the running utterance and reports the rest, also after a failure: the text so far is kept.
    fn finish(session: Session, heard: Result<&'static str>, tell: &mut dyn FnMut(Event)) -> Self {
        Self::finish_at(session, heard, None, tell)
    }

    /// The same where the audio ended at a virtual time.
    fn finish_at(
        mut session: Session,
        heard: Result<&'static str>,
        now: Option<Duration>,
        tell: &mut dyn FnMut(Event),
    ) -> Self {
        let mut failures = Vec::new();
        let why = heard.unwrap_or_else(|error| {
            failures.push(error);
            "failure"
        });
        match session.end() {
            Ok(said) => {
                let shown = now.map(|now| now + said.took);
                for update in &said.updates {
                    let heard = session.totals.heard;
                    tell(session.event(update, heard, shown));
                }
            }
            Err(error) => failures.push(error),
        }
        let end = session.end_event(why);
        tell(Event::End(end.clone()));
        failures.extend(session.close().err());
        Self { end: Some(end), failures }
    }

    /// Says how it went, and the exit code for it.
    fn report(self, args: &ListenArgs, messages: &Messages, written: Result<()>) -> Exit {
        let mut tally = Tally::default();
        for error in self.failures.iter().chain(written.as_ref().err()) {
            tally.add(messages.failure(error));
        }
        if let Some(end) = &self.end {
            messages.note(totals::sentence(end));
            if args.verbose {
                messages.note(totals::details(end));
            }
            let is_late = args.patience().is_some_and(|patience| u128::from(end.largest_lag_ms) > patience.as_millis());
            if args.is_live() && (is_late || end.rtf > Some(1.0)) {
                messages.note(totals::too_slow(end.largest_lag_ms, end.rtf));
            }
            tally.add(if end.complete { Exit::Success } else { Exit::Incomplete });
        }
        tally.exit()
    }
}
