//! Owns: starting the program. Must not know: anything else; the command line lives in `cli`.

fn main() -> std::process::ExitCode {
    reconciled::cli::main()
}
