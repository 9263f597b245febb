//! Files that carry the hash of their own text, so that what somebody else wrote is told from what we wrote earlier.

use crate::model::container::{FileSpec, short_hash};

const MARK: &str = "# reconciler ";

/// A file that carries the hash of its text in a comment at its end: for formats in which `#` begins one.
pub fn marked(name: &str, text: &str) -> FileSpec {
    let text = text.trim_end();
    let hash = short_hash(text.as_bytes());
    FileSpec::plain(name, format!("{text}\n{MARK}{hash}\n"))
}

/// Whether a text is as it was written here, now or earlier.
fn is_ours(text: &str) -> bool {
    let Some((body, hash)) = text.trim_end().rsplit_once(&format!("\n{MARK}")) else {
        return false;
    };
    short_hash(body.as_bytes()) == hash
}

/// Whether what was found may be what was written here earlier, so that nobody else changed it. JSON has no comments, and so
/// no marks.
pub fn is_earlier(name: &str, found: Option<&[u8]>) -> bool {
    is_unmarked(name) || found.is_some_and(|found| is_ours(&String::from_utf8_lossy(found)))
}

fn is_unmarked(name: &str) -> bool {
    name.ends_with(".json")
}

/// Why a file is not as it is wanted, in words that a user reads.
pub fn what_happened(wanted: &FileSpec, found: Option<&[u8]>) -> String {
    let name = &wanted.name;
    let Some(found) = found else {
        return format!("{name} is missing");
    };
    let found = String::from_utf8_lossy(found);
    if is_unmarked(name) || is_ours(&found) {
        return format!("{name} is to say something else");
    }
    // What others may not read is not for events either.
    if wanted.mode & 0o077 == 0 {
        return format!("somebody changed {name}");
    }
    let lines = wanted.text.lines().zip(found.lines().chain(std::iter::repeat("")));
    let different = lines.enumerate().find(|(_, (wanted, found))| wanted != found);
    match different {
        Some((at, (wanted, found))) => {
            let [wanted, found] = [wanted, found].map(|line| line.trim().chars().take(60).collect::<String>());
            format!(
                "somebody changed {name}: line {} is `{found}` and not `{wanted}`",
                at + 1
            )
        }
        None => format!("somebody changed {name}: lines were put behind it"),
    }
}
