//! Tests of the program as its users run it: real daemons, real clients, real tools.

mod absent;
mod bad_input;
mod clients;
mod crash;
mod execute;
mod fetch;
mod flight;
mod hostile;
mod image_views;
mod images;
mod instances;
mod just;
mod nix;
mod nix_cache;
mod nix_views;
mod private;
mod readme;
mod registry;
mod remote;
mod roots;
mod security;
mod storage;
mod support;
mod toolchain;
mod verbs;
mod whole;
