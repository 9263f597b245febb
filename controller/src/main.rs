//! Arguments, tracing, exit code.

use std::process::ExitCode;

use clap::Parser;
use reconciler::cli::{Arguments, Command, dispatch};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default = if matches!(arguments.command, Command::Run { .. }) {
        "info"
    } else {
        "error"
    };
    let filter = EnvFilter::try_from_env("RECONCILER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the kernel gives no event queue: {error}");
            return ExitCode::from(1);
        }
    };
    let result = tokio::task::LocalSet::new().block_on(&runtime, dispatch(arguments));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.message.is_empty() {
                anstream::eprintln!("{error}");
            }
            ExitCode::from(error.exit as u8)
        }
    }
}
