//! `qasr replay`: gives the blocks of a trace to the engine again and compares what it says.

use super::args::ReplayArgs;
use super::events::Event;
use super::front::Front;
use super::trace::{Entry, Trace};
use crate::exit::{Exit, Tally};
use crate::interrupt;
use crate::messages::Messages;
use qasr::error::{Error, ErrorKind, Result};
use qasr::stream::{Stream, Update};
use serde_json::Value;
use std::collections::VecDeque;

/// Runs the subcommand.
pub fn run(args: &ReplayArgs) -> Exit {
    let messages = Messages::new(args.no_prints, false);
    replay(args, &messages).unwrap_or_else(|error| messages.failure(&error))
}

fn replay(args: &ReplayArgs, messages: &Messages) -> Result<Exit> {
    let (mut trace, header) = Trace::open(&args.trace)?;
    let name = args.trace.display();
    let fault = |fault: String| Error::audio(format!("{name} {fault}"));
    let model_args = header.model.args(&args.model).map_err(fault)?;
    let options = header.options;
    let open = model_args.open_quietly().map_err(|error| match error.kind() {
        ErrorKind::Model if args.model.model.is_none() => {
            Error::model(format!("{error}; it is the model that {name} names: give another place with -m"))
        }
        _ => error,
    })?;
    if !header.model.is(&open)? {
        messages.warning(format_args!(
            "this is not the model that {name} was recorded with ({}), so other events are no surprise",
            header.model.name
        ));
    }
    interrupt::install()?;
    let mut front = Front::new(messages, args.json, args.no_prints, false);
    let stream = Stream::new(&open.model, options)?;
    let outcome = Comparison { stream, said: VecDeque::new(), same: 0 }.run(&mut trace, &mut front);
    let written = front.close();
    let mut tally = Tally::default();
    match outcome {
        Ok(Outcome::Same(events)) => messages.note(format_args!("{name}: the same {events} events")),
        Ok(Outcome::SoFar(events)) => messages.warning(format_args!(
            "{name}: breaks off, because the program that recorded it did; the {events} events up to there are the same"
        )),
        Ok(Outcome::Stopped(events)) => {
            messages.note(format_args!("{name}: stopped; the {events} events up to there are the same"));
        }
        Err(error) => tally.add(messages.failure(&error)),
    }
    if let Err(error) = written {
        tally.add(messages.failure(&error));
    }
    Ok(tally.exit())
}

enum Outcome {
    Same(usize),
    SoFar(usize),
    Stopped(usize),
}

/// The engine's word against the trace's.
struct Comparison {
    stream: Stream,
    /// Events of the engine that are not compared with the trace yet.
    said: VecDeque<Event>,
    same: usize,
}

impl Comparison {
    /// Goes through the whole trace, or to the first difference, which is an error.
    fn run(mut self, trace: &mut Trace, front: &mut Front<'_>) -> Result<Outcome> {
        while let Some(entry) = trace.next()? {
            match entry {
                Entry::Feed(samples) => {
                    self.nothing_left(trace)?;
                    let updates = self.stream.feed(&samples)?;
                    self.take(&updates, front);
                }
                Entry::Said(expected) => self.compare(&expected, trace)?,
                Entry::Finish => {
                    self.nothing_left(trace)?;
                    let updates = self.stream.end()?;
                    self.take(&updates, front);
                }
                Entry::Unfinished => return Ok(Outcome::SoFar(self.same)),
            }
            if interrupt::is_wanted() || !front.is_wanted() {
                return Ok(Outcome::Stopped(self.same));
            }
        }
        self.nothing_left(trace)?;
        Ok(Outcome::Same(self.same))
    }

    fn take(&mut self, updates: &[Update], front: &mut Front<'_>) {
        for update in updates {
            let event = Event::new(update, None);
            front.show(&event);
            self.said.push_back(event);
        }
    }

    fn compare(&mut self, expected: &Value, trace: &Trace) -> Result<()> {
        let event = self.same + 1;
        let Some(now) = self.said.pop_front() else {
            return Err(different(format!("event {event} (line {}) is not said now: {expected}", trace.number)));
        };
        let now = value(&now)?;
        if let Some(difference) = difference(expected, &now) {
            return Err(different(format!("event {event} (line {}) differs: {difference}", trace.number)));
        }
        self.same = event;
        Ok(())
    }

    /// Everything the engine has said was in the trace.
    fn nothing_left(&mut self, trace: &Trace) -> Result<()> {
        match self.said.pop_front() {
            None => Ok(()),
            Some(event) => Err(different(format!(
                "event {} is said now and is not in the trace before line {}: {}",
                self.same + 1,
                trace.number,
                event.line().trim_end()
            ))),
        }
    }
}

fn different(what: String) -> Error {
    Error::internal(what)
}

fn value(event: &Event) -> Result<Value> {
    serde_json::from_str(&event.line()).map_err(|error| Error::internal(format!("an event is no JSON: {error}")))
}

/// The first field that is not the same, in words. Fields that only one of the two has count.
fn difference(expected: &Value, now: &Value) -> Option<String> {
    let (Value::Object(before), Value::Object(after)) = (expected, now) else {
        return (expected != now).then(|| format!("{expected} in the trace, {now} now"));
    };
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    names
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            let shown = |object: &serde_json::Map<String, Value>| {
                object.get(name).map_or_else(|| "missing".to_owned(), Value::to_string)
            };
            match (before.get(name), after.get(name)) {
                (Some(inner @ Value::Object(_)), Some(other @ Value::Object(_))) => {
                    format!("{name}: {}", difference(inner, other).unwrap_or_default())
                }
                _ => format!("{name} is {} in the trace and {} now", shown(before), shown(after)),
            }
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_field_that_differs_is_named() {
        let event = json!({"event": "partial", "text": "a", "cost": {"tokens_kept": 1}});
        assert_eq!(difference(&event, &event), None);
        let mut other = event.clone();
        other["cost"]["tokens_kept"] = 2.into();
        assert_eq!(difference(&event, &other).unwrap(), "cost: tokens_kept is 1 in the trace and 2 now");
        let other = json!({"event": "partial", "text": "b", "cost": {"tokens_kept": 1}});
        assert_eq!(difference(&event, &other).unwrap(), "text is \"a\" in the trace and \"b\" now");
        let other = json!({"event": "partial", "text": "a", "cost": {"tokens_kept": 1}, "new": 1});
        assert_eq!(difference(&event, &other).unwrap(), "new is missing in the trace and 1 now");
        assert!(difference(&other, &event).unwrap().contains("missing now"));
    }
}
