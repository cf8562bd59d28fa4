//! Which experiments are ordered together, and that what is compared is then measured together.

use super::*;

/// Experiments of one scenario and of its agents alone.
fn several(experiments: &str) -> Plan {
    plan_of(&format!(
        r#"
schema = 1
name = "several"
[defaults]
repeats = 3
[endpoint]
a = {{ ollama = "http://localhost:11434" }}
[prompt]
p = {{ text = "hello" }}
[scenario]
one = [{{ agent = "x", endpoint = "a", prompt = "p" }}]
pair = [
  {{ agent = "x", endpoint = "a", prompt = "p" }},
  {{ agent = "y", endpoint = "a", prompt = "p" }},
]
{experiments}
"#
    ))
}

fn throttled(name: &str, levels: &str, further: &str) -> String {
    format!(
        "[experiment.{name}]\nscenario = \"one\"\n{further}\n\
         matrix = {{ model = [\"m\"], throttle = [{levels}] }}\n"
    )
}

fn names(plan: &Plan) -> Vec<Vec<&str>> {
    let name = |own: &usize| plan.study().experiments[*own].name.as_str();
    plan.common_blocks().iter().map(|group| group.iter().map(name).collect()).collect()
}

#[test]
fn experiments_that_share_a_cell_have_common_blocks() {
    let plan = several(&(throttled("one", "60, 70", "") + &throttled("two", "60, 80", "")));
    assert_eq!(names(&plan), [["two"], ["one"]]);
    let order = plan.order();
    assert_eq!(order.len(), 9);
    for repeat in 1..=3 {
        let block = &order[3 * (repeat - 1)..3 * repeat];
        assert!(block.iter().all(|run| run.repeat as usize == repeat), "{order:?}");
    }
}

#[test]
fn unrelated_experiments_stay_apart() {
    let one = throttled("one", "60, 70", "");
    let plan = several(&(one.clone() + &throttled("two", "80, 90", "")));
    assert_eq!(names(&plan), [[""; 0], [""; 0]]);
    let order = plan.order();
    let first = plan.experiment_cells(0);
    assert!(order[..6].iter().all(|run| first.contains(&run.cell)), "{order:?}");
    // what another experiment does changes nothing of its order
    assert_eq!(order[..6], several(&one).order());
}

#[test]
fn links_join_experiments_that_share_no_cell_themselves() {
    let plan = several(
        &(throttled("one", "60", "")
            + &throttled("two", "70", "")
            + &throttled("three", "60, 70", "")),
    );
    assert_eq!(names(&plan), [["two", "three"], ["one", "three"], ["one", "two"]]);
    assert!(plan.order().windows(2).all(|pair| pair[0].repeat <= pair[1].repeat));
}

#[test]
fn a_shared_control_joins_experiments() {
    let pair = "[experiment.pair]\nscenario = \"pair\"\ncontrols = [\"solo\"]\n\
                matrix = { model = [\"m\"] }\n";
    let alone = "[experiment.alone]\nscenario = \"one\"\nmatrix = { model = [\"m\"] }\n";
    let plan = several(&(pair.to_owned() + alone));
    assert_eq!(names(&plan), [["alone"], ["pair"]]);
    assert!(plan.order().windows(2).all(|pair| pair[0].repeat <= pair[1].repeat));
}

#[test]
fn a_claim_over_several_experiments_joins_them() {
    let both = throttled("one", "60", "") + &throttled("two", "70", "");
    let claim = |place: &str| {
        format!(
            "{both}[claim.c]\nmetric = \"ttft_ms\"\nvalue = 5\ntolerance = 0.1\nsource = \"s\"\n{place}\n"
        )
    };
    assert_eq!(names(&several(&claim(""))), [["two"], ["one"]]);
    let apart = [[""; 0], [""; 0]];
    assert_eq!(names(&several(&claim("experiment = \"one\""))), apart);
    assert_eq!(names(&several(&claim("where = { throttle = \"60 tok/s\" }"))), apart);
}

#[test]
fn a_cell_drops_out_when_it_has_its_repeats() {
    let more = throttled("two", "60, 80", "repeats = 5");
    let plan = several(&(throttled("one", "60, 70", "") + &more));
    let block = |repeat: u32| plan.order().iter().filter(|run| run.repeat == repeat).count();
    // the shared cell has the repeats of the experiment that asks for more
    assert_eq!([1, 2, 3, 4, 5, 6].map(block), [3, 3, 3, 2, 2, 0]);
}

#[test]
fn only_interleaved_experiments_have_blocks() {
    let sequential = throttled("one", "60, 70", "order = \"sequential\"");
    let plan = several(&(sequential + &throttled("two", "60, 80", "")));
    assert_eq!(names(&plan), [[""; 0], [""; 0]]);
    let order = plan.order();
    let of_one = plan.experiment_cells(0)[1];
    let last = order.iter().rposition(|run| run.cell == of_one).unwrap();
    // the shared cell is in the blocks of the experiment that has some
    assert!(last == 2 && order[3..].windows(2).all(|pair| pair[0].repeat <= pair[1].repeat));
}

#[test]
fn the_seed_of_common_blocks_is_that_of_their_first_experiment() {
    let with = |first: &str, second: &str| {
        several(&(throttled("one", "60, 70", first) + &throttled("two", "60, 80, 90", second)))
            .order()
    };
    let plain = with("", "");
    assert_eq!(plain, with("", "seed = 7"));
    assert_ne!(plain, with("seed = 7", ""));
    assert_eq!(with("seed = 7", ""), with("seed = 7", "seed = 8"));
}
