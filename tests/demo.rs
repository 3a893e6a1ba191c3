//! The demo as its user sees it: the same story for the same seed, and an end when told to.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use grayflag::cli::demo::{DemoArgs, DemoError, Ended, run};
use grayflag::cli::progress::Progress;
use grayflag::lab::Fault;
use grayflag::notify::text::Style;
use tokio_util::sync::CancellationToken;

/// What was written to a shared place.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn demo(fault: Fault) -> DemoArgs {
    DemoArgs { fault, seed: 1, list: false, serve: false, listen: ([127, 0, 0, 1], 0).into() }
}

/// Tells a story; returns it and the lines of progress.
async fn tell(fault: Fault, style: Style) -> (String, String) {
    let (mut out, shown) = (Vec::new(), Written::default());
    let mut progress = Progress::lines(shown.clone());
    let stop = CancellationToken::new();
    let ended = Box::pin(run(&demo(fault), &mut out, style, &mut progress, &stop)).await.unwrap();
    assert_eq!(ended, Ended::Told);
    (String::from_utf8(out).unwrap(), shown.text())
}

/// Compares with the file, or writes it when `UPDATE_SNAPSHOTS` is set.
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "UPDATE_SNAPSHOTS=1 writes it anew");
}

fn assert_readable(story: &str) {
    for line in story.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert_eq!(line.trim_end(), line);
    }
    assert!(!story.contains('\u{1b}'), "no colour was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_dependency_is_told_before_users_notice_and_named() {
    let (story, shown) = tell(Fault::SlowDependency, Style::default()).await;
    assert_readable(&story);
    assert!(story.contains("it named slow-dependency of payments, which is what was wrong."));
    let shown: Vec<&str> = shown.lines().collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown[1].starts_with("learning from ") && shown[1].ends_with(" series over HTTP"));
    compare("slow-dependency.txt", &story);
}

#[tokio::test]
async fn where_users_never_notice_the_story_ends_three_hours_after_the_first_word() {
    // With colour, and on one thread, as an embedder may run it.
    let (story, _) = tell(Fault::TelemetryGap, Style { colour: true }).await;
    assert!(story.contains("\u{1b}[1m"), "colour was asked for");
    assert!(story.contains("Users have noticed nothing."));
    compare("telemetry-gap.txt", &plain(&story));
}

/// Without escape codes: they end in `m`.
fn plain(coloured: &str) -> String {
    let mut parts = coloured.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

#[tokio::test]
async fn it_stops_when_it_is_told_to_and_tells_nothing() {
    for cancelled_at in ["simulating", "learning", "watching"] {
        let stop = CancellationToken::new();
        let (mut out, shown) = (Vec::new(), Written::default());
        let trigger = Trigger { word: cancelled_at, stop: stop.clone(), shown: shown.clone() };
        let mut progress = Progress::lines(trigger);
        let args = demo(Fault::SlowDependency);
        let ended = run(&args, &mut out, Style::default(), &mut progress, &stop).await.unwrap();
        assert_eq!(ended, Ended::Stopped, "{cancelled_at}");
        assert_eq!(out, b"");
        assert!(shown.text().lines().last().unwrap().starts_with(cancelled_at));
    }
}

/// Stops the demo as soon as it says this word.
struct Trigger {
    word: &'static str,
    stop: CancellationToken,
    shown: Written,
}

impl Write for Trigger {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.starts_with(self.word.as_bytes()) {
            self.stop.cancel();
        }
        self.shown.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_an_error_and_no_panic() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let args = DemoArgs { list: true, ..demo(Fault::SlowDependency) };
    let mut progress = Progress::lines(std::io::sink());
    let stop = CancellationToken::new();
    let failed = run(&args, &mut Closed, Style::default(), &mut progress, &stop).await;
    assert!(matches!(failed, Err(DemoError::Write(_))));
}
