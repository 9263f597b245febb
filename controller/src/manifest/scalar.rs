//! What a plain scalar means: the core schema of YAML 1.2, in which `yes`, `on` and `0o17` are not what they were.

use super::diagnostic::quote;
use super::tree::{Content, Node, Style};

/// A scalar's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction or exponent, a whole number too large for `Int`, an infinity or not a number.
    Float(f64),
    /// Any other word, and everything in quotes.
    Text,
}

/// Resolves a scalar's text by the core schema of YAML 1.2.
pub fn resolve(text: &str, style: Style) -> Resolved {
    if style == Style::Quoted {
        return Resolved::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Resolved::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        _ => {}
    }
    based_integer(text).or_else(|| decimal(text)).unwrap_or(Resolved::Text)
}

/// Whether the node is a plain null.
pub fn is_null(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { text, style } => resolve(text, *style) == Resolved::Null,
        Content::Seq(_) | Content::Map(_) => false,
    }
}

/// The node in words: ``the text `two` ``, `the whole number 3`, `a list`.
pub fn describe(node: &Node) -> String {
    let (text, style) = match &node.content {
        Content::Seq(_) => return "a list".to_owned(),
        Content::Map(_) => return "a map".to_owned(),
        Content::Scalar { text, style } => (text, *style),
    };
    match resolve(text, style) {
        Resolved::Null => "nothing".to_owned(),
        Resolved::Bool(value) => format!("the truth value {value}"),
        Resolved::Int(_) => format!("the whole number {}", quote(text)),
        Resolved::Float(_) => format!("the number {}", quote(text)),
        Resolved::Text => format!("the text {}", quote(text)),
    }
}

/// `0x1F` and `0o17`.
fn based_integer(text: &str) -> Option<Resolved> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) => (digits, 8),
        (None, None) => return None,
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(i128::from_str_radix(digits, radix).map_or(Resolved::Float(f64::INFINITY), Resolved::Int))
}

fn decimal(text: &str) -> Option<Resolved> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let number = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !number || !exponent_fits {
        return None;
    }
    if exponent.is_none()
        && !mantissa.contains('.')
        && let Ok(value) = text.parse::<i128>()
    {
        return Some(Resolved::Int(value));
    }
    text.parse().ok().map(Resolved::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_mean_what_yaml_1_2_says() {
        let cases = [
            ("", Resolved::Null),
            ("~", Resolved::Null),
            ("null", Resolved::Null),
            ("true", Resolved::Bool(true)),
            ("FALSE", Resolved::Bool(false)),
            ("yes", Resolved::Text),
            ("no", Resolved::Text),
            ("on", Resolved::Text),
            ("off", Resolved::Text),
            ("0", Resolved::Int(0)),
            ("-7", Resolved::Int(-7)),
            ("+7", Resolved::Int(7)),
            ("010", Resolved::Int(10)),
            ("0o17", Resolved::Int(15)),
            ("0x1F", Resolved::Int(31)),
            ("0x", Resolved::Text),
            ("0x-1", Resolved::Text),
            ("1.5", Resolved::Float(1.5)),
            (".5", Resolved::Float(0.5)),
            ("5.", Resolved::Float(5.0)),
            ("-1e3", Resolved::Float(-1000.0)),
            ("1e", Resolved::Text),
            (".", Resolved::Text),
            ("-", Resolved::Text),
            ("1_000", Resolved::Text),
            ("1.2.3", Resolved::Text),
            (".inf", Resolved::Float(f64::INFINITY)),
            ("inf", Resolved::Text),
            ("12:30", Resolved::Text),
            ("+-5", Resolved::Text),
        ];
        for (text, value) in cases {
            assert_eq!(resolve(text, Style::Plain), value, "{text}");
        }
        assert_eq!(resolve("1", Style::Quoted), Resolved::Text);
        assert!(matches!(resolve(&"9".repeat(60), Style::Plain), Resolved::Float(_)));
    }
}
