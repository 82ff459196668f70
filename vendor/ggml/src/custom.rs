//! Operations of our own inside a graph: every thread of the graph calls them and does its share.
//!
//! ggml calls a custom operation with the number of the thread and the number of threads, gives it no scratch memory and
//! no barrier inside: work in two phases is two operations, the second with the result of the first among its sources.

use crate::graph::{Arena, Node};
use crate::{Error, Result};
use ggml_sys as sys;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Most operands of an operation; ggml has places for nine.
const MOST_SOURCES: usize = 8;

/// An operation of our own. Its result is f32.
pub(crate) trait Operation: Send + Sync {
    /// Does the share of one thread. Shares of one call must not overlap, and together they fill the result.
    fn compute(&self, sources: &[Source<'_>], result: &Target<'_>, share: Share);
}

/// Which of the threads of a graph calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) index: usize,
    pub(crate) count: usize,
}

impl Share {
    /// Those of `total` tasks that this thread does: every `count`-th.
    pub(crate) fn tasks(self, total: usize) -> impl Iterator<Item = usize> {
        (self.index..total).step_by(self.count)
    }

    /// The piece of a row of `total` values that this thread does, in whole multiples of `unit` but for the end.
    pub(crate) fn range(self, total: usize, unit: usize) -> Range<usize> {
        let units = total.div_ceil(unit);
        let at = |index: usize| (units * index / self.count * unit).min(total);
        at(self.index)..at(self.index + 1)
    }
}

/// The values of an operand.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    F32(&'a [f32]),
    I32(&'a [i32]),
}

impl<'a> Source<'a> {
    /// Empty where the operand is of another type.
    pub(crate) fn f32(self) -> &'a [f32] {
        if let Self::F32(values) = self { values } else { &[] }
    }

    /// Empty where the operand is of another type.
    pub(crate) fn i32(self) -> &'a [i32] {
        if let Self::I32(values) = self { values } else { &[] }
    }
}

/// The values of the result, which the threads fill together.
pub(crate) struct Target<'a> {
    values: *mut f32,
    len: usize,
    home: PhantomData<&'a mut [f32]>,
}

impl Target<'_> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Values `range`, for this thread alone.
    ///
    /// # Safety
    /// No two calls while a graph is computed have ranges that overlap, whichever threads make them, unless the first slice
    /// is gone and no other thread has one.
    ///
    /// # Panics
    /// For values that are not there.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len, "values outside the result");
        // SAFETY: the range lies inside the result.
        let start = unsafe { self.values.add(range.start) };
        // SAFETY: the result lives while the graph is computed, and the caller keeps ranges apart.
        unsafe { std::slice::from_raw_parts_mut(start, range.len()) }
    }
}

/// An operation in its node.
pub(crate) struct Held {
    operation: Box<dyn Operation>,
    /// A thread panicked: the result means nothing.
    failed: AtomicBool,
}

impl Held {
    /// Whether it failed since this was last asked.
    pub(crate) fn take_failure(&self) -> bool {
        self.failed.swap(false, Ordering::Relaxed)
    }
}

impl Arena {
    /// A node computed by an operation of our own from contiguous f32 or i32 operands, none of them a repacked weight.
    pub(crate) fn custom<'a>(
        &'a self,
        operation: Box<dyn Operation>,
        dims: [usize; 4],
        sources: &[Node<'a>],
    ) -> Result<Node<'a>> {
        if sources.is_empty() || sources.len() > MOST_SOURCES {
            return Err(Error::new(format!("an operation with {} operands", sources.len())));
        }
        for source in sources {
            self.check("operation", *source)?;
            let is_known = [sys::GGML_TYPE_F32, sys::GGML_TYPE_I32].contains(&source.kind());
            if !is_known || !source.is_plain() {
                return Err(Error::new("an operation on values that are not contiguous f32 or i32"));
            }
        }
        // A graph has places for two weights for each node.
        if sources.iter().filter(|source| source.is_weight()).count() > 2 {
            return Err(Error::new("an operation on more than two weights"));
        }
        let context = self.take(&dims)?;
        let held = Box::new(Held { operation, failed: AtomicBool::new(false) });
        let address = (&raw const *held).cast_mut().cast::<c_void>();
        self.hold(held);
        let mut operands: Vec<_> = sources.iter().map(|source| source.ptr()).collect();
        let [x, y, z, w] = dims.map(|dim| dim as i64);
        // SAFETY: room was taken; the operands are live; the address is that of an operation the arena holds.
        let raw = unsafe {
            sys::ggml_custom_4d(
                context,
                sys::GGML_TYPE_F32,
                x,
                y,
                z,
                w,
                operands.as_mut_ptr(),
                operands.len() as c_int,
                Some(call),
                sys::constants::GGML_N_TASKS_MAX,
                address,
            )
        };
        self.wrap(raw)
    }
}

