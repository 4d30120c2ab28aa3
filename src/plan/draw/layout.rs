//! Where boxes stand: one row for each depth, few crossings, straight arrows.
//!
//! Long arrows get a point in every row that they pass (Sugiyama, Tagawa and Toda 1981); each row is ordered by the
//! places of its neighbours, then moved as near to them as the widths allow (least squares, by pooling neighbours that
//! would overlap).

use super::sketch::Sketch;

/// Sweeps over the rows; more change little.
const SWEEPS: usize = 12;
/// More points of long arrows than this are left out: such a picture is looked at from afar, and has to be made at all.
const POINTS: usize = 60_000;

/// Rows and columns of boxes and of the points that arrows pass.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Layout {
    /// Middle of each box.
    pub x: Vec<f64>,
    /// Row of each box, from the top.
    pub row: Vec<usize>,
    /// For each arrow, the points between its ends: (x, row).
    pub bends: Vec<Vec<(f64, usize)>>,
    pub width: f64,
    pub rows: usize,
}

/// Boxes first, then the points of arrows.
struct Cells {
    widths: Vec<f64>,
    rows: Vec<Vec<usize>>,
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
}

/// Lays out boxes of these widths, `gap` apart.
pub fn layout(sketch: &Sketch, widths: &[f64], gap: f64) -> Layout {
    let row = depths(widths.len(), &sketch.arrows);
    let mut cells = Cells {
        widths: widths.to_vec(),
        rows: vec![Vec::new(); row.iter().max().map_or(0, |r| r + 1)],
        above: vec![Vec::new(); widths.len()],
        below: vec![Vec::new(); widths.len()],
    };
    row.iter().enumerate().for_each(|(cell, row)| cells.rows[*row].push(cell));
    let passes: usize = sketch.arrows.iter().map(|(a, b)| row[*b].saturating_sub(row[*a] + 1)).sum();
    let mut chains = vec![Vec::new(); sketch.arrows.len()];
    for (chain, (from, to)) in chains.iter_mut().zip(&sketch.arrows) {
        let mut last = *from;
        for at in row[*from] + 1..row[*to] {
            if passes > POINTS {
                break;
            }
            let point = cells.widths.len();
            cells.widths.push(0.0);
            cells.above.push(Vec::new());
            cells.below.push(Vec::new());
            cells.rows[at].push(point);
            cells.join(last, point);
            chain.push((point, at));
            last = point;
        }
        if row[*from] < row[*to] {
            cells.join(last, *to);
        }
    }
    cells.order();
    let x = cells.place(gap);
    let bends = chains.iter().map(|chain| chain.iter().map(|(point, row)| (x[*point], *row)).collect()).collect();
    let edge = |cell: usize| x[cell] + cells.widths[cell] / 2.0;
    let width = (0..x.len()).map(edge).fold(0.0, f64::max);
    Layout { x: x[..widths.len()].to_vec(), rows: cells.rows.len(), row, bends, width }
}

/// The longest way from a source; a source stands right above what needs it. Arrows that would close a circle (bindings,
/// unlike stages, may) are not followed.
fn depths(count: usize, arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut feeds = vec![Vec::new(); count];
    arrows.iter().for_each(|(from, to)| feeds[*from].push(*to));
    let order = order_of(count, &feeds);
    let mut place = vec![0; count];
    order.iter().enumerate().for_each(|(at, block)| place[*block] = at);
    let forward = |from: usize, to: usize| place[from] < place[to];
    let mut depth = vec![0_usize; count];
    for &block in &order {
        for &to in feeds[block].iter().filter(|to| forward(block, **to)) {
            depth[to] = depth[to].max(depth[block] + 1);
        }
    }
    let mut fed = vec![false; count];
    arrows.iter().for_each(|(_, to)| fed[*to] = true);
    for block in (0..count).filter(|block| !fed[*block]) {
        if let Some(nearest) = feeds[block].iter().filter(|to| forward(block, **to)).map(|to| depth[*to]).min() {
            depth[block] = nearest.saturating_sub(1);
        }
    }
    depth
}

/// Every block before those it feeds, where that is possible.
fn order_of(count: usize, feeds: &[Vec<usize>]) -> Vec<usize> {
    let (mut state, mut order) = (vec![0_u8; count], Vec::with_capacity(count));
    for start in 0..count {
        if state[start] != 0 {
            continue;
        }
        state[start] = 1;
        let mut open = vec![(start, 0)];
        while let Some((block, next)) = open.pop() {
            match feeds[block].get(next) {
                Some(&to) => {
                    open.push((block, next + 1));
                    if state[to] == 0 {
                        state[to] = 1;
                        open.push((to, 0));
                    }
                }
                None => order.push(block),
            }
        }
    }
    order.reverse();
    order
}

#[expect(clippy::cast_precision_loss, reason = "places in a drawing")]
fn real(n: usize) -> f64 {
    n as f64
}

impl Cells {
    fn join(&mut self, from: usize, to: usize) {
        self.below[from].push(to);
        self.above[to].push(from);
    }

