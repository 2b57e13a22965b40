//! Tests of the program as its users run it: real daemons, real clients, real tools.

mod absent;
mod bad_input;
mod execute;
mod fetch;
mod flight;
mod hostile;
mod private;
mod readme;
mod support;
mod toolchain;
mod verbs;
mod whole;
