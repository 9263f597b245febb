//! Quantities.
/// Bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let n: u64 = digits.parse().map_err(|_| format!("{text}"))?;
    let shift = match text[digits.len()..].trim().to_ascii_lowercase().chars().next() {
        None => 0,
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('b') => 0,
        _ => return Err(text.to_owned()),
    };
    Ok(n << shift)
}
/// CPUs.
pub fn parse_cpus(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| text.to_owned())
}
/// Duration.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let n: u64 = text.trim_end_matches('s').parse().map_err(|_| text.to_owned())?;
    Ok(std::time::Duration::from_secs(n))
}
