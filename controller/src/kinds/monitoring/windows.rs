//! Windows of rules and dashboards that follow the scrape interval. Pure.
//!
//! They are written for 15 s. A rate needs two samples in its window, and Prometheus 3 leaves out the one at its very
//! beginning: five minutes at an interval of five minutes hold one sample, and an alert on that never fires.

/// The interval that rules and dashboards are written for.
const WRITTEN_FOR_SECS: u64 = 15;
/// How many looks a window holds at least, and an alert waits for: one that failed is no news.
const LOOKS: u64 = 4;

/// The text with every window (`[5m]`) and every waiting time (`for: 1m`) as long as the interval wants it.
pub fn widened(text: &str, interval_secs: u64) -> String {
    if interval_secs <= WRITTEN_FOR_SECS {
        return text.to_owned();
    }
    let shortest = LOOKS * interval_secs;
    let wide = replaced(text, "[", ']', shortest);
    replaced(&wide, "for: ", '\n', shortest)
}

/// The text with every duration between two marks that is shorter than `shortest` made as long.
fn replaced(text: &str, begin: &str, end: char, shortest_secs: u64) -> String {
    let mut parts = text.split(begin);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(begin);
        let inner = part.split(end).next().unwrap_or_default();
        match secs(inner) {
            Some(secs) if secs < shortest_secs => {
                out.push_str(&format!("{shortest_secs}s"));
                out.push_str(&part[inner.len()..]);
            }
            Some(_) | None => out.push_str(part),
        }
    }
    out
}

/// A duration of one number and one unit, in seconds.
fn secs(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::widened;

    #[test]
    fn only_what_holds_too_few_looks_is_widened() {
        let text = "expr: increase(a[5m]) / b[2h] + labels[0]\nfor: 1m\nfor: 1h\nnot for: me";
        assert_eq!(widened(text, 15), text);
        assert_eq!(widened(text, 1), text);
        assert_eq!(widened(text, 30), text.replace("for: 1m", "for: 120s"));
        let five = widened(text, 300);
        assert_eq!(five, text.replace("[5m]", "[1200s]").replace("for: 1m", "for: 1200s"));
        assert_eq!(widened(&five, 300), five);
    }
}