/// ggml's side of an operation.
///
/// SAFETY: `to` must be a node made by [`Arena::custom`] in a graph whose memory is allocated, and `held` the operation
/// given there.
unsafe extern "C" fn call(to: *mut sys::ggml_tensor, index: c_int, count: c_int, held: *mut c_void) {
    // SAFETY: the arena keeps the operation for as long as the graph.
    let held = unsafe { &*held.cast_const().cast::<Held>() };
    // SAFETY: a live node.
    let node = unsafe { &*to };
    let len = node.ne.iter().product::<i64>() as usize;
    let result = Target { values: node.data.cast(), len, home: PhantomData };
    let mut sources = [Source::F32(&[]); MOST_SOURCES];
    let mut used = 0;
    for (source, raw) in sources.iter_mut().zip(node.src) {
        if raw.is_null() {
            break;
        }
        // SAFETY: operands of a live node are live.
        let operand = unsafe { &*raw };
        let len = operand.ne.iter().product::<i64>() as usize;
        *source = if operand.type_ == sys::GGML_TYPE_I32 {
            // SAFETY: `custom` checked that the operand is contiguous; ggml computed it before this node.
            Source::I32(unsafe { std::slice::from_raw_parts(operand.data.cast(), len) })
        } else {
            // SAFETY: as above, and the type is f32.
            Source::F32(unsafe { std::slice::from_raw_parts(operand.data.cast(), len) })
        };
        used += 1;
    }
    let share = Share { index: index.max(0) as usize, count: count.max(1) as usize };
    // A panic must not cross C: it fails the run.
    let done = catch_unwind(AssertUnwindSafe(|| held.operation.compute(&sources[..used], &result, share)));
    if done.is_err() {
        held.failed.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backend;
    use crate::graph::Executor;

    /// Adds 1 to every value, each thread to its piece.
    struct AddOne;

    impl Operation for AddOne {
        fn compute(&self, sources: &[Source<'_>], result: &Target<'_>, share: Share) {
            let range = share.range(sources[0].f32().len(), 16);
            // SAFETY: the ranges of two shares do not overlap.
            let part = unsafe { result.part(range.clone()) };
            for (to, from) in part.iter_mut().zip(&sources[0].f32()[range]) {
                *to = from + 1.0;
            }
        }
    }

    struct Fails;

    impl Operation for Fails {
        fn compute(&self, _: &[Source<'_>], result: &Target<'_>, _: Share) {
            // SAFETY: it panics before there is a slice.
            unsafe { result.part(0..usize::MAX) };
        }
    }

    #[test]
    fn an_operation_is_computed_by_all_threads_and_a_panic_is_an_error() {
        let values: Vec<f32> = (0..100).map(|value| value as f32).collect();
        let mut executor = Executor::new(Backend::cpu(2).expect("a CPU")).expect("an allocator");
        let arena = Arena::new(4).expect("arena");
        let input = arena.input(&[100]).expect("input");
        let more = arena.custom(Box::new(AddOne), [100, 1, 1, 1], &[input]).expect("a node");
        let found = executor.run(&arena, &[(input, &values)], more).expect("runs");
        assert!(found.iter().zip(&values).all(|(found, value)| *found == value + 1.0));

        let arena = Arena::new(4).expect("arena");
        let input = arena.input(&[100]).expect("input");
        let fails = arena.custom(Box::new(Fails), [100, 1, 1, 1], &[input]).expect("a node");
        assert!(executor.run(&arena, &[(input, &values)], fails).is_err());

        let arena = Arena::new(4).expect("arena");
        let input = arena.input(&[100]).expect("input");
        assert!(arena.custom(Box::new(AddOne), [1; 4], &[]).is_err(), "no operand");
        let turned = arena.permute(arena.reshape(input, [10, 10, 1, 1]).expect("a view"), [1, 0, 2, 3]);
        assert!(turned.is_err() || arena.custom(Box::new(AddOne), [100, 1, 1, 1], &[turned.expect("a view")]).is_err());
    }

    #[test]
    fn shares_fill_a_row_and_do_not_overlap() {
        for (total, unit, count) in [(100, 16, 3), (5, 16, 4), (64, 16, 4), (1, 1, 1), (33, 8, 2)] {
            let pieces: Vec<_> = (0..count).map(|index| Share { index, count }.range(total, unit)).collect();
            assert_eq!(pieces[0].start, 0);
            assert_eq!(pieces[count - 1].end, total);
            assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start), "{pieces:?}");
            let mut tasks: Vec<_> = (0..count).flat_map(|index| Share { index, count }.tasks(total)).collect();
            tasks.sort_unstable();
            assert_eq!(tasks, (0..total).collect::<Vec<_>>());
        }
    }
}
