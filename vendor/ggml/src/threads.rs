//! Worker threads, kept between graphs and shared by everything that computes for one owner.
//!
//! ggml would start and join its threads for every graph; here a pool of them sleeps in between. Inside a graph its
//! workers spin at every barrier, which nobody can change from here. So the pool watches how long its threads wait for
//! a processor, and gives graphs fewer threads while other processes take the cores ([`Load`]).

use crate::load::{EVIDENCE, Load};
use crate::topology::{available, default_threads};
use crate::{Error, Result, backend};
use ggml_sys as sys;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// A number of worker threads, of which every graph gets as many as have processors to run on.
///
/// Graphs that share these threads take turns. Results do not depend on how many threads a graph gets.
pub struct Threads {
    limit: usize,
    /// `None` where one thread, the caller's, does all the work.
    pool: Option<Pool>,
}

/// ggml's pool, and what is known of its work. The mutex is held while a graph is computed.
struct Pool {
    // Freed first: it computes with the pool.
    watched: Mutex<Watched>,
    raw: RawPool,
}

struct Watched {
    roll: Option<clock::Roll>,
    load: Load,
}

/// Owns ggml's pool.
struct RawPool(NonNull<sys::ggml_threadpool>);

// SAFETY: the pool has no thread affinity; whoever computes with it holds the mutex (`Threads::run`).
unsafe impl Send for RawPool {}
// SAFETY: as above.
unsafe impl Sync for RawPool {}

impl Drop for RawPool {
    fn drop(&mut self) {
        // SAFETY: made in `Threads::new`, freed once, here; contexts and backends that use it hold its owner.
        unsafe { sys::ggml_threadpool_free(self.0.as_ptr()) };
    }
}

impl Threads {
    /// At most `asked` threads, the caller's among them; 0 means [`default_threads`]. Never more than there are
    /// processors, as more only wait for each other, nor more than the system lets the process start.
    pub fn new(asked: usize) -> Result<Arc<Self>> {
        Self::make(asked, true)
    }

    /// The same, but every graph gets all of them, also where they wait for other processes.
    pub fn steady(asked: usize) -> Result<Arc<Self>> {
        Self::make(asked, false)
    }

    fn make(asked: usize, is_watched: bool) -> Result<Arc<Self>> {
        backend::start();
        let most = sys::constants::GGML_MAX_N_THREADS as usize;
        let wanted = if asked == 0 { default_threads() } else { asked.min(available()) }.clamp(1, most);
        let limit = 1 + startable(wanted - 1);
        if limit == 1 {
            return Ok(Arc::new(Self { limit, pool: None }));
        }
        // SAFETY: returns a struct by value; the number is between 2 and ggml's own bound.
        let mut params = unsafe { sys::ggml_threadpool_params_default(limit as i32) };
        // Sleep between graphs. Any polling would burn milliseconds after every graph, also of workers that had no
        // part in it.
        params.poll = 0;
        // SAFETY: the parameters are ggml's own defaults but for the polling.
        let raw = NonNull::new(unsafe { sys::ggml_threadpool_new(&mut params) })
            .map(RawPool)
            .ok_or_else(|| Error::new("ggml could not make a pool of threads"))?;
        let roll = if is_watched { clock::Roll::call(raw.0.as_ptr(), limit)? } else { None };
        let watched = Mutex::new(Watched { roll, load: Load::new(limit) });
        Ok(Arc::new(Self { limit, pool: Some(Pool { watched, raw }) }))
    }

    /// Most threads a graph gets.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The pool's pointer, which a context or backend gets once, before its first graph; null where there is no pool. Whoever uses it
    /// must keep `self`, and compute inside [`Self::run`] only.
    pub(crate) fn raw(&self) -> sys::ggml_threadpool_t {
        self.pool.as_ref().map_or(ptr::null_mut(), |pool| pool.raw.0.as_ptr())
    }

    /// Computes one graph: `compute` is given the number of threads to do it with, and nobody else computes with these
    /// threads meanwhile.
    pub(crate) fn run<T>(&self, compute: impl FnOnce(i32) -> T) -> T {
        let Some(pool) = &self.pool else { return compute(1) };
        let mut watched = pool.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Watched { roll, load } = &mut *watched;
        let Some(roll) = roll else { return compute(self.limit as i32) };
        if load.is_due() {
            let (_, wall, waited) = roll.watch(self.limit, |_| roll.spin(EVIDENCE));
            load.tried(wall, waited);
        }
        let (result, wall, waited) = roll.watch(load.now(), compute);
        load.record(wall, waited);
        result
    }
}

