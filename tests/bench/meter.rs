//! Processor time and memory, as the kernel counts them.

use std::fs;

use crate::Done;

/// Processor time of all threads of a process since its start, in milliseconds. The scheduler's own account: the usual
/// one counts in ticks of 10 ms, which is as much as a few passes take.
pub fn cpu_ms(process: u32) -> Done<f64> {
    let mut total_ns = 0.0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        total_ns += first_number(&fs::read_to_string(thread?.path().join("schedstat"))?)?;
    }
    Ok(total_ns / 1e6)
}

/// Processor time of this thread, in milliseconds.
pub fn own_cpu_ms() -> Done<f64> {
    // The account is brought up to date when the thread gives way.
    std::thread::yield_now();
    Ok(first_number(&fs::read_to_string("/proc/thread-self/schedstat")?)? / 1e6)
}

/// Resident memory of a process, in MB.
pub fn resident_mb(process: u32) -> Done<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(first_number(line.ok_or("the kernel does not say how much memory the agent uses")?)? * 1024.0 / 1e6)
}

/// Resident memory of a process, what it shares divided among those who share it, in MB.
pub fn proportional_mb(process: u32) -> Done<f64> {
    let sums = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = sums.lines().find_map(|line| line.strip_prefix("Pss:"));
    Ok(first_number(line.ok_or("the kernel does not say how much memory a process uses")?)? * 1024.0 / 1e6)
}

fn first_number(text: &str) -> Done<f64> {
    let word = text.split_whitespace().next().ok_or("an empty line of the kernel's")?;
    Ok(word.parse()?)
}
