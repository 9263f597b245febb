//! Files that carry the hash of their own text.

use super::files::{is_earlier, marked, what_happened};

#[test]
fn what_we_wrote_earlier_is_told_from_what_somebody_changed() {
    let (old, new) = (marked("a.yml", "x: 1\ny: 2"), marked("a.yml", "x: 1\ny: 3"));
    assert!(is_earlier("a.yml", Some(old.text.as_bytes())));
    assert_eq!(
        what_happened(&new, Some(old.text.as_bytes())),
        "a.yml is to say something else"
    );
    assert_eq!(what_happened(&new, None), "a.yml is missing");
    assert!(!is_earlier("a.yml", None));
    assert!(is_earlier("a.json", Some(b"{}")), "JSON has no marks");
    let edited = new.text.replace("y: 3", "y: 4");
    assert!(!is_earlier("a.yml", Some(edited.as_bytes())));
    let said = what_happened(&new, Some(edited.as_bytes()));
    assert_eq!(said, "somebody changed a.yml: line 2 is `y: 4` and not `y: 3`");
    let longer = format!("{}z: 5\n", new.text);
    assert_eq!(
        what_happened(&new, Some(longer.as_bytes())),
        "somebody changed a.yml: lines were put behind it"
    );
}

#[test]
fn what_others_may_not_read_is_not_told() {
    let mut secret = marked("a.yml", "password: one");
    secret.mode = 0o600;
    assert_eq!(
        what_happened(&secret, Some(b"password: two\n")),
        "somebody changed a.yml"
    );
}
