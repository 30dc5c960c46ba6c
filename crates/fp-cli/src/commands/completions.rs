//! `finepruner completions`: scripts with which a shell completes the command line.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::print_verbatim;

/// Print a completion script for a shell.
///
/// Installation:
///   bash        finepruner completions bash > \
///                 ~/.local/share/bash-completion/completions/finepruner
///   zsh         finepruner completions zsh > ~/.zfunc/_finepruner
///               with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
///   fish        finepruner completions fish > \
///                 ~/.config/fish/completions/finepruner.fish
///   elvish      finepruner completions elvish >> ~/.config/elvish/rc.elv
///   powershell  finepruner completions powershell >> $PROFILE
///
/// Completion works in new shells. `source <(finepruner completions bash)` is
/// enough for the current shell.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut command = crate::Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    print_verbatim(&String::from_utf8(script)?)
}
