//! `inaug`: the operator's command.
//!
//! Parses what was asked, runs it, prints the outcome once: the answer on stdout, an error
//! and its causes on stderr, and the exit code that DESIGN promises (see [`exit`]).

mod args;
mod commands;
mod dnsmasq;
mod exit;
mod output;
mod serve;
mod text;

use args::{Args, Command};
use clap::Parser;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json);
    match run(args.command, &output) {
        Ok(code) => code,
        Err(error) if exit::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit::code(&error);
            output.failure(&error, code);
            ExitCode::from(code)
        }
    }
}

/// Most commands end well or in an error; `boot` also returns the status of what it ran.
fn run(command: Command, output: &Output) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Push(args) => commands::push::run(args, output),
        Command::Labels(args) => commands::labels::run(&args, output),
        Command::Show(args) => commands::show::run(&args, output),
        Command::Diff(args) => commands::diff::run(&args, output),
        Command::Verify(args) => commands::verify::run(&args, output),
        Command::Copy(args) => commands::copy::run(&args, output),
        Command::Rename(args) => commands::rename::run(&args, output),
        Command::Gc(args) => commands::gc::run(&args, output),
        Command::Rm(args) => commands::rm::run(&args, output),
        Command::Serve(args) => commands::serve::run(&args, output),
        Command::PxeConfig(args) => commands::pxe_config::run(&args, output),
        Command::Deploy(args) => commands::deploy::run(&args, output),
        Command::Initramfs(args) => commands::initramfs::run(&args, output),
        Command::Media(args) => commands::media::run(&args, output),
        Command::Boot(args) => return commands::boot::run(args, output).map(ExitCode::from),
    };
    done.map(|()| ExitCode::SUCCESS)
}
