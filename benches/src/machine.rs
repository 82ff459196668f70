//! What the numbers were measured on.

use std::fs;

/// The machine as a report names it. What the system does not tell is said to be unknown, never guessed.
#[derive(Debug, Clone)]
pub struct Machine {
    pub cpu: String,
    /// Cores the system lists, and those this process may use.
    pub cores: String,
    pub kernel: String,
    pub memory: String,
}

impl Machine {
    /// Asks the system.
    pub fn look() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let unknown = || "unknown".to_owned();
        let usable = std::thread::available_parallelism().map_or_else(|_| unknown(), |count| count.to_string());
        Self {
            cpu: cpu_model(&cpuinfo).unwrap_or_else(unknown),
            cores: format!(
                "{} listed, {usable} usable",
                listed_cores(&cpuinfo).map_or_else(unknown, |count| count.to_string())
            ),
            kernel: format!("{} {} {}", std::env::consts::OS, std::env::consts::ARCH, release.trim()).trim().to_owned(),
            memory: memory_kib(&meminfo).map_or_else(unknown, |kib| format!("{:.1} GiB", kib as f64 / 1_048_576.0)),
        }
    }
}

/// The 1-minute load average now.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// x86 names the model; Arm boards name at most the board or the core's part number.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    ["model name", "Model", "Hardware", "CPU part"].iter().find_map(|name| field(cpuinfo, name))
}

fn listed_cores(cpuinfo: &str) -> Option<usize> {
    Some(cpuinfo.lines().filter(|line| line.starts_with("processor")).count()).filter(|count| *count > 0)
}

fn memory_kib(meminfo: &str) -> Option<u64> {
    field(meminfo, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        line.split_once(':').filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x86_and_arm_are_read() {
        let x86 = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Some CPU @ 2.00GHz\n\nprocessor\t: 1\nmodel name\t: Some CPU @ 2.00GHz\n";
        assert_eq!((cpu_model(x86).as_deref(), listed_cores(x86)), (Some("Some CPU @ 2.00GHz"), Some(2)));
        let arm = "processor\t: 0\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5\n";
        assert_eq!((cpu_model(arm).as_deref(), listed_cores(arm)), (Some("Raspberry Pi 5"), Some(1)));
        assert_eq!((cpu_model(""), listed_cores("")), (None, None));
    }

    #[test]
    fn memory_is_read() {
        assert_eq!(memory_kib("MemTotal:        8388608 kB\nMemFree: 1 kB\n"), Some(8_388_608));
        assert_eq!(memory_kib("MemFree: 1 kB\n"), None);
    }
}
