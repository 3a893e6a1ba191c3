//! `grayflag schema` and `grayflag completions`: text that other programs read, made from the same
//! definitions that this one reads with.

use std::io::Write;

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use super::{Cli, Failure};
use crate::schema::{FileKind, schema as schema_of};

pub(super) const SCHEMA_HELP: &str = "\
Examples:
  grayflag schema config > grayflag.schema.json
  grayflag schema rules > rules.schema.json

With `#:schema ./grayflag.schema.json` as its first line, a TOML file is completed and checked by
editors that use Taplo (Even Better TOML). docs/editors.md says how to do it for a whole folder.

Exit status: 0 printed, 2 could not be done.";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  grayflag completions bash > /etc/bash_completion.d/grayflag
  grayflag completions zsh > ~/.zfunc/_grayflag
  grayflag completions fish > ~/.config/fish/completions/grayflag.fish

Exit status: 0 printed, 2 could not be done.";

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The kind of file
    #[arg(value_name = "KIND")]
    kind: Kind,
}

/// What a file is called by whoever asks for its schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// `grayflag.toml`
    Config,
    /// Signals, causes and changes: one schema, because a file may have all three
    #[value(aliases = ["signals", "causes", "changes"])]
    Rules,
    /// Tests of rules
    Tests,
    /// `incidents.toml`: what really happened
    Incidents,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints a schema.
pub(super) fn schema(args: &SchemaArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let kind = match args.kind {
        Kind::Config => FileKind::Config,
        Kind::Rules => FileKind::Rules,
        Kind::Tests => FileKind::Tests,
        Kind::Incidents => FileKind::Incidents,
    };
    writeln!(out, "{:#}", schema_of(kind)).map_err(Failure::from)
}

/// Prints the completions of a shell.
pub(super) fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "grayflag", &mut script);
    out.write_all(&script).map_err(Failure::from)
}
