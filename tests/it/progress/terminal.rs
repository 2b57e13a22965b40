//! A pseudo-terminal, and the screen that somebody at it sees.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Parser, Screen};

use crate::support::until;

/// Rows and columns of a terminal of the common size.
pub(super) const COMMON: (u16, u16) = (24, 80);

/// A command whose stderr is a terminal.
pub(super) struct Terminal {
    child: Child,
    shown: Arc<Mutex<Shown>>,
    reader: JoinHandle<()>,
}

struct Shown {
    screen: Parser,
    raw: Vec<u8>,
}

/// What came of a command.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    /// All that was sent to the terminal.
    pub(super) raw: String,
    /// What it shows at last.
    pub(super) screen: String,
}

impl Terminal {
    /// Starts a command at a terminal of so many rows and columns, outside CI unless it says otherwise itself.
    pub(super) fn start(command: &mut Command, (rows, columns): (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("pseudo-terminals");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("UTF-8");
        let slave = OpenOptions::new().read(true).write(true).open(name).expect("unlocked");
        resize(slave.as_fd(), rows, columns);
        for (name, value) in [("CI", None), ("TERM", Some("xterm")), ("NO_COLOR", None)] {
            if command.get_envs().any(|(set, _)| set == name) {
                continue;
            }
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.stdout(Stdio::null()).stderr(slave).spawn().expect("the binary is there");
        // The terminal ends when nobody has it open.
        command.stderr(Stdio::null());
        let shown = Arc::new(Mutex::new(Shown { screen: Parser::new(size(rows), size(columns), 0), raw: Vec::new() }));
        let reader = read(master, Arc::clone(&shown));
        Self { child, shown, reader }
    }

    /// Waits until the screen fulfils a condition; returns it.
    pub(super) fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        until(what, || Some(self.screen()).filter(|screen| holds(screen)))
    }

    /// Sends a signal to the command.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    fn screen(&self) -> String {
        rows(self.shown.lock().unwrap_or_else(PoisonError::into_inner).screen.screen())
    }

    /// Waits for the end of the command.
    pub(super) fn end(mut self) -> Ended {
        let code = self.child.wait().expect("running").code();
        self.reader.join().expect("it only reads");
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = String::from_utf8_lossy(&shown.raw).into_owned();
        Ended { code, raw, screen: rows(shown.screen.screen()) }
    }
}

/// Returns the rows of a screen as lines.
fn rows(screen: &Screen) -> String {
    let rows: Vec<String> = screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned()).collect();
    rows.join("\n")
}

fn resize(terminal: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal");
}

fn size(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has a size")
}

fn read(master: OwnedFd, shown: Arc<Mutex<Shown>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut master = File::from(master);
        let mut bytes = [0; 4096];
        // Reading fails when the last one has closed it.
        while let Ok(count @ 1..) = master.read(&mut bytes) {
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.screen.process(&bytes[..count]);
            shown.raw.extend(&bytes[..count]);
        }
    })
}
