//! How a new cluster's data is made, and what is made in it first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the data of a new cluster is made. It is made once: what is named here cannot be changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Initdb {
    /// The locale, such as `de_DE.UTF-8`, which the image must have; the image's own when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["C.UTF-8"]))]
    pub locale: Option<String>,
    /// Who sorts and compares text; `libc` when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale_provider: Option<LocaleProvider>,
    /// The locale of the provider `icu`, such as `de-DE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["de-DE"]))]
    pub icu_locale: Option<String>,
    /// The character set; UTF8 when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["UTF8"]))]
    pub encoding: Option<String>,
    /// Whether blocks have checksums, which a rewind needs too; they have when it is not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_checksums: Option<bool>,
    /// Further arguments of `initdb`, such as `--wal-segsize=64`.
    #[serde(default)]
    #[schemars(extend("examples" = [["--wal-segsize=64"]]))]
    pub args: Vec<String>,
}

/// Who sorts and compares text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LocaleProvider {
    /// The image's C library.
    Libc,
    /// ICU, whose order does not change with the C library.
    Icu,
    /// PostgreSQL itself, since 17.
    Builtin,
}

/// An extension: its name, or more about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Extension {
    /// Its name.
    Name(String),
    /// Its name, and how it shall be.
    Exact(ExactExtension),
}

/// An extension and how it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExactExtension {
    /// Its name.
    pub name: String,
    /// The schema that it is in, made if it is missing. An extension that can be moved is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "identifier"))]
    pub schema: Option<String>,
    /// Its version, to which it is updated; the image's default for a new one, and whatever is there, when not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-scalar" = true))]
    pub version: Option<String>,
    /// Whether extensions that it needs are made with it.
    #[serde(default)]
    pub cascade: bool,
}

impl Extension {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Extension::Name(name) => name,
            Extension::Exact(exact) => &exact.name,
        }
    }

    /// How it shall be.
    pub fn exact(&self) -> ExactExtension {
        match self {
            Extension::Name(name) => ExactExtension {
                name: name.clone(),
                ..ExactExtension::default()
            },
            Extension::Exact(exact) => exact.clone(),
        }
    }
}
