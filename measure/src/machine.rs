//! What was measured on. What the system does not tell is said to be unknown, never guessed.

use serde::Serialize;
use std::fs;

/// The machine, in words.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Its processor.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: String,
    /// The operating system.
    pub system: String,
    /// How much memory it has.
    pub memory: String,
}

impl Machine {
    /// Asks the system.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let unknown = || "unknown".to_owned();
        let cores = std::thread::available_parallelism().map_or_else(|_| unknown(), |cores| cores.to_string());
        let system =
            [std::env::consts::OS, std::env::consts::ARCH, read("/proc/sys/kernel/osrelease").trim()].join(" ");
        Self {
            processor: processor(&read("/proc/cpuinfo")).unwrap_or_else(unknown),
            cores,
            system: system.trim().to_owned(),
            memory: memory(&read("/proc/meminfo")).unwrap_or_else(unknown),
        }
    }
}

/// Average number of processes that wanted a processor in the last minute.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// A child begins with the peak memory of its parent and keeps it where its own stays below. This makes ours the memory
/// held now, on Linux; elsewhere, and where it is refused, small engines seem larger than they are.
pub fn forget_peak_memory() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// x86 names the model; Arm boards name at most the board or the core's part number.
fn processor(cpuinfo: &str) -> Option<String> {
    ["model name", "Model", "Hardware", "CPU part"].iter().find_map(|name| field(cpuinfo, name))
}

fn memory(meminfo: &str) -> Option<String> {
    let kilobytes: f64 = field(meminfo, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(format!("{:.1} GiB", kilobytes / 1_048_576.0))
}

fn field(text: &str, name: &str) -> Option<String> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_files_are_read() {
        let x86 = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Some CPU @ 2.00GHz\n";
        assert_eq!(processor(x86).as_deref(), Some("Some CPU @ 2.00GHz"));
        assert_eq!(processor("CPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5\n").as_deref(), Some("Raspberry Pi 5"));
        assert_eq!(memory("MemTotal:        8388608 kB\n").as_deref(), Some("8.0 GiB"));
        assert_eq!((processor(""), memory("")), (None, None));
    }
}