    /// Orders each row by where its neighbours are, downwards and upwards in turn.
    fn order(&mut self) {
        let mut place = vec![0.0; self.widths.len()];
        for row in &self.rows {
            row.iter().enumerate().for_each(|(at, cell)| place[*cell] = (real(at) + 0.5) / real(row.len()));
        }
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let count = self.rows.len();
            for step in 0..count {
                let at = if down { step } else { count - 1 - step };
                let beside = if down { &self.above } else { &self.below };
                let weight = |cell: usize| match &beside[cell][..] {
                    [] => place[cell],
                    near => near.iter().map(|c| place[*c]).sum::<f64>() / real(near.len()),
                };
                let mut row: Vec<(f64, usize)> = self.rows[at].iter().map(|cell| (weight(*cell), *cell)).collect();
                row.sort_by(|a, b| a.0.total_cmp(&b.0));
                let length = real(row.len());
                row.iter().enumerate().for_each(|(at, (_, cell))| place[*cell] = (real(at) + 0.5) / length);
                self.rows[at] = row.into_iter().map(|(_, cell)| cell).collect();
            }
        }
    }

    /// Middles of all cells.
    fn place(&self, gap: f64) -> Vec<f64> {
        let mut x = vec![0.0; self.widths.len()];
        for row in &self.rows {
            let mut right = 0.0;
            for &cell in row {
                x[cell] = right + self.widths[cell] / 2.0;
                right += self.widths[cell] + gap;
            }
        }
        for sweep in 0..SWEEPS {
            let count = self.rows.len();
            for step in 0..count {
                let row = &self.rows[if sweep % 2 == 0 { step } else { count - 1 - step }];
                let wanted: Vec<(f64, f64)> = row
                    .iter()
                    .map(|&cell| {
                        // straight long arrows matter more than boxes right below each other
                        let near = self.above[cell].iter().chain(&self.below[cell]);
                        let (mut sum, mut weight) = (0.0, 0.0);
                        for &other in near {
                            let pull = if self.widths[cell] == 0.0 && self.widths[other] == 0.0 { 6.0 } else { 1.0 };
                            sum += pull * x[other];
                            weight += pull;
                        }
                        if weight == 0.0 { (x[cell], 0.01) } else { (sum / weight, weight) }
                    })
                    .collect();
                for (cell, at) in row.iter().zip(apart(row, &wanted, &self.widths, gap)) {
                    x[*cell] = at;
                }
            }
        }
        let left = (0..x.len()).map(|cell| x[cell] - self.widths[cell] / 2.0).fold(f64::INFINITY, f64::min);
        x.iter_mut().for_each(|x| *x -= left);
        x
    }
}

/// The places nearest to those wanted at which cells of a row do not overlap: isotonic regression of what is wanted,
/// less the room that the cells before it take.
fn apart(row: &[usize], wanted: &[(f64, f64)], widths: &[f64], gap: f64) -> Vec<f64> {
    let mut room = Vec::with_capacity(row.len());
    let mut taken = 0.0;
    for (at, cell) in row.iter().enumerate() {
        if at > 0 {
            let between = if widths[*cell] == 0.0 || widths[row[at - 1]] == 0.0 { gap * 0.6 } else { gap };
            taken += f64::midpoint(widths[row[at - 1]], widths[*cell]) + between;
        }
        room.push(taken);
    }
    // pools of neighbours that share one place: (sum of weight × place, weight, cells)
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for ((wish, weight), room) in wanted.iter().zip(&room) {
        pools.push(((wish - room) * weight, *weight, 1));
        while let [.., a, b] = &pools[..] {
            if a.0 / a.1 <= b.0 / b.1 {
                break;
            }
            let joined = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
            pools.truncate(pools.len() - 2);
            pools.push(joined);
        }
    }
    let places = pools.iter().flat_map(|(sum, weight, cells)| std::iter::repeat_n(sum / weight, *cells));
    places.zip(room).map(|(place, room)| place + room).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::draw::sketch::Block;

    fn sketch(count: usize, arrows: &[(usize, usize)]) -> Sketch {
        Sketch { title: String::new(), blocks: vec![Block::default(); count], arrows: arrows.to_vec() }
    }

    #[test]
    fn boxes_stand_below_what_they_need_and_never_overlap() {
        // a ladder with long arrows, wide and narrow boxes
        let arrows: Vec<(usize, usize)> = (0..40).flat_map(|a| [(a, a + 2), (a, (a * 7 + 3).clamp(a + 1, 41))]).collect();
        let widths: Vec<f64> = (0..42).map(|a| 40.0 + f64::from(a % 5) * 30.0).collect();
        let laid = layout(&sketch(42, &arrows), &widths, 20.0);
        assert!(arrows.iter().all(|(a, b)| laid.row[*a] < laid.row[*b]));
        for a in 0..42 {
            for b in (0..42).filter(|b| *b != a && laid.row[*b] == laid.row[a]) {
                let apart = (laid.x[a] - laid.x[b]).abs() - f64::midpoint(widths[a], widths[b]);
                assert!(apart > 11.9, "{a} and {b} are {apart} apart");
            }
        }
        assert!(laid.x.iter().zip(&widths).all(|(x, w)| x - w / 2.0 > -1e-9 && x + w / 2.0 <= laid.width + 1e-9));
    }

    #[test]
    fn a_chain_is_straight_and_a_circle_is_drawn() {
        let laid = layout(&sketch(4, &[(0, 1), (1, 2), (2, 3)]), &[10.0, 80.0, 30.0, 50.0], 20.0);
        assert!(laid.x.iter().all(|x| (x - 40.0).abs() < 0.25), "a quarter of a pixel is straight: {:?}", laid.x);
        assert_eq!(layout(&sketch(2, &[(0, 1), (1, 0)]), &[10.0, 10.0], 5.0).rows, 2);
    }

    #[test]
    fn sources_stand_right_above_what_needs_them() {
        let laid = layout(&sketch(4, &[(0, 1), (1, 2), (3, 2)]), &[10.0; 4], 5.0);
        assert_eq!(laid.row, [0, 1, 2, 1]);
    }
}
