//! Owns: starting the program. Must not know: anything else; the command line lives in `cli`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    reconciled::cli::main()
}
