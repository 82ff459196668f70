//! `qasr completions` and `qasr man`: what a shell and `man` want to know, made from the definition of the command line.

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::exit::Exit;
use super::messages::{self, Messages};
use clap::CommandFactory;

/// Prints the completions for a shell.
pub fn completions(args: &CompletionsArgs) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "qasr", &mut text);
    messages::print_result(&String::from_utf8_lossy(&text))
}

/// Prints a page for `man`, of the command or of a subcommand.
pub fn page(args: &ManArgs) -> Exit {
    let command = Cli::command();
    let mut title = "qasr".to_owned();
    let described = match &args.subcommand {
        None => command,
        Some(name) => match command.find_subcommand(name).filter(|found| !found.is_hide_set()) {
            Some(found) => {
                title = format!("qasr-{name}");
                found.clone().display_name(title.clone()).bin_name(format!("qasr {name}"))
            }
            None => {
                Messages::default().error(format_args!("there is no subcommand `{name}`; `qasr --help` lists them"));
                return Exit::Usage;
            }
        },
    };
    let mut page = Vec::new();
    match clap_mangen::Man::new(described).title(title).render(&mut page) {
        Ok(()) => messages::print_result(&String::from_utf8_lossy(&page)),
        Err(error) => {
            Messages::default().error(format_args!("the page cannot be made: {error}"));
            Exit::Failure
        }
    }
}
