//! Owns: starting the program, and what it allocates by. Must not know: anything else; the command line lives in `cli`.

/// The C library's allocator took a fifth of the store's thread in a push.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    reconciled::cli::main()
}