/// How many of `wanted` threads the system lets this process start: ggml ends the process when it gets fewer than it
/// wants. They are all started before the first may end.
fn startable(wanted: usize) -> usize {
    /// Address space of one ggml thread on most systems.
    const STACK: usize = 8 << 20;
    let mut started = Vec::new();
    for _ in 0..wanted {
        let (release, wait) = mpsc::channel::<()>();
        let sleep = move || while wait.recv().is_ok() {};
        match thread::Builder::new().stack_size(STACK).spawn(sleep) {
            Ok(handle) => started.push((release, handle)),
            Err(_) => break,
        }
    }
    let count = started.len();
    for (release, handle) in started {
        drop(release);
        // It slept and returned: there is no result to look at.
        let _ = handle.join();
    }
    count
}

/// The processor time of the pool's threads: unknown here, so graphs keep all their threads.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod clock {
    use ggml_sys as sys;
    use std::time::Duration;

    pub(super) enum Roll {}

    impl Roll {
        pub(super) fn call(_pool: sys::ggml_threadpool_t, _limit: usize) -> crate::Result<Option<Self>> {
            Ok(None)
        }

        pub(super) fn spin(&self, _time: Duration) {
            match *self {}
        }

        pub(super) fn watch<T>(&self, _threads: usize, _compute: impl FnOnce(i32) -> T) -> (T, Duration, Duration) {
            match *self {}
        }
    }
}

