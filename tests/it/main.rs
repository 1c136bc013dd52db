//! The integration tests: one binary, modules by kind.

mod house;
