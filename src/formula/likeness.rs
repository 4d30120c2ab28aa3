//! How much texts and vectors of a table are like each other: BLEU of each text against the others, and k-means.

use std::collections::BTreeMap;

use crate::chance;

/// How often the commonest text holds a run of words, which text that is, and how often the next one holds it.
#[derive(Clone, Copy, Default)]
struct Most {
    count: usize,
    text: usize,
    next: usize,
}

/// BLEU of every text against all others: the geometric mean of its clipped n-gram precisions up to `n`, times the
/// brevity penalty against the nearest length, without smoothing. Papineni et al. 2002; Zhu et al. 2018 (self-BLEU).
/// Texts without an `n`-gram, and a text alone, have 0.
#[expect(clippy::cast_precision_loss, reason = "texts are short")]
pub(super) fn bleu_against_others(texts: &[&str], n: usize) -> Vec<f64> {
    let words: Vec<Vec<&str>> = texts.iter().map(|text| text.split_whitespace().collect()).collect();
    let mut log_precisions = vec![0.0; texts.len()];
    for length in 1..=n {
        let counts: Vec<BTreeMap<&[&str], usize>> = words.iter().map(|words| runs(words, length)).collect();
        let mut most: BTreeMap<&[&str], Most> = BTreeMap::new();
        for (text, counts) in counts.iter().enumerate() {
            for (run, &count) in counts {
                let most = most.entry(run).or_default();
                if count > most.count {
                    *most = Most { count, text, next: most.count };
                } else {
                    most.next = most.next.max(count);
                }
            }
        }
        for (text, counts) in counts.iter().enumerate() {
            let elsewhere = |run: &[&str]| if most[run].text == text { most[run].next } else { most[run].count };
            let hits: usize = counts.iter().map(|(run, count)| (*count).min(elsewhere(run))).sum();
            let all: usize = counts.values().sum();
            log_precisions[text] += if all == 0 { f64::NEG_INFINITY } else { (hits as f64 / all as f64).ln() };
        }
    }
    let mut lengths: Vec<usize> = words.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    let penalty = |own: usize| {
        let nearest = nearest_other(&lengths, own);
        if own >= nearest || own == 0 { 0.0 } else { 1.0 - nearest as f64 / own as f64 }
    };
    let alone = texts.len() < 2;
    (0..texts.len()).map(|i| if alone { 0.0 } else { (log_precisions[i] / n as f64 + penalty(words[i].len())).exp() }).collect()
}

fn runs<'w, 't>(words: &'w [&'t str], length: usize) -> BTreeMap<&'w [&'t str], usize> {
    let mut counts = BTreeMap::new();
    words.windows(length).for_each(|run| *counts.entry(run).or_default() += 1);
    counts
}

