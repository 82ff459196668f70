//! llama.cpp as a decoder: the second opinion. Each sequence is a session of its own, so that requests of one pass are computed
//! one after the other.

use super::{Decoder, OUTPUTS_AT_ONCE, Request, Rows, Sequence, Verdict, log_probability, most_likely};
use crate::error::{Error, Remedy, Result};
use crate::model::watch::Watch;
use ggml::llama::{CacheType, Model, Session, SessionOptions};
use std::sync::Arc;

/// Prompt rows computed at once.
const ROWS_AT_ONCE: usize = 256;

/// A model loaded by llama.cpp, and how its sessions compute.
#[derive(Clone)]
pub(crate) struct LlamaWeights {
    pub(crate) model: Arc<Model>,
    pub(crate) threads: Arc<ggml::Threads>,
    pub(crate) each_at_once: usize,
}

/// Sessions of llama.cpp.
pub(crate) struct LlamaDecoder {
    shared: LlamaWeights,
    cache: CacheType,
    watch: Watch,
    sessions: Vec<Option<Session>>,
    logits: Vec<Vec<f32>>,
}

fn internal(error: ggml::Error) -> Error {
    Error::internal(format!("decoder: {error}"))
}

impl LlamaDecoder {
    pub(crate) fn new(shared: &LlamaWeights, cache: CacheType, watch: &Watch) -> Self {
        Self { shared: shared.clone(), cache, watch: watch.clone(), sessions: Vec::new(), logits: Vec::new() }
    }
}

impl Decoder for LlamaDecoder {
    fn open(&mut self, capacity: usize) -> Result<Sequence> {
        let options = SessionOptions {
            context_length: capacity,
            rows_at_once: ROWS_AT_ONCE,
            outputs_at_once: OUTPUTS_AT_ONCE,
            threads: Arc::clone(&self.shared.threads),
            cache: self.cache,
            each_at_once: self.shared.each_at_once,
            watch: self.watch.products(),
        };
        let session = Session::new(&self.shared.model, options);
        let session = session.map_err(|error| internal(error).with_remedy(Remedy::ShorterUtterances))?;
        self.sessions.push(Some(session));
        Ok(Sequence(self.sessions.len() - 1))
    }

    fn close(&mut self, sequence: Sequence) {
        if let Some(session) = self.sessions.get_mut(sequence.0) {
            *session = None;
        }
    }

    fn position(&self, sequence: Sequence) -> usize {
        self.sessions.get(sequence.0).and_then(Option::as_ref).map_or(0, Session::position)
    }

    fn truncate(&mut self, sequence: Sequence, position: usize) {
        if let Some(Some(session)) = self.sessions.get_mut(sequence.0) {
            session.truncate(position);
        }
        self.logits.clear();
    }

    fn each_at_once(&self) -> usize {
        let limits = self.sessions.iter().flatten().map(Session::each_at_once);
        limits.min().unwrap_or(self.shared.each_at_once).min(OUTPUTS_AT_ONCE)
    }

    fn pass(&mut self, requests: &[Request<'_>], rows: Rows, logits: bool) -> Result<Vec<Vec<Verdict>>> {
        super::check(requests, rows, self.each_at_once())?;
        let done = self.compute(requests, rows, logits);
        if done.is_err() {
            // Of sequences that end before it nothing is taken.
            for request in requests {
                if let Some(Some(session)) = self.sessions.get_mut(request.sequence.0) {
                    session.truncate(request.position);
                }
            }
        }
        done
    }

    fn logits(&self, output: usize) -> &[f32] {
        self.logits.get(output).map_or(&[], Vec::as_slice)
    }
}

impl LlamaDecoder {
    fn compute(&mut self, requests: &[Request<'_>], rows: Rows, logits: bool) -> Result<Vec<Vec<Verdict>>> {
        let mut rows_of_logits = Vec::new();
        let mut all = Vec::with_capacity(requests.len());
        for request in requests {
            let session = self.sessions.get_mut(request.sequence.0).and_then(Option::as_mut);
            let session = session.ok_or_else(|| Error::internal("decoder: a sequence that is not there"))?;
            if request.position > session.position() {
                return Err(Error::internal(format!("decoder: rows at {} behind the end", request.position)));
            }
            session.truncate(request.position);
            match (rows, request.inputs) {
                (Rows::Each, [super::Input::Tokens(ids)]) => session.append_each(ids).map_err(internal)?,
                _ => session.append(request.inputs, request.asked.len()).map_err(internal)?,
            }
            let mut verdicts = Vec::with_capacity(request.asked.len());
            for (output, asked) in request.asked.iter().enumerate() {
                let row = session.logits(output).unwrap_or_default();
                verdicts.push(Verdict { choice: most_likely(row)?, asked: log_probability(row, *asked) });
                if logits {
                    rows_of_logits.push(row.to_vec());
                }
            }
            all.push(verdicts);
        }
        self.logits = rows_of_logits;
        Ok(all)
    }
}
