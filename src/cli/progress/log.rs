//! Records of the log among what is told on stderr.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::json::{self, What};
use super::manner::Manner;
use super::{clean, screen};

/// Writes records to stderr: above lines that change, or as JSON.
pub(in crate::cli) struct LogWriter;

/// Writes one record.
pub(in crate::cli) struct RecordWriter {
    level: Level,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = RecordWriter;

    fn make_writer(&'a self) -> RecordWriter {
        RecordWriter { level: Level::INFO }
    }

    fn make_writer_for(&'a self, record: &Metadata<'_>) -> RecordWriter {
        RecordWriter { level: *record.level() }
    }
}

impl Write for RecordWriter {
    /// Takes a whole record, as they are written.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        match Manner::of_process() {
            Manner::Json => {
                let (level, text) = (self.level.as_str().to_ascii_lowercase(), String::from_utf8_lossy(record));
                json::say(None, What::Log { level, text: clean(text.trim_end()) });
            }
            Manner::Terminal | Manner::Lines | Manner::Quiet => screen::print(record),
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
