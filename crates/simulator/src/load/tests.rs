use super::*;

const LOAD_NS: u64 = 1_000_000;

fn wish(context: Option<u64>, keep: Option<Keep>) -> Wish {
    Wish { context, keep }
}

#[test]
fn each_model_is_loaded_once_and_again_for_another_context() {
    let load = Load::new(LOAD_NS);
    let own = |model: &str, context| {
        load.hold(model, wish(context, Some(Keep::ForEver)), monotonic_ns()).own_ns
    };
    assert_eq!((own("a", None), own("a", None), own("b", None)), (LOAD_NS, 0, LOAD_NS));
    assert_eq!((own("a", Some(512)), own("a", Some(512)), own("a", None)), (LOAD_NS, 0, LOAD_NS));
    let names: Vec<String> = load.residents().into_iter().map(|model| model.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_model_leaves_when_its_time_is_up_but_not_while_it_is_used() {
    let load = Load::new(LOAD_NS);
    let hold = load.hold("a", wish(None, Some(Keep::For(Duration::ZERO))), monotonic_ns());
    assert_eq!(load.residents()[0].leaves_in, None, "it is in use");
    drop(hold);
    assert_eq!(load.residents(), []);
    drop(load.hold("a", Wish::default(), monotonic_ns()));
    let left = load.residents()[0].leaves_in.unwrap();
    assert!(left > Duration::from_secs(290) && left <= Duration::from_secs(300), "{left:?}");
    load.unload("a");
    assert_eq!(load.residents(), []);
}

#[test]
fn calls_that_come_while_it_loads_wait_with_it() {
    let load = Load::new(u64::MAX / 4);
    let first = load.hold("a", Wish::default(), monotonic_ns());
    let second = load.hold("a", Wish::default(), monotonic_ns());
    assert_eq!((second.ready_ns, second.own_ns), (first.ready_ns, 0));
}