/// The length among the others' nearest to one's own, the shorter of two; `lengths` is sorted and holds one's own.
fn nearest_other(lengths: &[usize], own: usize) -> usize {
    let from = lengths.partition_point(|l| *l < own);
    if lengths.get(from + 1) == Some(&own) {
        return own;
    }
    let (below, above) = (from.checked_sub(1).map(|i| lengths[i]), lengths.get(from + 1).copied());
    match (below, above) {
        (Some(below), Some(above)) => {
            if own - below <= above - own {
                below
            } else {
                above
            }
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => own,
    }
}

/// Rounds after which k-means stops in any case.
const ROUNDS: usize = 100;

/// The cluster of every vector: k-means from k-means++ (Arthur & Vassilvitskii 2007), with chance by `key`. Clusters are
/// numbered by size, the largest 0; fewer than `count` where there are fewer different vectors.
pub(super) fn clusters(vectors: &[&[f64]], count: usize, key: [u32; 2]) -> Vec<usize> {
    let mut centres = first_centres(vectors, count, key);
    let mut of = vec![0; vectors.len()];
    for _ in 0..ROUNDS {
        let next: Vec<usize> = vectors.iter().map(|v| nearest(v, &centres).0).collect();
        let settled = next == of;
        of = next;
        centres = means(vectors, &of, &centres);
        if settled {
            break;
        }
    }
    by_size(&of)
}

fn first_centres(vectors: &[&[f64]], count: usize, key: [u32; 2]) -> Vec<Vec<f64>> {
    let mut centres: Vec<Vec<f64>> = Vec::new();
    while centres.len() < count {
        let far: Vec<f64> = vectors.iter().map(|v| if centres.is_empty() { 1.0 } else { nearest(v, &centres).1 }).collect();
        let total: f64 = far.iter().sum();
        if total <= 0.0 {
            break;
        }
        let words = chance::uniform(key, [u32::try_from(centres.len()).unwrap_or(u32::MAX), 0, 0x636c_7573, 0]);
        let mut left = chance::unit(words[0], words[1]) * total;
        let drawn = far.iter().position(|x| {
            left -= x;
            left < 0.0
        });
        // rounding may leave a little over: then the last vector that is not a centre already
        let drawn = drawn.or_else(|| far.iter().rposition(|x| *x > 0.0)).expect("some are far");
        centres.push(vectors[drawn].to_vec());
    }
    centres
}

/// The nearest centre, and its squared distance.
fn nearest(vector: &[f64], centres: &[Vec<f64>]) -> (usize, f64) {
    let squared = |centre: &Vec<f64>| vector.iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let distances = centres.iter().map(squared).enumerate();
    distances.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn means(vectors: &[&[f64]], of: &[usize], before: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut sums = vec![(0_usize, vec![0.0; vectors.first().map_or(0, |v| v.len())]); before.len()];
    for (vector, &cluster) in vectors.iter().zip(of) {
        sums[cluster].0 += 1;
        sums[cluster].1.iter_mut().zip(*vector).for_each(|(sum, x)| *sum += x);
    }
    let mean = |((n, sum), old): ((usize, Vec<f64>), &Vec<f64>)| {
        if n == 0 { old.clone() } else { sum.into_iter().map(|x| x / n as f64).collect() }
    };
    sums.into_iter().zip(before).map(mean).collect()
}

/// Renumbers clusters: the largest first, equally large ones by their first member.
fn by_size(of: &[usize]) -> Vec<usize> {
    let mut found: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    of.iter().enumerate().for_each(|(i, cluster)| found.entry(*cluster).or_insert((0, i)).0 += 1);
    let mut order: Vec<(usize, (usize, usize))> = found.into_iter().collect();
    order.sort_by_key(|(_, (size, first))| (std::cmp::Reverse(*size), *first));
    let number: BTreeMap<usize, usize> = order.iter().enumerate().map(|(number, (cluster, _))| (*cluster, number)).collect();
    of.iter().map(|cluster| number[cluster]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: "a b" against "a b c" has precisions 1 and 1 and the penalty exp(1 − 3/2); the other way 2/3 and 1/2.
    #[test]
    fn shorter_texts_pay() {
        let found = bleu_against_others(&["a b", "a b c"], 2);
        assert!((found[0] - (-0.5_f64).exp()).abs() < 1e-12 && (found[1] - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{found:?}");
        assert_eq!(bleu_against_others(&["a b"], 2), [0.0]);
        assert_eq!(bleu_against_others(&["a", "a"], 2), [0.0, 0.0]);
        assert_eq!(bleu_against_others(&["a b", "a b", "x y"], 2), [1.0, 1.0, 0.0]);
    }

    /// A run counts as often as one other text holds it, not as often as all of them.
    #[test]
    fn counts_are_clipped() {
        let found = bleu_against_others(&["a a a a", "a a", "a"], 1);
        assert!((found[0] - 0.5).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn far_groups_are_told_apart() {
        let points: Vec<Vec<f64>> = (0..12).map(|i| vec![f64::from(i % 3) * 10.0 + f64::from(i) * 0.01, f64::from(i) * 0.01]).collect();
        let points: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        let found = clusters(&points, 3, [1, 2]);
        assert!((0..12).all(|i| (found[i] == found[0]) == (i % 3 == 0)), "{found:?}");
        assert_eq!(clusters(&points[..1], 3, [1, 2]), [0]);
        let same: Vec<&[f64]> = vec![&[1.0], &[1.0]];
        assert_eq!(clusters(&same, 2, [1, 2]), [0, 0]);
        assert_eq!(clusters(&[], 2, [1, 2]), Vec::<usize>::new());
    }
}
