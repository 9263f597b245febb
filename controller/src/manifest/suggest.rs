//! "Did you mean".

/// Words longer than this are not typing errors of ours, and comparing them takes time.
const MAX_COMPARED_BYTES: usize = 64;

/// The candidate that the word was probably meant to be.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.is_empty() || word.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let folded = fold(word);
    // Short words are close to many others: a third of the letters may differ.
    let allowed = (folded.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Help text for the nearest candidate; else the list of all, when it is short enough to be of use.
pub fn did_you_mean(word: &str, candidates: &[&str]) -> Option<String> {
    if let Some(nearest) = nearest(word, candidates.iter().copied()) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    (1..=24).contains(&candidates.len()).then(|| possible(candidates))
}

/// The candidates as a sentence.
pub fn possible(candidates: &[&str]) -> String {
    match candidates {
        [only] => format!("the only one possible is `{only}`"),
        _ => format!("possible are {}", list(candidates, "and")),
    }
}

/// `` `a`, `b` and `c` ``.
pub fn list(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}

/// `stop_grace_period`, `stop-grace-period` and `StopGracePeriod` are all meant as `stopGracePeriod`.
fn fold(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let fields = ["replicas", "replication", "stopGracePeriod", "image", "hba"];
        assert_eq!(nearest("replica", fields), Some("replicas"));
        assert_eq!(nearest("relpicas", fields), Some("replicas"));
        assert_eq!(nearest("stop_grace_period", fields), Some("stopGracePeriod"));
        assert_eq!(nearest("Image", fields), Some("image"));
        assert_eq!(nearest("volume", fields), None);
        assert_eq!(nearest("x", fields), None);
        assert_eq!(nearest(&"x".repeat(100_000), fields), None);
    }
}
