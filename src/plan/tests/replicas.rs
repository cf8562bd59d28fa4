//! The control `aa`: a second cell that differs in nothing but its label.

use super::*;
use crate::manifest::study::{Control, RetryOn};

const AA: &str = "controls = [\"aa\"]\n";

fn replicas(plan: &Plan) -> Vec<(u32, u32)> {
    plan.experiment_replicas(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_cell_is_measured_again_in_the_same_blocks(
        throttles in throttles(), repeats in 1_u32..5,
    ) {
        let before = study(throttles, repeats);
        let mut after = before.clone();
        after.further = format!("{AA}{}", after.further);
        prop_assert!(before.runs().is_subset(&after.runs()));
        prop_assert_eq!(2 * before.runs().len(), after.runs().len());
        let plan = plan_of(&after.text());
        let order = plan.order();
        prop_assert!(order.windows(2).all(|pair| pair[0].repeat <= pair[1].repeat));
        prop_assert_eq!(replicas(&plan).len(), plan.experiment_cells(0).len());
        for (cell, replica) in replicas(&plan) {
            prop_assert_eq!(plan.control_of(replica), Some(Control::Aa));
            prop_assert_eq!(plan.control_of(cell), None);
            prop_assert!(plan.experiments_of(replica).is_empty(), "it is in no matrix");
            prop_assert_eq!(plan.name(replica), format!("{}_aa", plan.name(cell)));
            let mut document = plan.identity(replica);
            let said = document.as_object_mut().unwrap().remove("replica");
            prop_assert_eq!(said, Some(2.into()));
            prop_assert_eq!(document, plan.identity(cell));
            let work = |cell| format!("{:?}", plan.spec(cell).work);
            prop_assert_eq!(work(cell), work(replica));
        }
    }
}

#[test]
fn the_label_is_a_factor() {
    let mut written = study(vec![60], 1);
    let shown = |plan: &Plan, cell: u32| {
        plan.factors(cell).into_iter().find(|own| own.name == "replica").map(|own| own.text)
    };
    assert_eq!(shown(&plan_of(&written.text()), 0), None);
    written.further = format!("{AA}{}", written.further);
    let plan = plan_of(&written.text());
    let (cell, replica) = replicas(&plan)[0];
    assert_eq!(shown(&plan, cell).as_deref(), Some("1"));
    assert_eq!(shown(&plan, replica).as_deref(), Some("2"));
}

#[test]
fn agents_of_a_replica_have_the_solo_controls_of_its_cell() {
    let mut written = study(vec![60], 1);
    written.further = format!("controls = [\"aa\", \"solo\"]\n{}", written.further);
    let plan = plan_of(&written.text());
    let (cell, replica) = replicas(&plan)[0];
    assert!(!plan.solo_cells(cell).is_empty());
    assert_eq!(plan.solo_cells(cell), plan.solo_cells(replica));
    assert_eq!(plan.experiment_controls(0).len(), 4 + 2);
}

#[test]
fn experiments_share_a_replica_like_its_cell() {
    let text = study(vec![60], 2).text();
    let further = "[experiment.two]\nscenario = \"pair\"\ncontrols = [\"aa\"]\nrepeats = 3\n\
                   matrix = { model = [\"m\"], throttle = [60] }";
    let plan = plan_of(&format!(
        "{}\n{further}",
        text.replace("baseline", "controls = [\"aa\"]\nbaseline")
    ));
    let shared = plan.experiment_replicas(1);
    assert_eq!(shared.len(), 1);
    assert!(replicas(&plan).contains(&shared[0]));
    assert_eq!(plan.repeats(shared[0].1), 3);
}

#[test]
fn a_failed_replica_falls_back_to_a_replica() {
    let mut written = study(vec![60], 1);
    written.further =
        format!("{AA}fallback = [{{ throttle = \"30 tok/s\" }}]\n{}", written.further);
    let plan = plan_of(&written.text());
    let (cell, replica) = replicas(&plan)[0];
    assert!(plan.falls_back(replica, RetryOn::HttpError));
    let (of_cell, of_replica) =
        (plan.fallback(cell, 1).unwrap(), plan.fallback(replica, 1).unwrap());
    assert_ne!(of_cell.id, of_replica.id);
    assert_eq!(of_replica.name, format!("{}_aa", of_cell.name));
    assert_eq!(of_replica.spec.identity["replica"], 2);
    let factors = plan.fallback_factors(replica, 1);
    assert!(factors.iter().any(|own| own.name == "replica" && own.text == "2"));
}

#[test]
fn commands_and_tokenizers_are_measured_again_too() {
    let plan = plan_of(
        r#"
schema = 1
name = "m"
[experiment.a]
command = ["true", "{level}", "{out}"]
outputs = ["s.json"]
controls = ["aa"]
matrix = { level = [1, 2] }
metric.v = { from = "s.json#/v" }
[experiment.b]
tokenize = { corpus = { generate = "10 MB" } }
controls = ["aa"]
matrix = { tokenizer = ["t"] }
"#,
    );
    let of_command = replicas(&plan);
    assert_eq!((of_command.len(), plan.experiment_replicas(1).len()), (2, 1));
    let picked: Vec<&str> = plan.picks(of_command[0].0).iter().map(|_| "v").collect();
    let again: Vec<String> =
        plan.picks(of_command[0].1).iter().map(|pick| pick.name.clone()).collect();
    assert_eq!(picked, again, "what is picked of a cell is picked of its replica");
    let (_, replica) = plan.experiment_replicas(1)[0];
    assert_eq!(plan.name(replica), "rust_10MB_tokenizer-t_aa");
}
