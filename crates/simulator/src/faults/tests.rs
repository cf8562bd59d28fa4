use formats::pacing::FaultKind;

use super::*;

fn fault(kind: FaultKind, first: Option<u32>, every: Option<u32>) -> Fault {
    Fault { kind, after: 0, first, every }
}

fn struck(faults: &[Fault]) -> Vec<u64> {
    (1..=12).filter(|call| strike(faults, *call).is_some()).collect()
}

#[test]
fn first_and_every_count_calls_from_one() {
    assert_eq!(struck(&[fault(FaultKind::Stall, None, None)]), (1..=12).collect::<Vec<_>>());
    assert_eq!(struck(&[fault(FaultKind::Stall, Some(2), None)]), [1, 2]);
    assert_eq!(struck(&[fault(FaultKind::Stall, None, Some(5))]), [5, 10]);
    assert_eq!(struck(&[fault(FaultKind::Stall, Some(6), Some(3))]), [3, 6]);
    assert_eq!(struck(&[]), Vec::<u64>::new());
}

#[test]
fn the_first_listed_wins() {
    let faults = [fault(FaultKind::Reset, None, Some(2)), fault(FaultKind::Stall, Some(2), None)];
    let kinds: Vec<_> = (1..=3).map(|call| strike(&faults, call).map(|f| f.kind.clone())).collect();
    assert_eq!(kinds, [Some(FaultKind::Stall), Some(FaultKind::Reset), None]);
}
