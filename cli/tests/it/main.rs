//! The tests of the command: one program, because every test program links llama.cpp.

#[path = "../../../tests/support/command.rs"]
mod command;
#[path = "../../../tests/support/damage.rs"]
mod damage;
#[path = "../../../tests/support/optional.rs"]
mod optional;
#[path = "../../../tests/support/scratch.rs"]
mod scratch;

mod answers;
mod bad_model_values;
mod bad_models;
mod bench;
mod cases;
mod checkpoints;
mod cli;
mod cli_models;
mod compare;
mod config;
mod containers;
mod eval;
mod first_tries;
mod imatrix;
mod incremental;
mod listen;
mod page;
mod pieces;
mod quant_report;
mod quantize;
mod recipe;
mod remedies;
mod several;
#[cfg(unix)]
mod terminal;
