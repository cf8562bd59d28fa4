//! Gives the crate the digests of its own code.

#[path = "build/digest.rs"]
mod digest;

use std::path::PathBuf;

fn main() {
    let own = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = own.join("../..");
    let root = root.canonicalize().unwrap_or(root);
    for path in ["crates/agent", "crates/formats", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let profile = variable("PROFILE");
    let built = format!("{profile}, opt-level {}", variable("OPT_LEVEL"));
    let digests = digest::digests(&root, &built);
    println!("cargo:rustc-env=RUNNER_AGENT_DIGEST={}", digests.calls);
    println!("cargo:rustc-env=RUNNER_TOKENIZE_DIGEST={}", digests.tokenize);
    println!("cargo:rustc-env=RUNNER_TOKENIZERS_VERSION={}", digests.tokenizers_version);
    println!("cargo:rustc-env=RUNNER_AGENT_PROFILE={profile}");
}
