//! Pieces of work: items that have one key are one.

use std::collections::{BTreeMap, HashMap};

use crate::cli::prefill::items::Asked;
use crate::client::Request;
use crate::spec::{Config, EnvKey, Target};

/// All pieces, in the order of their first items.
#[derive(Default)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    /// By key and properties, which are what an entry is found by.
    places: HashMap<(EnvKey, BTreeMap<String, String>), usize>,
}

/// An environment that is filled.
pub(super) struct Piece {
    /// The items that it is for: at least one.
    pub(super) items: Vec<usize>,
    /// The ways to it, of which the first that works is enough: one of each spec, and at least one.
    pub(super) attempts: Vec<Attempt>,
}

/// A way to an environment.
pub(super) enum Attempt {
    /// The request is made.
    Ready {
        /// The number of the spec.
        file: usize,
        request: Box<Request>,
    },
    /// It can be made when others are done.
    Later {
        /// The number of the spec.
        file: usize,
        target: Target,
        config: Config,
    },
}

impl Pieces {
    /// Adds an item of which the request is known.
    pub(super) fn add(&mut self, file: usize, item: usize, request: Request) {
        let place = (request.parts.key(), request.properties.clone());
        let place = *self.places.entry(place).or_insert(self.pieces.len());
        if place == self.pieces.len() {
            self.pieces.push(Piece { items: Vec::new(), attempts: Vec::new() });
        }
        let piece = &mut self.pieces[place];
        piece.items.push(item);
        // Items of one spec come one after the other.
        if !matches!(piece.attempts.last(), Some(Attempt::Ready { file: last, .. }) if *last == file) {
            piece.attempts.push(Attempt::Ready { file, request: Box::new(request) });
        }
    }

    /// Adds an item of which the request is not known yet.
    pub(super) fn add_later(&mut self, file: usize, asked: &Asked) {
        let later = Attempt::Later { file, target: asked.target.clone(), config: asked.config.clone() };
        self.pieces.push(Piece { items: vec![asked.item], attempts: vec![later] });
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }
}

impl IntoIterator for Pieces {
    type Item = Piece;
    type IntoIter = std::vec::IntoIter<Piece>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
    }
}

impl Piece {
    /// Returns the request, if it is known.
    pub(super) fn request(&self) -> Option<&Request> {
        match self.attempts.first()? {
            Attempt::Ready { request, .. } => Some(request),
            Attempt::Later { .. } => None,
        }
    }
}
