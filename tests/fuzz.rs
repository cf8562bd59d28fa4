//! What reads text from outside stumbles over none that was bent out of shape, in a short form; `cargo bench --bench fuzz`
//! tries a million for each.

#[path = "../benches/fuzz/targets.rs"]
mod targets;

#[test]
fn no_text_from_outside_is_stumbled_over() {
    for target in targets::all() {
        let outcome = target.run(1000);
        if let Some((text, what)) = outcome.bad {
            panic!("{}: {what}: {:?}", target.name, String::from_utf8_lossy(&text));
        }
        assert_eq!(outcome.texts, 1000);
    }
}
