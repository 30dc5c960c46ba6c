//! Description of the machine for records.

/// The processor's name and the number of processors.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(": ").nth(1))
            .unwrap_or("unknown")
            .to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let features = ["avx2", "avx512f"].map(|flag| {
        if field("flags").contains(flag) {
            flag.to_owned()
        } else {
            format!("no {flag}")
        }
    });
    format!(
        "{}, family {} model {}, {cores} cores, {}.",
        field("model name"),
        field("cpu family"),
        info.lines()
            .filter(|line| line.starts_with("model\t"))
            .find_map(|line| line.split(": ").nth(1))
            .unwrap_or("?"),
        features.join(", "),
    )
}

/// Load average over the last minute, if the system states it.
pub(crate) fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// CPU seconds of all ended child processes, in steps of a hundredth, if the system states them.
pub(crate) fn children_cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before the last parenthesis may contain anything; the 14th and 15th fields after it
    // are the children's ticks, of which Linux counts 100 per second.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(13);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}
