//! Lines that change, for many pieces of work: those that have run longest, and the whole below them.

use super::screen::{self, Row};

/// Most pieces of work that have a line.
const MAX_ROWS: usize = 8;
/// Rows of the terminal that are left free: for the whole, and for the cursor.
const FREE: usize = 2;

/// The lines.
#[derive(Default)]
pub(super) struct Rows {
    items: Vec<Row>,
    whole: Option<Row>,
}

impl Rows {
    /// Shows these lines, as far as there is room.
    pub(super) fn show(&mut self, lines: impl ExactSizeIterator<Item = String>, whole: String) {
        let room = screen::rows().saturating_sub(FREE).min(MAX_ROWS);
        let (count, others) = (lines.len().min(room), lines.len().saturating_sub(room));
        self.items.truncate(count);
        let below = self.whole.get_or_insert_with(|| Row::new(None));
        while self.items.len() < count {
            self.items.push(Row::new(Some(below)));
        }
        self.items.iter().zip(lines).for_each(|(row, line)| row.show(Some(line)));
        let others = if others == 0 { String::new() } else { format!(", {others} more run") };
        below.show(Some(whole + &others));
    }
}
