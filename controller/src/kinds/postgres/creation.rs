//! How a new cluster's data is made: the arguments of `initdb`, and whether what was made is what is asked for. Pure.

use super::spec::{Initdb, LocaleProvider};
use crate::model::postgres::Made;

/// Arguments that a manifest may give, and that leave alone what the agent rests on.
pub const SAFE_ARGUMENTS: [&str; 11] = [
    "--builtin-locale",
    "--icu-rules",
    "--lc-collate",
    "--lc-ctype",
    "--lc-messages",
    "--lc-monetary",
    "--lc-numeric",
    "--lc-time",
    "--no-locale",
    "--text-search-config",
    "--wal-segsize",
];

/// The arguments of `initdb`, one a line.
pub fn arguments(wanted: &Initdb) -> String {
    let encoding = wanted.encoding.as_deref().unwrap_or("UTF8");
    let mut arguments = vec![format!("--encoding={encoding}")];
    arguments.extend(wanted.locale.iter().map(|locale| format!("--locale={locale}")));
    let provider = wanted
        .locale_provider
        .map(|provider| format!("--locale-provider={}", word(provider)));
    arguments.extend(provider);
    arguments.extend(wanted.icu_locale.iter().map(|locale| format!("--icu-locale={locale}")));
    let checksums = match wanted.data_checksums {
        Some(false) => "--no-data-checksums",
        Some(true) | None => "--data-checksums",
    };
    arguments.push(checksums.to_owned());
    arguments.extend(wanted.args.iter().cloned());
    arguments.join("\n") + "\n"
}

fn word(provider: LocaleProvider) -> &'static str {
    match provider {
        LocaleProvider::Libc => "libc",
        LocaleProvider::Icu => "icu",
        LocaleProvider::Builtin => "builtin",
    }
}

/// What is wrong with an argument, if anything.
pub fn complaint(argument: &str) -> Option<String> {
    let name = argument.split('=').next().unwrap_or_default();
    let has_value = argument.contains('=');
    let why = match name {
        "--encoding" | "-E" => "write `encoding`",
        "--locale" => "write `locale`",
        "--locale-provider" => "write `localeProvider`",
        "--icu-locale" => "write `icuLocale`",
        "--data-checksums" | "--no-data-checksums" | "-k" => "write `dataChecksums`",
        "--set" | "-c" => "write `spec.parameters`",
        _ if SAFE_ARGUMENTS.contains(&name) && (has_value || name == "--no-locale") => return None,
        _ if SAFE_ARGUMENTS.contains(&name) => "write it as `--name=value`",
        _ => {
            return Some(format!(
                "`{name}` is not among the arguments that can be given: {}",
                SAFE_ARGUMENTS.join(", ")
            ));
        }
    };
    Some(format!("`{name}` does not go here: {why}"))
}

/// What is asked for and is not so, each with what is.
pub fn differences(wanted: &Initdb, made: &Made) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |field: &str, wanted: Option<String>, made: &str| {
        if let Some(wanted) = wanted.filter(|wanted| plain(wanted) != plain(made)) {
            found.push(format!("`{field}` is {wanted}, and the data was made with {made}"));
        }
    };
    compare("encoding", wanted.encoding.clone(), &made.encoding);
    compare("locale", wanted.locale.clone(), &made.locale);
    compare(
        "localeProvider",
        wanted.locale_provider.map(|one| word(one).to_owned()),
        &made.provider,
    );
    compare("icuLocale", wanted.icu_locale.clone(), &made.icu_locale);
    compare(
        "dataChecksums",
        wanted.data_checksums.map(|is| is.to_string()),
        &made.checksums.to_string(),
    );
    found
}

/// `UTF-8`, `utf8` and `UTF8` are one.
fn plain(text: &str) -> String {
    text.to_ascii_lowercase().replace(['-', '_'], "")
}

#[cfg(test)]
mod tests {
    use super::{arguments, complaint, differences};
    use crate::kinds::postgres::spec::{Initdb, LocaleProvider};
    use crate::model::postgres::Made;

    #[test]
    fn what_is_not_named_is_as_ever() {
        assert_eq!(arguments(&Initdb::default()), "--encoding=UTF8\n--data-checksums\n");
        let wanted = Initdb {
            locale_provider: Some(LocaleProvider::Icu),
            icu_locale: Some("de-DE".to_owned()),
            data_checksums: Some(false),
            args: vec!["--wal-segsize=64".to_owned()],
            ..Initdb::default()
        };
        let lines =
            "--encoding=UTF8\n--locale-provider=icu\n--icu-locale=de-DE\n--no-data-checksums\n--wal-segsize=64\n";
        assert_eq!(arguments(&wanted), lines);
    }

    #[test]
    fn an_argument_that_the_agent_rests_on_is_refused() {
        assert_eq!(complaint("--wal-segsize=64"), None);
        assert_eq!(complaint("--no-locale"), None);
        insta::assert_snapshot!(complaint("--locale=C").unwrap_or_default(), @"`--locale` does not go here: write `locale`");
        insta::assert_snapshot!(complaint("--wal-segsize").unwrap_or_default(), @"`--wal-segsize` does not go here: write it as `--name=value`");
        assert!(complaint("--pgdata=/x").is_some_and(|why| why.contains("--wal-segsize")));
        assert!(complaint("-X").is_some() && complaint("; rm").is_some());
    }

    #[test]
    fn only_what_is_named_is_compared_and_spellings_are_one() {
        let made = Made {
            encoding: "UTF8".to_owned(),
            locale: "de_DE.utf8".to_owned(),
            provider: "libc".to_owned(),
            checksums: true,
            ..Made::default()
        };
        let same = Initdb {
            encoding: Some("utf-8".to_owned()),
            locale: Some("de_DE.UTF-8".to_owned()),
            ..Initdb::default()
        };
        assert_eq!(differences(&same, &made), Vec::<String>::new());
        let other = Initdb {
            locale_provider: Some(LocaleProvider::Icu),
            data_checksums: Some(false),
            ..Initdb::default()
        };
        insta::assert_snapshot!(differences(&other, &made).join("; "), @"`localeProvider` is icu, and the data was made with libc; `dataChecksums` is false, and the data was made with true");
    }
}