/// The processor time of the pool's threads.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod clock {
    use crate::backend::Raw;
    use crate::weights::{Buffer, Context};
    use crate::{Error, Result};
    use ggml_sys as sys;
    use std::ffi::{c_int, c_void};
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    /// A sleeping worker takes a while to start: one that was missing for so much of a graph was not pushed aside.
    const WAKING: Duration = Duration::from_micros(200);

    /// A clock that runs while one certain thread does.
    struct Clock(libc::clockid_t);

    impl Clock {
        /// The clock's value; `None` once its thread has ended.
        fn read(&self) -> Option<Duration> {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the target is a live timespec; an unknown clock is an error, not undefined.
            let status = unsafe { libc::clock_gettime(self.0, &mut time) };
            (status == 0).then(|| Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), time.tv_nsec as u32))
        }
    }

    /// A task for every thread of the pool: name its clock, and spin until a given moment.
    struct Orders {
        start: Instant,
        /// In nanoseconds after `start`.
        until: AtomicU64,
        clocks: Vec<AtomicI32>,
    }

    /// ggml's custom operation: called by every thread of a graph with its number and what `orders` points to.
    ///
    /// SAFETY: `orders` must point to live [`Orders`].
    unsafe extern "C" fn obey(
        _to: *mut sys::ggml_tensor,
        _from: *const sys::ggml_tensor,
        number: c_int,
        _count: c_int,
        orders: *mut c_void,
    ) {
        // SAFETY: the caller guarantees it.
        let orders = unsafe { &*orders.cast_const().cast::<Orders>() };
        let mut clock = 0;
        // SAFETY: returns the caller's own handle.
        let this = unsafe { libc::pthread_self() };
        // SAFETY: a live thread, the caller, and a place for the answer.
        let status = unsafe { libc::pthread_getcpuclockid(this, &mut clock) };
        let place = usize::try_from(number).ok().and_then(|number| orders.clocks.get(number));
        if let (0, Some(place)) = (status, place) {
            place.store(clock, Ordering::SeqCst);
        }
        let until = Duration::from_nanos(orders.until.load(Ordering::SeqCst));
        while orders.start.elapsed() < until {
            std::hint::spin_loop();
        }
    }

    /// The clocks of a pool's workers, and a graph of one operation that every thread of the pool takes part in.
    pub(super) struct Roll {
        clocks: Vec<Clock>,
        limit: usize,
        // The graph lies in the context, its tensors in the buffer, and its operation points to the orders.
        backend: Raw,
        graph: NonNull<sys::ggml_cgraph>,
        _buffer: Buffer,
        _context: Context,
        orders: Box<Orders>,
    }

    // SAFETY: nothing here has a thread affinity, and the pool's mutex serialises all use.
    unsafe impl Send for Roll {}

    impl Roll {
        /// Lets the `limit` threads of the pool name their clocks; `None` where one could not. For a pool that nobody
        /// else uses yet.
        pub(super) fn call(pool: sys::ggml_threadpool_t, limit: usize) -> Result<Option<Self>> {
            let clocks = (0..limit).map(|_| AtomicI32::new(0)).collect();
            let orders = Box::new(Orders { start: Instant::now(), until: AtomicU64::new(0), clocks });
            let backend = Raw::cpu()?;
            backend.attach(pool);
            // SAFETY: returns a size computed from its arguments.
            let graph_bytes = unsafe { sys::ggml_graph_overhead_custom(4, false) };
            let context = Context::new(2, graph_bytes)?;
            // SAFETY: the context has room for two tensors.
            let input = unsafe { sys::ggml_new_tensor_1d(context.raw(), sys::GGML_TYPE_F32, 1) };
            let address = (&raw const *orders).cast_mut().cast();
            // SAFETY: as above; the operation gets the address of orders that live as long as the graph.
            let output = unsafe {
                sys::ggml_map_custom1(context.raw(), input, Some(obey), sys::constants::GGML_N_TASKS_MAX, address)
            };
            // SAFETY: context and backend are live, and none of its tensors has a place yet.
            let buffer = unsafe { sys::ggml_backend_alloc_ctx_tensors(context.raw(), backend.raw()) };
            let buffer = Buffer::new(buffer).ok_or_else(|| Error::new("not enough memory for eight bytes"))?;
            // SAFETY: the context has room for one graph of four places.
            let graph = NonNull::new(unsafe { sys::ggml_new_graph_custom(context.raw(), 4, false) })
                .ok_or_else(|| Error::new("ggml could not make a graph"))?;
            // SAFETY: graph and node are live.
            unsafe { sys::ggml_build_forward_expand(graph.as_ptr(), output) };
            let mut roll =
                Self { clocks: Vec::new(), limit, backend, graph, _buffer: buffer, _context: context, orders };
            roll.spin(Duration::ZERO);
            let named: Vec<_> = roll.orders.clocks.iter().skip(1).map(|clock| clock.load(Ordering::SeqCst)).collect();
            if named.contains(&0) {
                return Ok(None);
            }
            roll.clocks = named.into_iter().map(Clock).collect();
            Ok(Some(roll))
        }

        /// Lets all threads of the pool run for `time`.
        pub(super) fn spin(&self, time: Duration) {
            let until = self.orders.start.elapsed() + time;
            self.orders.until.store(u64::try_from(until.as_nanos()).unwrap_or(0), Ordering::SeqCst);
            // Nothing depends on the result, and a graph that did not run shows as time that was waited.
            self.backend.compute(self.graph.as_ptr(), self.limit as i32);
        }

        /// Calls `compute` with `threads`; also returns how long that took, and for how much of it the threads
        /// together waited for a processor.
        pub(super) fn watch<T>(&self, threads: usize, compute: impl FnOnce(i32) -> T) -> (T, Duration, Duration) {
            let own = [Clock(libc::CLOCK_THREAD_CPUTIME_ID)];
            let clocks = || own.iter().chain(self.clocks.iter().take(threads - 1));
            let start = Instant::now();
            let before: Vec<_> = clocks().map(Clock::read).collect();
            let result = compute(threads as i32);
            let wall = start.elapsed();
            let mut waited = Duration::ZERO;
            for (clock, before) in clocks().zip(before) {
                if let (Some(before), Some(after)) = (before, clock.read()) {
                    waited += wall.saturating_sub(after.saturating_sub(before) + WAKING);
                }
            }
            (result, wall, waited)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_threads_than_processors_and_no_fewer_than_one() {
        for (asked, least, most) in [(0, 1, available()), (1, 1, 1), (usize::MAX, available(), available())] {
            let threads = Threads::new(asked).expect("threads");
            assert!((least..=most).contains(&threads.limit()), "{} threads of {asked}", threads.limit());
            assert_eq!(threads.raw().is_null(), threads.limit() == 1);
            let mut given = 0;
            threads.run(|count| given = count);
            assert!((1..=threads.limit() as i32).contains(&given));
            let steady = Threads::steady(asked).expect("threads");
            steady.run(|count| given = count);
            assert_eq!(given, threads.limit() as i32);
        }
    }

    /// ggml ends the process when it does not get its threads. In a process of its own, which may have little memory.
    #[test]
    #[cfg(target_os = "linux")]
    fn threads_that_cannot_be_started_are_done_without() {
        const INSIDE: &str = "FENCE_TEST_FEW_THREADS";
        if std::env::var_os(INSIDE).is_some() {
            let count = startable(10_000);
            assert!((1..10_000).contains(&count), "{count}");
            assert!(startable(1) == 1, "they have ended");
            return;
        }
        let this = std::env::current_exe().expect("a test program");
        let name = "threads::tests::threads_that_cannot_be_started_are_done_without";
        let script = format!("ulimit -v 2000000; exec \"$0\" --exact {name} --test-threads=1");
        let done = std::process::Command::new("sh").args(["-c", &script]).arg(this).env(INSIDE, "1").output();
        let done = done.expect("a shell");
        assert!(done.status.success(), "{:?}: {}", done.status, String::from_utf8_lossy(&done.stdout));
    }
}
