//! Closures of Nix as layers: few enough for container engines, and so that images share them.
//!
//! The algorithm is that of Graham Christensen, "Optimising Docker Layers for Better Caching with Nix" (2018,
//! grahamc.com/blog/nix-and-layered-docker-images), but for one thing: a path counts once for each other one, not for
//! each way between them. The popularity of a store path is the number of paths of the closure from which it is
//! reached. The most popular paths, such as the C library, get a layer each, the most popular one the lowest; those
//! that remain, which few others need, share the last layer. Paths that are equally popular are in the order of their
//! names, so a closure is always split alike.
//!
//! Popularity is counted exactly, for 64 paths in one pass: each bit of a word follows the references of one path.
//! So the memory is that of the graph, and 10,000 paths take well under a second.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::{Build, BuildError};
use crate::nix::{Registration, StorePath};
use crate::spec::{Descriptor, RelativePath};
use crate::store::{Node, StoreError};

/// Most layers for all closures of an image together.
pub(super) const MAX_LAYERS: usize = 100;
/// Largest registration that is read.
const MAX_REGISTRATION: u64 = 256 << 20;
/// Where store paths lie in an image.
const STORE: &str = "nix/store";

/// Closures, as one: each path with what it is and what it refers to.
#[derive(Default)]
pub(super) struct Closure {
    paths: BTreeMap<StorePath, (Node, BTreeSet<StorePath>)>,
}

impl Closure {
    /// Adds the closure of an environment of kind `nix`.
    ///
    /// # Errors
    /// When it is not as such environments are, or a blob of it is gone.
    pub(super) async fn add(&mut self, build: &Build<'_>, descriptor: &Descriptor) -> Result<(), BuildError> {
        let refused = |reason: String| BuildError::refused(build, format!("a closure of its layers: {reason}"));
        let top = super::parts::directory(build, descriptor.root).await?;
        let Some(Node::File { digest, .. }) = top.get("registration").filter(readable) else {
            return Err(refused("it has no usable file `registration`".to_owned()));
        };
        let missing = StoreError::Missing { digest: *digest, role: "registration of a closure" };
        let text = build.store.get(digest).await?.ok_or(missing)?;
        let registration = Registration::parse(&text).map_err(|error| refused(error.to_string()))?;
        let nodes = store(build, descriptor.root).await?;
        for path in registration.paths() {
            let node = nodes.get(path.base_name()).ok_or_else(|| refused(format!("`{path}` is not in it")))?;
            let references = registration.references(path).cloned().collect();
            self.paths.entry(path.clone()).or_insert((node.clone(), references));
        }
        Ok(())
    }

    /// Leaves out the paths that an image has already, as they are.
    ///
    /// # Errors
    /// When a directory of the image cannot be read.
    pub(super) async fn without(mut self, build: &Build<'_>, image: crate::digest::Digest) -> Result<Self, BuildError> {
        let there = store(build, image).await?;
        self.paths.retain(|path, (node, _)| there.get(path.base_name()) != Some(node));
        Ok(self)
    }

    /// Splits the closure into at most so many layers, the lowest first: what lies in each, and what it is called.
    pub(super) fn layers(&self, most: usize) -> Vec<(String, Vec<(RelativePath, Node)>)> {
        let within = RelativePath::parse(STORE).expect("it is written with care");
        let at = |path: &StorePath| within.join(path.base_name()).expect("a base name is one component");
        let references = self.paths.iter().map(|(path, (_, references))| (path, references)).collect();
        let layers = split(&references, most).into_iter().map(|layer| {
            let name = match layer[..] {
                [path] => path.to_string(),
                _ => format!("{} store paths", layer.len()),
            };
            (name, layer.into_iter().map(|path| (at(path), self.paths[path].0.clone())).collect())
        });
        layers.collect()
    }
}

fn readable(node: &&Node) -> bool {
    matches!(node, Node::File { digest, .. } if digest.size() <= MAX_REGISTRATION)
}

/// Returns what lies in `nix/store` of a tree, nothing where there is none.
async fn store(build: &Build<'_>, root: crate::digest::Digest) -> Result<HashMap<String, Node>, BuildError> {
    let within = RelativePath::parse(STORE).expect("it is written with care");
    match crate::source::lookup(build.store, root, &within).await? {
        Some(Node::Directory { digest }) => {
            let directory = super::parts::directory(build, digest).await?;
            Ok(directory.iter().map(|(name, node)| (name.to_owned(), node.clone())).collect())
        }
        Some(Node::File { .. } | Node::Symlink { .. }) | None => Ok(HashMap::new()),
    }
}

/// A graph of references.
type References<'a> = BTreeMap<&'a StorePath, &'a BTreeSet<StorePath>>;

/// Splits paths into at most so many groups: the most popular ones alone, the rest together.
fn split<'a>(references: &References<'a>, most: usize) -> Vec<Vec<&'a StorePath>> {
    let popularity = popularity(references);
    let mut ordered: Vec<(Reverse<u64>, &StorePath)> =
        references.keys().zip(popularity).map(|(path, popularity)| (Reverse(popularity), *path)).collect();
    ordered.sort_unstable();
    let mut paths: Vec<&StorePath> = ordered.into_iter().map(|(_, path)| path).collect();
    let rest = if paths.len() > most { paths.split_off(most.saturating_sub(1)) } else { Vec::new() };
    let mut groups: Vec<Vec<&StorePath>> = paths.into_iter().map(|path| vec![path]).collect();
    if !rest.is_empty() {
        groups.push(rest);
    }
    groups
}

