//! `grayflag coverage`: what would be seen of each service, and what would not.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::Failure;
use super::progress::Progress;
use crate::clock;
use crate::config::Config;
use crate::coverage::{Coverage, Service, State, ask, coverage};
use crate::notify::view::clean;
use crate::source::Prometheus;

/// Options of `grayflag coverage`.
#[derive(Debug, Args)]
pub struct CoverageArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Only this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table and what is missing
    Text,
    /// For programs
    Json,
    /// One page without outside parts
    Html,
}

/// Asks the backend and prints what is covered.
///
/// # Errors
///
/// When the backend cannot be asked, there is no such service, or nothing can be written.
pub async fn run(
    config: Config,
    args: CoverageArgs,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let source = Prometheus::new(config.source.clone()).map_err(Failure::of)?;
    let at = clock::now() - config.poll.settle;
    let mut progress = Progress::quiet();
    progress.begin("asking for signals", config.rules.signals.len() as u64);
    let rows = ask(&source, &config.rules, at, |done| progress.reach(done)).await;
    progress.end();
    let rows = rows.map_err(Failure::of)?;
    let coverage = coverage(&config.rules, rows, at, args.service.as_deref());
    if let Some(wanted) = args.service.as_ref().filter(|_| coverage.services.is_empty()) {
        let what = format!("no signal and no [[service]] knows a service `{}`", clean(wanted));
        return Err(Failure::could_not(what));
    }
    match args.format {
        Format::Text => text(&coverage, out)?,
        Format::Html => out.write_all(html(&coverage).as_bytes())?,
        Format::Json => {
            serde_json::to_writer(&mut *out, &coverage).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

const fn mark(state: State) -> &'static str {
    match state {
        State::Bound => "bound",
        State::Silent => "silent",
        State::Missing => "-",
    }
}

fn text(coverage: &Coverage, out: &mut dyn Write) -> io::Result<()> {
    for service in &coverage.services {
        writeln!(out, "{}", clean(&service.service))?;
        for state in [State::Bound, State::Silent, State::Missing] {
            let roles: Vec<&str> = of_state(service, state).collect();
            if !roles.is_empty() {
                let name = if state == State::Missing { "missing" } else { mark(state) };
                writeln!(out, "  {name:<8} {}", roles.join(", "))?;
            }
        }
        for instead in &service.instead {
            writeln!(out, "  note     {instead}")?;
        }
        let open = service.questions.iter().filter(|question| !question.answered);
        for question in open {
            writeln!(out, "  unseen   {}", question.question)?;
        }
        if !service.blind.is_empty() {
            writeln!(out, "  blind to {}", service.blind.join(", "))?;
        }
    }
    if coverage.more > 0 {
        writeln!(out, "and {} more services; `--service` shows one of them", coverage.more)?;
    }
    if !coverage.packs.is_empty() {
        writeln!(out, "\nPacks that would add what is missing")?;
        for (role, packs) in &coverage.packs {
            writeln!(out, "  {role:<18} {}", packs.join(", "))?;
        }
    }
    for (signal, problem) in &coverage.problems {
        writeln!(out, "\n`{signal}` is refused: {}", clean(problem))?;
    }
    if coverage.services.is_empty() {
        writeln!(out, "no signal has data: `grayflag discover` says which packs fit the backend")?;
    }
    Ok(())
}

fn of_state(service: &Service, state: State) -> impl Iterator<Item = &str> {
    let roles = service.roles.iter().filter(move |covered| covered.state == state);
    roles.map(|covered| covered.role.as_str())
}

fn html(coverage: &Coverage) -> String {
    let environment = minijinja::Environment::new();
    let view = minijinja::context! { c => minijinja::value::Serde(coverage) };
    let page = environment.render_named_str("coverage.html", include_str!("coverage.html"), view);
    // The template is fixed and every field exists; a test renders it.
    page.unwrap_or_else(|problem| format!("<!doctype html><p>{problem:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Rows;
    use crate::rules::{Role, Rules, Signal};
    use crate::time::Timestamp;

    #[test]
    fn the_page_shows_services_as_text_and_nothing_else() {
        let signal = Signal::plain("l", Role::Latency);
        let rules = Rules { signals: vec![signal], ..crate::lab::rules().unwrap() };
        let mut rows = Rows::default();
        rows.now.entry("l".to_owned()).or_default().insert("<script>alert(1)</script>".to_owned());
        let page = html(&coverage(&rules, rows, Timestamp::from_secs(0), None));
        assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("bound"), "{page}");
    }
}
