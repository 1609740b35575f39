//! `sweepctl`: what people type. It checks and plans sweep files by itself, asks the coordinator
//! about everything else, and starts coordinator and agent with `up`. Deciding, storing and training
//! are left to the other programs.

mod cli;
mod client;
mod command;
mod config;
mod exit;
mod fault;
mod login;
mod output;
mod sweep_file;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, Shape};
use crate::client::Client;
use crate::config::Config;
use crate::exit::EXIT_CODES;
use crate::fault::Fault;
use crate::output::Out;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::read(&cli.global) {
        Ok(config) => config,
        Err(fault) => return end(&Out::plain(), Err(fault)),
    };
    let out = Out::new(&config, cli.global.quiet, shape(&cli.command));
    let result = run(&out, &config, &cli.command);
    end(&out, result)
}

fn end(out: &Out, result: Result<(), Fault>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            out.fault(&fault);
            ExitCode::from(fault.exit().code())
        }
    }
}

/// The output flags of a command that has some.
fn shape(command: &Command) -> Option<&Shape> {
    match command {
        Command::Check(args) => Some(&args.shape),
        Command::Plan(args) => Some(&args.shape),
        Command::Submit(args) => Some(&args.shape),
        Command::List(args) => Some(&args.shape),
        Command::Show(args) => Some(&args.shape),
        Command::Watch(args) => Some(&args.shape),
        Command::Changing(command) => Some(command.shape()),
        Command::Audit(args) => Some(&args.shape),
        Command::Why(args) => Some(&args.shape),
        Command::Compare(args) => Some(&args.shape),
        Command::Agents(args) => Some(&args.shape),
        Command::Holding(command) => Some(command.shape()),
        Command::Queue(args) => Some(&args.shape),
        Command::Top(args) => Some(&args.shape),
        Command::VerifyResume(args) => Some(&args.shape),
        Command::Dataset(command) => Some(command.shape()),
        Command::Version { shape } | Command::Whoami { shape } | Command::Doctor { shape } => Some(shape),
        Command::Admin(command) => command.shape(),
        Command::Up(_)
        | Command::Logs(_)
        | Command::Report(_)
        | Command::Plot(_)
        | Command::Export(_)
        | Command::Fetch(_)
        | Command::Login(_)
        | Command::Logout(_)
        | Command::Completions { .. }
        | Command::Bench { .. }
        | Command::ExitCodes => None,
    }
}

/// What needs no network runs here; the rest in a runtime that ends on Ctrl-C.
fn run(out: &Out, config: &Config, command: &Command) -> Result<(), Fault> {
    match command {
        Command::Check(args) => return command::check::run(out, args),
        Command::Plan(args) if !args.estimate && !command::plan::asks(out, config, args) => {
            return command::plan::run(out, args);
        }
        Command::Completions { shell } => return command::completions::run(out, *shell),
        Command::VerifyResume(args) => return command::verify_resume::run(out, args),
        Command::Dataset(command) => {
            if let Some(done) = command::dataset::run(out, config, command) {
                return done;
            }
        }
        Command::Admin(cli::Admin::Init(args)) => return command::admin::init(out, args),
        Command::Admin(cli::Admin::Restore(args)) => return command::upkeep::restore(args),
        Command::Bench { arguments } => return command::bench::run(arguments),
        Command::ExitCodes => return out.print(format!("{EXIT_CODES}\n")),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fault::Process)?;
    runtime.block_on(async {
        if let Command::Up(args) = command {
            return command::up::run(out, config, args).await;
        }
        tokio::select! {
            result = ask(out, config, command) => result,
            _ = tokio::signal::ctrl_c() => Err(Fault::Interrupted),
        }
    })
}

/// Commands that talk to a coordinator.
async fn ask(out: &Out, config: &Config, command: &Command) -> Result<(), Fault> {
    // Of these, the first two are about it, and the third has it among its findings.
    if !matches!(command, Command::Login(_) | Command::Logout(_) | Command::Doctor { .. }) {
        command::login::warn(out, config);
    }
    match command {
        // A file that is not valid is refused before anybody is called.
        Command::Submit(args) => return command::submit::run(out, config, args).await,
        Command::Plan(args) if !args.estimate => return command::plan::ask(out, config, args).await,
        Command::Version { .. } => return command::version::run(out, config).await,
        Command::Doctor { .. } => return command::doctor::run(out, config).await,
        Command::Login(args) => return command::login::run(out, config, args).await,
        Command::Logout(args) => return command::login::logout(out, config, args).await,
        _ => {}
    }
    let client = Client::connect(&config.way()?).await?;
    match command {
        Command::List(args) => command::list::run(out, &client, args).await,
        Command::Show(args) => command::show::run(out, &client, args).await,
        Command::Watch(args) => command::watch::run(out, &client, args).await,
        Command::Logs(args) => command::logs::run(out, &client, args).await,
        Command::Changing(command) => command::change::run(out, &client, command).await,
        Command::Report(args) => command::report::run(out, &client, args).await,
        Command::Plot(args) => command::plot::run(out, &client, args).await,
        Command::Compare(args) => command::compare::run(out, &client, args).await,
        Command::Export(args) => command::export::run(out, &client, args).await,
        Command::Fetch(args) => command::fetch::run(out, &client, args).await,
        Command::Agents(args) => command::agents::run(out, &client, args).await,
        Command::Holding(command) => command::hold::run(out, &client, command).await,
        Command::Queue(_) => command::queue::run(out, &client).await,
        Command::Top(args) => command::top::run(out, &client, args).await,
        Command::Dataset(_) => command::dataset::list::run(out, &client).await,
        Command::Audit(args) => command::audit::run(out, &client, args).await,
        Command::Why(args) => command::why::run(out, &client, args).await,
        Command::Plan(args) => command::estimate::run(out, &client, args).await,
        Command::Whoami { .. } => command::login::whoami(out, config, &client).await,
        Command::Admin(command) => command::admin::run(out, &client, command).await,
        Command::Up(_)
        | Command::Check(_)
        | Command::Submit(_)
        | Command::Version { .. }
        | Command::Doctor { .. }
        | Command::Login(_)
        | Command::Logout(_)
        | Command::Completions { .. }
        | Command::VerifyResume(_)
        | Command::Bench { .. }
        | Command::ExitCodes => unreachable!("handled before anybody is called"),
    }
}
