use super::*;

#[test]
fn ticks_stay_on_their_grid_however_late_the_work_is() {
    let (start, interval) = (Instant::now(), Duration::from_millis(50));
    let after = |ms| start + Duration::from_millis(ms);
    assert_eq!(next_tick(start, start, interval), after(50));
    assert_eq!(next_tick(start, after(10), interval), after(50));
    assert_eq!(next_tick(start, after(50), interval), after(100));
    assert_eq!(next_tick(after(100), after(251), interval), after(300));
}

#[test]
fn bytes_are_held_back_until_they_make_a_piece() {
    let mut rechunk = Rechunk { size: 4, held: BytesMut::from(&b"abcdefghij"[..]) };
    assert_eq!(rechunk.whole().as_deref(), Some(&b"abcd"[..]));
    assert_eq!(rechunk.whole().as_deref(), Some(&b"efgh"[..]));
    assert_eq!(rechunk.whole(), None);
    assert_eq!(rechunk.last().as_deref(), Some(&b"ij"[..]));
    assert_eq!(rechunk.last(), None);
}
