//! Long series made short without losing their extremes.

/// At most about `buckets` × 4 points: of each bucket the first, the last, the smallest and the
/// largest, in their order.
#[must_use]
pub fn min_max(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    let length = points.len().div_ceil(buckets.max(1));
    if length <= 4 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(buckets * 4);
    for bucket in points.chunks(length) {
        let by_value = |a: &usize, b: &usize| bucket[*a].1.total_cmp(&bucket[*b].1);
        let smallest = (0..bucket.len()).min_by(by_value).unwrap_or(0);
        let largest = (0..bucket.len()).max_by(by_value).unwrap_or(0);
        let mut own = [0, smallest, largest, bucket.len() - 1];
        own.sort_unstable();
        for (position, index) in own.iter().enumerate() {
            if position == 0 || own[position - 1] != *index {
                kept.push(bucket[*index]);
            }
        }
    }
    kept
}

/// At most `most` of the sorted values, evenly by rank, the smallest and the largest among them; with
/// the share of values that are not larger, in percent.
#[must_use]
pub fn shares(sorted: &[f64], most: usize) -> Vec<(f64, f64)> {
    let n = sorted.len();
    let share = |index: usize| 100.0 * (index + 1) as f64 / n as f64;
    if n <= most || most < 2 {
        return sorted.iter().enumerate().map(|(index, value)| (*value, share(index))).collect();
    }
    (0..most)
        .map(|step| {
            let index = step * (n - 1) / (most - 1);
            (sorted[index], share(index))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_survive() {
        let mut points: Vec<(f64, f64)> =
            (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[31_415].1 = 99.0;
        points[27_182].1 = -99.0;
        let kept = min_max(&points, 200);
        assert!(kept.len() <= 800, "{}", kept.len());
        assert!(kept.contains(&(31_415.0, 99.0)) && kept.contains(&(27_182.0, -99.0)));
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[99_999]));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(min_max(&points[..3], 200), points[..3]);
    }

    #[test]
    fn shares_reach_from_the_smallest_to_the_largest() {
        assert_eq!(shares(&[1.0, 2.0], 10), [(1.0, 50.0), (2.0, 100.0)]);
        let sorted: Vec<f64> = (0..10_000).map(f64::from).collect();
        let kept = shares(&sorted, 100);
        assert_eq!((kept.len(), kept[0].0, kept[99]), (100, 0.0, (9999.0, 100.0)));
    }
}
