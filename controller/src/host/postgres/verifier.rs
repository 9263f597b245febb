//! Whether a stored verifier belongs to a password, found out without a login.
//!
//! The verifier's form is PostgreSQL's (documentation, `pg_authid.rolpassword`):
//! `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`. The exchange of RFC 5802 is played against the client
//! that also logs in, so that a password is prepared (SASLprep) here exactly as it is there.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use sha2::{Digest, Sha256};

/// How many answers are remembered. A cluster has a handful of roles, or hundreds; this only bounds the years.
const REMEMBERED: usize = 1024;

/// Remembers which verifiers belong to which passwords, because working one out takes thousands of rounds of SHA-256.
/// Keeps neither: only a hash of both together, which the verifier's salt protects.
#[derive(Debug, Default)]
pub struct Verifiers {
    known: BTreeMap<[u8; 32], bool>,
}

impl Verifiers {
    /// Whether `verifier` belongs to `password`.
    pub fn fits(&mut self, verifier: &str, password: &str) -> bool {
        let pair = pair(verifier, password);
        if let Some(fits) = self.known.get(&pair) {
            return *fits;
        }
        let fits = fits(verifier, password);
        self.remember(pair, fits);
        fits
    }

    /// Takes note of a verifier that was made of a password: it need not be worked out again.
    pub fn made(&mut self, verifier: &str, password: &str) {
        self.remember(pair(verifier, password), true);
    }

    fn remember(&mut self, pair: [u8; 32], fits: bool) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(pair, fits);
    }
}

fn pair(verifier: &str, password: &str) -> [u8; 32] {
    let pair = Sha256::new()
        .chain_update(verifier)
        .chain_update([0])
        .chain_update(password);
    pair.finalize().into()
}

/// Whether `verifier` belongs to `password`. Anything that is not a SCRAM verifier does not, an MD5 hash included:
/// it is to be replaced.
pub fn fits(verifier: &str, password: &str) -> bool {
    exchange(verifier, password).unwrap_or(false)
}

/// Plays the server of RFC 5802, section 3, up to its check of the client's proof.
fn exchange(verifier: &str, password: &str) -> Option<bool> {
    let (parameters, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let stored_key = base64(keys.split_once(':')?.0)?;

    let mut client = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    let client_first = std::str::from_utf8(client.message())
        .ok()?
        .strip_prefix("n,,")?
        .to_owned();
    let nonce = client_first.strip_prefix("n=,r=")?;
    // A nonce of the server's own would only guard against replay.
    let server_first = format!("r={nonce},s={salt},i={iterations}");
    client.update(server_first.as_bytes()).ok()?;
    let (client_final, proof) = std::str::from_utf8(client.message()).ok()?.rsplit_once(",p=")?;

    let mut signature = Hmac::<Sha256>::new_from_slice(&stored_key).ok()?;
    signature.update(format!("{client_first},{server_first},{client_final}").as_bytes());
    let signature = signature.finalize().into_bytes();
    let client_key: Vec<u8> = base64(proof)?.iter().zip(&signature).map(|(p, s)| p ^ s).collect();
    Some(Sha256::digest(&client_key).as_slice() == stored_key)
}

/// Decodes RFC 4648's padded alphabet.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for digit in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == digit)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xFF).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Verifiers, base64, fits};

    // RFC 7677, section 3: user `user`, password `pencil`. Worked out with Python's hashlib.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    // PostgreSQL's own test of a password that is empty (src/test/regress/sql/password.sql).
    const EMPTY: &str = "SCRAM-SHA-256$4096:hpFyHTUsSWcR7O9P$LgZFIt6Oqdo27ZFKbZ2nV+vtnYM995pDh9ca6WSi120=:qVV5NeluNfUPkwm7Vqat25RjSPLkGeoZBQs6wVv+um4=";

    #[test]
    fn knows_the_password_of_a_published_verifier() {
        assert!(fits(PENCIL, "pencil"));
        assert!(!fits(PENCIL, "Pencil"));
        assert!(fits(EMPTY, ""));
        assert!(!fits(EMPTY, " "));
    }

    #[test]
    fn knows_what_this_agent_makes() {
        for password in [
            "",
            "secret",
            "it's \\ \"quoted\"",
            "p\u{e4}ssw\u{f6}rd",
            "\u{2168}",
            "a\u{a0}b",
        ] {
            let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
            assert!(fits(&verifier, password), "{password:?}");
            assert!(!fits(&verifier, "another"));
        }
    }

    #[test]
    fn anything_else_fits_no_password() {
        let md5 = postgres_protocol::password::md5(b"secret", "app");
        for verifier in [md5.as_str(), "", "secret", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:!$!:!"] {
            assert!(!fits(verifier, "secret"), "{verifier}");
        }
    }

    #[test]
    fn remembers_an_answer() {
        let mut verifiers = Verifiers::default();
        assert!(verifiers.fits(PENCIL, "pencil"));
        assert!(!verifiers.fits(PENCIL, "pen"));
        assert_eq!(verifiers.known.len(), 2);
        let before = std::time::Instant::now();
        for _ in 0..100 {
            assert!(verifiers.fits(PENCIL, "pencil"));
        }
        assert!(before.elapsed().as_millis() < 50);
    }

    #[test]
    fn decodes_base64() {
        assert_eq!(base64("Zm9vYmE=").as_deref(), Some(&b"fooba"[..]));
        assert_eq!(base64("Zm9vYmFy").as_deref(), Some(&b"foobar"[..]));
        assert_eq!(base64("Zm9v*"), None);
    }
}