/// Returns from how many paths each path is reached, itself among them, in the order of paths.
fn popularity(references: &References<'_>) -> Vec<u64> {
    let numbers: HashMap<&StorePath, usize> =
        references.keys().enumerate().map(|(number, path)| (*path, number)).collect();
    let own = |number: usize| move |other: &usize| *other != number;
    let graph: Vec<Vec<usize>> = references
        .values()
        .enumerate()
        .map(|(number, targets)| {
            targets.iter().filter_map(|path| numbers.get(path).copied()).filter(own(number)).collect()
        })
        .collect();
    let order = sorted(&graph);
    let mut popularity = vec![0; graph.len()];
    let mut reached = vec![0_u64; graph.len()];
    for sources in order.chunks(64) {
        reached.fill(0);
        for (bit, source) in sources.iter().enumerate() {
            reached[*source] |= 1 << bit;
        }
        for number in &order {
            let bits = reached[*number];
            popularity[*number] += u64::from(bits.count_ones());
            graph[*number].iter().for_each(|target| reached[*target] |= bits);
        }
    }
    popularity
}

/// Returns numbers so that each stands before those that it refers to. Nix makes no circles; what would be in one
/// comes last.
fn sorted(graph: &[Vec<usize>]) -> Vec<usize> {
    let mut waits = vec![0_usize; graph.len()];
    graph.iter().flatten().for_each(|target| waits[*target] += 1);
    let mut order: Vec<usize> = (0..graph.len()).filter(|number| waits[*number] == 0).collect();
    let mut next = 0;
    while let Some(number) = order.get(next).copied() {
        next += 1;
        for target in &graph[number] {
            waits[*target] -= 1;
            if waits[*target] == 0 {
                order.push(*target);
            }
        }
    }
    order.extend((0..graph.len()).filter(|number| waits[*number] > 0));
    order
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn path(number: usize) -> StorePath {
        StorePath::from_base_name(&format!("{number:032}-p")).expect("valid")
    }

    fn graph(edges: &[&[usize]]) -> Vec<(StorePath, BTreeSet<StorePath>)> {
        let references = |targets: &&[usize]| targets.iter().copied().map(path).collect();
        edges.iter().enumerate().map(|(number, targets)| (path(number), references(targets))).collect()
    }

    fn view(graph: &[(StorePath, BTreeSet<StorePath>)]) -> References<'_> {
        graph.iter().map(|(path, references)| (path, references)).collect()
    }

    #[test]
    fn popular_is_what_many_reach_by_whatever_way() {
        // 0 → 1 → 3, 0 → 2 → 3, 4 → 3; and 3 refers to itself, as most paths do.
        let graph = graph(&[&[1, 2], &[3], &[3], &[3], &[3]]);
        assert_eq!(popularity(&view(&graph)), [1, 2, 2, 5, 1]);
    }

    #[test]
    fn the_most_popular_are_alone_and_the_rest_is_together() {
        let graph = graph(&[&[1, 2], &[3], &[3], &[], &[3]]);
        let split = |most| {
            let view = view(&graph);
            let groups = super::split(&view, most);
            groups.iter().map(|group| group.iter().map(|path| (*path).clone()).collect()).collect::<Vec<Vec<_>>>()
        };
        let paths = |numbers: &[usize]| numbers.iter().copied().map(path).collect::<Vec<_>>();
        assert_eq!(split(9), [paths(&[3]), paths(&[1]), paths(&[2]), paths(&[0]), paths(&[4])]);
        assert_eq!(split(5).len(), 5);
        assert_eq!(split(3), [paths(&[3]), paths(&[1]), paths(&[2, 0, 4])]);
        assert_eq!(split(1), [paths(&[3, 1, 2, 0, 4])]);
        assert!(super::split(&BTreeMap::new(), 1).is_empty());
    }

    #[test]
    fn a_circle_ends() {
        let graph = graph(&[&[1], &[2], &[1]]);
        assert_eq!(split(&view(&graph), 9).len(), 3);
    }

    #[test]
    fn every_path_counts_once_for_each_that_reaches_it_however_many_they_are() {
        let chain: Vec<Vec<usize>> =
            (0..200).map(|number| if number < 199 { vec![number + 1] } else { vec![] }).collect();
        let edges: Vec<&[usize]> = chain.iter().map(Vec::as_slice).collect();
        let graph = graph(&edges);
        assert_eq!(popularity(&view(&graph)), (1..=200).collect::<Vec<u64>>());
    }

    #[test]
    fn ten_thousand_paths_take_no_time_to_speak_of() {
        let targets = |number: usize| (1..20).map(move |step| number + step * step).filter(|target| *target < 10_000);
        let edges: Vec<Vec<usize>> = (0..10_000).map(|number| targets(number).collect()).collect();
        let edges: Vec<&[usize]> = edges.iter().map(Vec::as_slice).collect();
        let graph = graph(&edges);
        let started = Instant::now();
        let view = view(&graph);
        let groups = split(&view, MAX_LAYERS);
        assert!(groups.len() == MAX_LAYERS && groups.iter().map(Vec::len).sum::<usize>() == 10_000);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}
