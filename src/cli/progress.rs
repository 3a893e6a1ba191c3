//! What a person sees of long work.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows what is being done, and on a terminal how far it is.
pub struct Progress(Kind);

enum Kind {
    /// A bar on standard error, gone when its work is done.
    Bar(Option<ProgressBar>),
    /// One line per kind of work.
    Lines(Box<dyn Write + Send>),
}

impl Progress {
    /// Bars on standard error, for a terminal.
    pub fn bars() -> Self {
        Self(Kind::Bar(None))
    }

    /// A line for everything that begins, for what is no terminal.
    pub fn lines(to: impl Write + Send + 'static) -> Self {
        Self(Kind::Lines(Box::new(to)))
    }

    /// Bars where standard error is a terminal, nothing in a pipe.
    pub fn quiet() -> Self {
        if io::stderr().is_terminal() { Self::bars() } else { Self::lines(io::sink()) }
    }

    /// Begins work of `length` parts; what was shown before is done.
    pub fn begin(&mut self, what: &str, length: u64) {
        self.end();
        match &mut self.0 {
            Kind::Bar(bar) => {
                let target = ProgressDrawTarget::stderr();
                let drawn = ProgressBar::with_draw_target(Some(length), target);
                let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3}%");
                drawn.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                drawn.set_message(what.to_owned());
                *bar = Some(drawn);
            }
            // Whoever cannot be told of progress can still have the result.
            Kind::Lines(to) => drop(writeln!(to, "{what}")),
        }
    }

    /// So many parts are done.
    pub fn reach(&self, position: u64) {
        if let Kind::Bar(Some(bar)) = &self.0 {
            bar.set_position(position);
        }
    }

    /// The work is done, or given up.
    pub fn end(&mut self) {
        if let Kind::Bar(bar) = &mut self.0
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Bar(_) => "Progress::bars",
            Kind::Lines(_) => "Progress::lines",
        })
    }
}
