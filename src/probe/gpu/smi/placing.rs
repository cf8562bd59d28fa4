//! When rows were taken, by the program's own time stamps: a pipe can only make lines late.

use super::rows::Rows;

/// Lines that come later than this after their time stamps: the wall clock may have been set.
const LATE_NS: i128 = 10_000_000_000;

/// Nanoseconds of the program's own time stamp on a clock of its own (its wall clock).
pub(super) fn parse_stamp(text: &str) -> Option<i128> {
    let time = jiff::civil::DateTime::strptime("%Y/%m/%d %H:%M:%S%.f", text.trim()).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_nanosecond())
}

/// Moves rows from the times of their arrival to those of the program's stamps: the line that came
/// soonest after its stamp ties the two clocks. What the stamps cannot tell stays as it arrived, with
/// a note.
pub(super) fn place(rows: &mut Rows, stamps: &[Option<i128>]) -> Option<String> {
    let by_arrival = |why: &str| Some(format!("times are those at which the lines arrived: {why}"));
    let stamps: Option<Vec<i128>> = stamps.iter().copied().collect();
    let Some(stamps) = stamps.filter(|stamps| !stamps.is_empty()) else {
        return by_arrival("the program gave none of its own");
    };
    let delays: Vec<i128> = rows
        .samples
        .iter()
        .zip(&stamps)
        .map(|(sample, stamp)| i128::from(sample.time_ns) - stamp)
        .collect();
    let (least, most) = (delays.iter().min()?, delays.iter().max()?);
    if !stamps.is_sorted() || most - least > LATE_NS {
        return by_arrival("the wall clock was set meanwhile");
    }
    for (sample, stamp) in rows.samples.iter_mut().zip(&stamps) {
        sample.time_ns = u64::try_from(stamp + least).unwrap_or(sample.time_ns);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::gpu::sample::GpuSample;

    const MS: u64 = 1_000_000;

    fn rows(times_ms: &[u64]) -> Rows {
        let samples = times_ms.iter().map(|time| GpuSample {
            time_ns: time * MS,
            power_w: Some(1.0),
            ..GpuSample::default()
        });
        Rows { samples: samples.collect(), ..Rows::default() }
    }

    fn stamps(texts: &[&str]) -> Vec<Option<i128>> {
        texts.iter().map(|text| parse_stamp(text)).collect()
    }

    fn times_ms(rows: &Rows) -> Vec<u64> {
        rows.samples.iter().map(|sample| sample.time_ns / MS).collect()
    }

    #[test]
    fn lines_that_a_pipe_held_back_get_their_own_times() {
        // Three lines came at once, the last of them at once after its stamp.
        let mut rows = rows(&[5000, 5000, 5000, 5103]);
        let stamps = stamps(&[
            "2025/11/27 23:59:59.900",
            "2025/11/28 00:00:00.000",
            "2025/11/28 00:00:00.100",
            "2025/11/28 00:00:00.200",
        ]);
        assert_eq!(place(&mut rows, &stamps), None);
        assert_eq!(times_ms(&rows), [4800, 4900, 5000, 5100]);
    }

    #[test]
    fn stamps_that_cannot_be_trusted_are_not_used() {
        let back = ["2025/11/27 17:00:00.100", "2025/11/27 16:00:00.200"];
        let forth = ["2025/11/27 17:00:00.100", "2025/11/27 17:01:00.200"];
        for texts in [back, forth, ["2025/11/27 17:00:00.100", "yesterday"]] {
            let mut rows = rows(&[1000, 1100]);
            let note = place(&mut rows, &stamps(&texts)).unwrap();
            assert!(note.contains("arrived"), "{note}");
            assert_eq!(times_ms(&rows), [1000, 1100]);
        }
    }
}
