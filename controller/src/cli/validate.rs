//! `reconciler validate`: all that is wrong with manifests, at once.

use std::io::Read;
use std::path::PathBuf;

use super::error::{CommandError, CommandResult, Exit, failed};
use super::output::print;
use crate::kinds;
use crate::manifest::load::{Document, Loaded, load, load_text};

/// Checks manifests without an agent or an engine.
pub fn validate(files: &[PathBuf]) -> CommandResult {
    let documents = documents(files)?;
    for document in &documents {
        print(&format!(
            "{}:{}: {}/{} is valid",
            document.file, document.line, document.kind, document.name
        ))?;
    }
    Ok(())
}

/// The documents of manifests that are valid as a whole; `-` is the standard input.
pub fn documents(files: &[PathBuf]) -> Result<Vec<Document>, CommandError> {
    let schemas = kinds::schemas();
    let loaded: Loaded = if files == [PathBuf::from("-")] {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).map_err(failed)?;
        load_text("-", &text, &schemas)
    } else {
        load(files, &schemas)
    };
    for diagnostic in &loaded.diagnostics {
        anstream::eprintln!("{diagnostic}");
    }
    if let Some(why) = loaded.missing {
        return Err(CommandError::new(Exit::Invalid, why));
    }
    match loaded.diagnostics.len() {
        0 => Ok(loaded.documents),
        1 => Err(CommandError::new(Exit::Invalid, "1 error; nothing is changed by it")),
        many => Err(CommandError::new(
            Exit::Invalid,
            format!("{many} errors; nothing is changed by them"),
        )),
    }
}
