//! Texts that were bent out of shape, for everything that reads what somebody else wrote: no panic, and none that takes
//! a second.
//!
//! ```text
//! cargo bench --bench fuzz                            a million texts for each target
//! cargo bench --bench fuzz -- 20000 journal           so many, for the targets with this in their name
//! ```
//!
//! A text that something stumbles over is written beside the others in the temporary folder, and named.

mod targets;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|own| !own.starts_with('-')).collect();
    let texts = words.iter().find_map(|own| own.parse().ok()).unwrap_or(1_000_000);
    let wanted: Vec<&String> = words.iter().filter(|own| own.parse::<u64>().is_err()).collect();
    let mut all_well = true;
    println!("| target | texts | longest ms | |\n|---|---:|---:|---|");
    for target in targets::all() {
        if !wanted.is_empty() && !wanted.iter().any(|own| target.name.contains(own.as_str())) {
            continue;
        }
        let outcome = target.run(texts);
        let said = outcome.bad.map_or_else(String::new, |(text, what)| {
            all_well = false;
            let path = std::env::temp_dir().join(format!("fuzz-{}", target.name));
            let kept = std::fs::write(&path, text).map(|()| path.display().to_string());
            format!("{what}: {}", kept.unwrap_or_else(|error| error.to_string()))
        });
        let longest_ms = outcome.longest.as_secs_f64() * 1e3;
        println!("| {} | {} | {longest_ms:.1} | {said} |", target.name, outcome.texts);
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
