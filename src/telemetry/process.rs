//! What the system says of this process, as far as it has Linux' `/proc`.

use std::fs;

/// What the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// CPU time, in seconds.
    pub cpu_seconds: f64,
    /// Memory, in bytes.
    pub resident_bytes: f64,
    /// Open file descriptors.
    pub open_fds: f64,
    /// How many it may open; none without a limit.
    pub max_fds: Option<f64>,
    /// When it began, as unix time.
    pub started_at: f64,
}

/// In which the kernel counts time for programs, per second: the same on every platform that
/// matters, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    /// Reads it; none where the system does not say. Blocks for a few files that are in memory.
    pub fn read() -> Option<Self> {
        let text = |path: &str| fs::read_to_string(path).ok();
        let open = fs::read_dir("/proc/self/fd").ok()?.count();
        Self::parse(
            [&text("/proc/self/stat")?, &text("/proc/self/status")?],
            [&text("/proc/self/limits")?, &text("/proc/stat")?],
            // Reading the folder opens it.
            open.saturating_sub(1),
        )
    }

    fn parse([stat, status]: [&str; 2], [limits, system]: [&str; 2], open: usize) -> Option<Self> {
        // The program's name stands in brackets and may hold anything, brackets too.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // As proc(5) counts them; the first after the name is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let resident = line(status, "VmRSS:")?.strip_suffix(" kB")?.parse::<f64>().ok()?;
        let max_fds = line(limits, "Max open files")?.split_whitespace().next()?.parse().ok();
        let booted = line(system, "btime ")?.parse::<f64>().ok()?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            resident_bytes: resident * 1024.0,
            open_fds: open as f64,
            max_fds,
            started_at: booted + field(22)? / TICKS_PER_SECOND,
        })
    }
}

/// What follows on the line that begins so.
fn line<'t>(text: &'t str, begin: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(begin)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 4 0 12345 1 2 3";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        let system = "cpu 1 2 3\nbtime 1700000000\n";
        let parse = |limits| Process::parse([stat, "VmRSS:\t  2048 kB\n"], [limits, system], 9);
        let known = Process {
            cpu_seconds: 3.0,
            resident_bytes: 2_097_152.0,
            open_fds: 9.0,
            max_fds: Some(1_024.0),
            started_at: 1_700_000_123.45,
        };
        assert_eq!(parse(limits), Some(known));
        let unlimited = Some(Process { max_fds: None, ..known });
        assert_eq!(parse("Max open files  unlimited  unlimited  files"), unlimited);
        assert_eq!(parse(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_known() {
        let process = Process::read().unwrap();
        assert!(process.resident_bytes > 1e6 && process.open_fds >= 3.0, "{process:?}");
        // Between 2020 and 2100.
        assert!((1.58e9..4.1e9).contains(&process.started_at), "{process:?}");
    }
}
