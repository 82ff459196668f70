//! How many threads are worth starting on this machine: one for every core that is as fast as the fastest.
//!
//! ggml's workers meet at a barrier after every operation, so the slowest one sets the pace. Two threads on the two
//! halves of one core, or one on an efficiency core, make the others wait.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Cores of less than this share of the largest capacity are efficiency cores. Within one class capacities differ by a
/// fifth (the prime core of a phone), between classes by more than a half.
const FAST_PERCENT: u64 = 60;

/// Threads the process may run at once: processors in its affinity mask, fewer where a control group limits them.
pub(crate) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Threads to compute with unless somebody asks for another number: physical performance cores among the processors
/// the process may use. Where the system does not describe its cores, all of those processors.
pub fn default_threads() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    fast_cores(Path::new("/sys/devices"), &list(allowed)).map_or(available(), |cores| cores.min(available())).max(1)
}

/// Physical performance cores among the processors `allowed`, by the description below `devices`; `None` where there is
/// none.
fn fast_cores(devices: &Path, allowed: &BTreeSet<usize>) -> Option<usize> {
    let system = devices.join("system/cpu");
    let read = |path: &Path| fs::read_to_string(path).ok();
    // A mask can name processors that are not there.
    let online = list(&read(&system.join("online"))?);
    let mut usable: BTreeSet<usize> = allowed.intersection(&online).copied().collect();

    // Intel's hybrids list their performance cores; other systems state a capacity for each.
    let listed = read(&devices.join("cpu_core/cpus")).map(|text| list(&text)).unwrap_or_default();
    if usable.iter().any(|cpu| listed.contains(cpu)) {
        usable.retain(|cpu| listed.contains(cpu));
    }
    let capacity = |cpu: usize| read(&system.join(format!("cpu{cpu}/cpu_capacity")))?.trim().parse::<u64>().ok();
    if let Some(largest) = usable.iter().filter_map(|cpu| capacity(*cpu)).max() {
        usable.retain(|cpu| capacity(*cpu).is_none_or(|own| own * 100 >= largest * FAST_PERCENT));
    }

    // Processors of one core name the same siblings.
    let siblings = |cpu: usize| read(&system.join(format!("cpu{cpu}/topology/thread_siblings_list")));
    let cores: BTreeSet<String> = usable.into_iter().map(siblings).collect::<Option<_>>()?;
    (!cores.is_empty()).then_some(cores.len())
}

/// The kernel's lists of processors: "0-3,8". Whatever cannot be read is left out, and ranges end at 4096.
fn list(text: &str) -> BTreeSet<usize> {
    let ranges = text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?.min(4096))
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine: for every processor its siblings and, where the system states it, its capacity.
    fn machine(processors: &[(&str, Option<u64>)]) -> tempfile::TempDir {
        let devices = tempfile::tempdir().expect("a folder");
        let system = devices.path().join("system/cpu");
        for (cpu, (siblings, capacity)) in processors.iter().enumerate() {
            let folder = system.join(format!("cpu{cpu}/topology"));
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("thread_siblings_list"), format!("{siblings}\n")).expect("written");
            if let Some(capacity) = capacity {
                fs::write(system.join(format!("cpu{cpu}/cpu_capacity")), format!("{capacity}\n")).expect("written");
            }
        }
        fs::write(system.join("online"), format!("0-{}\n", processors.len() - 1)).expect("written");
        devices
    }

    fn count(devices: &tempfile::TempDir, allowed: &str) -> Option<usize> {
        fast_cores(devices.path(), &list(allowed))
    }

    #[test]
    fn siblings_count_once() {
        let laptop = machine(&[[("0,4", None), ("1,5", None), ("2,6", None), ("3,7", None)]; 2].concat());
        assert_eq!(count(&laptop, "0-7"), Some(4));
        assert_eq!(count(&laptop, "0,4"), Some(1), "both halves of one core");
        assert_eq!(count(&laptop, "0-1,6"), Some(3));
        assert_eq!(count(&laptop, "0-1023"), Some(4), "a mask wider than the machine");
    }

    #[test]
    fn efficiency_cores_are_left_out_unless_there_are_no_others() {
        let phone =
            machine(&[("0", Some(318)), ("1", Some(318)), ("2", Some(861)), ("3", Some(861)), ("4", Some(1024))]);
        assert_eq!(count(&phone, "0-4"), Some(3));
        assert_eq!(count(&phone, "0-1"), Some(2), "bound to the slow ones");
        let hybrid = machine(&[("0-1", None), ("0-1", None), ("2", None), ("3", None)]);
        fs::create_dir_all(hybrid.path().join("cpu_core")).expect("a folder");
        fs::write(hybrid.path().join("cpu_core/cpus"), "0-1\n").expect("written");
        assert_eq!(count(&hybrid, "0-3"), Some(1), "one performance core with two threads");
        assert_eq!(count(&hybrid, "2-3"), Some(2), "bound to the slow ones");
    }

    #[test]
    fn a_system_that_says_nothing_is_not_guessed() {
        let devices = tempfile::tempdir().expect("a folder");
        assert_eq!(count(&devices, "0-3"), None);
        assert_eq!(count(&machine(&[("0", None)]), ""), None);
        assert!((1..=available()).contains(&default_threads()));
    }

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(list("0-2,5\n").into_iter().collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert!(list("").is_empty() && list("(null)").is_empty());
        assert_eq!(list("0-99999999999").len(), 4097);
    }
}
