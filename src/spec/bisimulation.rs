//! Which nodes of a labelled graph cannot be told apart by following edges.
//!
//! Partition refinement that always goes on with the smaller half (Hopcroft):
//! of each node at most one edge has a given label, so time is O(m log n) in
//! the edges, and circles need no special care.

use std::ops::Range;

/// The edges of one node, as label and target.
pub(crate) type Edges = Vec<(usize, usize)>;

/// Returns the class of each node in the coarsest bisimulation finer than `first`.
///
/// The nodes of one class of `first` have edges of the same labels.
pub(crate) fn coarsest(first: &[usize], edges: &[Edges]) -> Vec<usize> {
    let incoming = reversed(edges);
    let mut partition = Partition::new(first);
    let mut pending: Vec<usize> = (0..partition.ranges.len()).collect();
    while let Some(splitter) = pending.pop() {
        let members = &partition.nodes[partition.ranges[splitter].clone()];
        let mut sources: Edges = members.iter().flat_map(|node| incoming[*node].iter().copied()).collect();
        sources.sort_unstable();
        for same_label in sources.chunk_by(|a, b| a.0 == b.0) {
            pending.extend(partition.split(same_label.iter().map(|(_, source)| *source)));
        }
    }
    partition.class_of
}

fn reversed(edges: &[Edges]) -> Vec<Edges> {
    let mut incoming = vec![Vec::new(); edges.len()];
    for (source, outgoing) in edges.iter().enumerate() {
        for (label, target) in outgoing {
            incoming[*target].push((*label, source));
        }
    }
    incoming
}

/// The nodes sorted by class, so that a class is a range of them.
struct Partition {
    nodes: Vec<usize>,
    place_of: Vec<usize>,
    class_of: Vec<usize>,
    ranges: Vec<Range<usize>>,
    /// How many nodes at the start of each range are marked.
    marked: Vec<usize>,
}

impl Partition {
    fn new(first: &[usize]) -> Self {
        let mut nodes: Vec<usize> = (0..first.len()).collect();
        nodes.sort_by_key(|node| first[*node]);
        let mut partition = Self {
            place_of: vec![0; nodes.len()],
            class_of: vec![0; nodes.len()],
            ranges: Vec::new(),
            marked: Vec::new(),
            nodes,
        };
        let mut start = 0;
        let sizes: Vec<usize> = partition.nodes.chunk_by(|a, b| first[*a] == first[*b]).map(<[_]>::len).collect();
        for size in sizes {
            partition.add_class(start..start + size);
            start += size;
        }
        partition
    }

    fn add_class(&mut self, range: Range<usize>) -> usize {
        let class = self.ranges.len();
        for place in range.clone() {
            self.class_of[self.nodes[place]] = class;
            self.place_of[self.nodes[place]] = place;
        }
        self.ranges.push(range);
        self.marked.push(0);
        class
    }

    /// Splits every class into the given nodes and the others; returns the smaller half of each.
    fn split(&mut self, nodes: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut touched = Vec::new();
        for node in nodes {
            let class = self.class_of[node];
            if self.marked[class] == 0 {
                touched.push(class);
            }
            self.mark(node, class);
        }
        touched.into_iter().filter_map(|class| self.split_class(class)).collect()
    }

    fn mark(&mut self, node: usize, class: usize) {
        let (from, to) = (self.place_of[node], self.ranges[class].start + self.marked[class]);
        let other = self.nodes[to];
        self.nodes.swap(from, to);
        (self.place_of[node], self.place_of[other]) = (to, from);
        self.marked[class] += 1;
    }

    fn split_class(&mut self, class: usize) -> Option<usize> {
        let Range { start, end } = self.ranges[class];
        let middle = start + std::mem::take(&mut self.marked[class]);
        if middle == end {
            return None;
        }
        let (kept, split) =
            if middle - start < end - middle { (middle..end, start..middle) } else { (start..middle, middle..end) };
        self.ranges[class] = kept;
        Some(self.add_class(split))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Renumbers classes in order of first occurrence, so that partitions can be compared.
    fn normal(classes: &[usize]) -> Vec<usize> {
        let mut names = BTreeMap::new();
        classes
            .iter()
            .map(|class| {
                let next = names.len();
                *names.entry(*class).or_insert(next)
            })
            .collect()
    }

    /// The definition itself: refine all nodes by their targets until nothing changes.
    fn by_rounds(first: &[usize], edges: &[Edges]) -> Vec<usize> {
        let mut classes = normal(first);
        loop {
            let mut names = BTreeMap::new();
            let refined = edges.iter().enumerate().map(|(node, edges)| {
                let seen: Vec<_> = edges.iter().map(|(label, target)| (*label, classes[*target])).collect();
                let next = names.len();
                *names.entry((classes[node], seen)).or_insert(next)
            });
            let refined: Vec<_> = refined.collect();
            if refined == classes {
                return classes;
            }
            classes = refined;
        }
    }

    #[test]
    fn a_long_chain_is_told_apart_in_reasonable_time() {
        let count = 100_000;
        let edges: Vec<Edges> = (0..count).map(|i| if i + 1 < count { vec![(0, i + 1)] } else { vec![] }).collect();
        let first: Vec<_> = edges.iter().map(Vec::len).collect();
        let mut classes = coarsest(&first, &edges);
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(classes.len(), count);
    }

    #[test]
    fn circles_of_equal_nodes_are_one_class() {
        let edges: Vec<Edges> = vec![vec![(0, 1)], vec![(0, 2)], vec![(0, 0)], vec![(0, 3)]];
        assert_eq!(coarsest(&[0; 4], &edges), [0; 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn the_fast_way_finds_what_the_definition_says(
            nodes in prop::collection::vec((0..2_usize, 0..1000_usize, 0..1000_usize), 1..24),
        ) {
            let count = nodes.len();
            let edges: Vec<Edges> = nodes.iter().map(|(_, a, b)| vec![(0, a % count), (1, b % count)]).collect();
            let first: Vec<_> = nodes.iter().map(|(kind, ..)| *kind).collect();
            prop_assert_eq!(normal(&coarsest(&first, &edges)), normal(&by_rounds(&first, &edges)));
        }
    }
}
