//! Arguments → run → exit code.

fn main() -> std::process::ExitCode {
    runner::cli::main()
}
