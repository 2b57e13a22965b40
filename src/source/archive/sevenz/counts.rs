//! How many entries, blocks and steps a list declares, found before anything is made of them.
//!
//! The reader of the format makes room for as many as a list has bytes, and a
//! list of zeros packs well.

/// How many streams, and how many steps of packing, there may be for one entry.
const PARTS: usize = 4;

const END: u8 = 0;
const LIST: u8 = 1;
const PROPERTIES: u8 = 2;
const STREAMS: u8 = 4;
const FILES: u8 = 5;
const PACKED: u8 = 6;
const BLOCKS: u8 = 7;
const CONTENTS: u8 = 8;
const SIZES: u8 = 9;
const SUMS: u8 = 10;
const BLOCK: u8 = 11;
const BLOCK_SIZES: u8 = 12;
const CONTENTS_OF_BLOCK: u8 = 13;

/// What is wrong with a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is not one.
    Damaged,
    /// It declares too many things.
    Many,
}

/// Checks that a list declares no more things than `limit` entries can have.
pub(super) fn check(list: &[u8], limit: usize) -> Result<(), Wrong> {
    let mut list = List { rest: list, limit, steps: 0 };
    list.expect(LIST)?;
    let mut next = list.byte()?;
    if next == PROPERTIES {
        while list.byte()? != END {
            let bytes = list.number()?;
            list.skip(bytes)?;
        }
        next = list.byte()?;
    }
    if next == STREAMS {
        list.streams()?;
        next = list.byte()?;
    }
    if next == FILES { list.count(1).map(|_| ()) } else { Ok(()) }
}

/// What a block is, as far as counting goes.
struct Block {
    sizes: usize,
    summed: bool,
}

/// What is left of a list.
struct List<'a> {
    rest: &'a [u8],
    limit: usize,
    /// Steps of all blocks so far.
    steps: usize,
}

impl List<'_> {
    fn byte(&mut self) -> Result<u8, Wrong> {
        let (first, rest) = self.rest.split_first().ok_or(Wrong::Damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Wrong> {
        if self.byte()? == byte { Ok(()) } else { Err(Wrong::Damaged) }
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Wrong> {
        let bytes = usize::try_from(bytes).map_err(|_| Wrong::Damaged)?;
        self.rest = self.rest.get(bytes..).ok_or(Wrong::Damaged)?;
        Ok(())
    }

    /// Reads a number: the first byte has as many ones in front as bytes follow, and the highest bits behind them.
    fn number(&mut self) -> Result<u64, Wrong> {
        let first = self.byte()?;
        let following = first.leading_ones();
        let mut number = 0;
        for place in 0..following {
            number |= u64::from(self.byte()?) << (8 * place);
        }
        let high = u64::from(first) & (0x7f_u64 >> following);
        Ok(number | high.checked_shl(8 * following).unwrap_or(0))
    }

    fn numbers(&mut self, count: usize) -> Result<(), Wrong> {
        (0..count).try_for_each(|_| self.number().map(|_| ()))
    }

    /// Reads how many things there are, of which each entry may have some.
    fn count(&mut self, for_each: usize) -> Result<usize, Wrong> {
        let count = usize::try_from(self.number()?).map_err(|_| Wrong::Many)?;
        if count > self.limit.saturating_mul(for_each) { Err(Wrong::Many) } else { Ok(count) }
    }

    /// Reads checksums, and returns which of the things have one.
    fn sums(&mut self, count: usize) -> Result<Vec<bool>, Wrong> {
        let mut summed = vec![true; count];
        if self.byte()? == 0 {
            for bits in summed.chunks_mut(8) {
                let byte = self.byte()?;
                bits.iter_mut().enumerate().for_each(|(place, bit)| *bit = byte & (0x80 >> place) != 0);
            }
        }
        self.skip(4 * summed.iter().filter(|summed| **summed).count() as u64)?;
        Ok(summed)
    }

    fn streams(&mut self) -> Result<(), Wrong> {
        let mut next = self.byte()?;
        if next == PACKED {
            self.packed()?;
            next = self.byte()?;
        }
        let mut blocks = Vec::new();
        if next == BLOCKS {
            blocks = self.blocks()?;
            next = self.byte()?;
        }
        if next == CONTENTS {
            self.contents(&blocks)?;
            next = self.byte()?;
        }
        if next == END { Ok(()) } else { Err(Wrong::Damaged) }
    }

    fn packed(&mut self) -> Result<(), Wrong> {
        self.number()?;
        let count = self.count(PARTS)?;
        let mut next = self.byte()?;
        if next == SIZES {
            self.numbers(count)?;
            next = self.byte()?;
        }
        if next == SUMS {
            self.sums(count)?;
            next = self.byte()?;
        }
        if next == END { Ok(()) } else { Err(Wrong::Damaged) }
    }

    fn blocks(&mut self) -> Result<Vec<Block>, Wrong> {
        self.expect(BLOCK)?;
        let count = self.count(1)?;
        self.expect(0)?;
        let mut blocks = Vec::new();
        for _ in 0..count {
            blocks.push(Block { sizes: self.block()?, summed: false });
        }
        self.expect(BLOCK_SIZES)?;
        for block in &blocks {
            self.numbers(block.sizes)?;
        }
        let mut next = self.byte()?;
        if next == SUMS {
            let summed = self.sums(count)?;
            blocks.iter_mut().zip(summed).for_each(|(block, summed)| block.summed = summed);
            next = self.byte()?;
        }
        if next == END { Ok(blocks) } else { Err(Wrong::Damaged) }
    }

    /// Reads the steps of a block, and returns how many sizes are said of it.
    fn block(&mut self) -> Result<usize, Wrong> {
        let steps = self.count(PARTS)?;
        self.steps += steps;
        if self.steps > self.limit.saturating_mul(PARTS) {
            return Err(Wrong::Many);
        }
        let (mut taken, mut made) = (0_usize, 0_usize);
        for _ in 0..steps {
            let form = self.byte()?;
            self.skip(u64::from(form & 0x0f))?;
            let several = form & 0x10 != 0;
            taken += if several { self.count(PARTS)? } else { 1 };
            made += if several { self.count(PARTS)? } else { 1 };
            if form & 0x20 != 0 {
                let bytes = self.number()?;
                self.skip(bytes)?;
            }
        }
        let bound = made.checked_sub(1).ok_or(Wrong::Damaged)?;
        self.numbers(2 * bound)?;
        let open = taken.checked_sub(bound).ok_or(Wrong::Damaged)?;
        if open > 1 {
            self.numbers(open)?;
        }
        Ok(made)
    }

    fn contents(&mut self, blocks: &[Block]) -> Result<(), Wrong> {
        let mut next = self.byte()?;
        let mut counts = vec![1; blocks.len()];
        if next == CONTENTS_OF_BLOCK {
            for count in &mut counts {
                *count = self.count(1)?;
            }
            next = self.byte()?;
        }
        if counts.iter().sum::<usize>() > self.limit {
            return Err(Wrong::Many);
        }
        if next == SIZES {
            self.numbers(counts.iter().map(|count| count.saturating_sub(1)).sum())?;
            next = self.byte()?;
        }
        if next == SUMS {
            let unknown = |(count, block): (&usize, &Block)| if *count == 1 && block.summed { 0 } else { *count };
            self.sums(counts.iter().zip(blocks).map(unknown).sum())?;
            next = self.byte()?;
        }
        if next == END { Ok(()) } else { Err(Wrong::Damaged) }
    }
}
