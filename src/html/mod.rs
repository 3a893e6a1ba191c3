//! What people read in a browser: one style sheet and one frame for pages and for reports that
//! stand alone in one file.
//!
//! Whoever renders says with which templates; each begins with `{% extends "base.html" %}` and
//! fills the blocks `title` and `body`. A report carries the style sheet within; pages link to it
//! by the block `head`. Templates lay out what views have cleaned, formatted and cut to length.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

/// The style sheet.
pub const STYLE: &str = include_str!("style.css");
/// The frame around every page.
const BASE: &str = include_str!("base.html");
/// Steps of work that one rendering may take: tables of thousands of cells.
const FUEL: u64 = 20_000_000;

/// Why something cannot be rendered: a mistake in a template of the program, never in what it is
/// given.
#[derive(Debug, thiserror::Error)]
#[error("cannot lay out `{name}`: {source}")]
pub struct HtmlError {
    name: String,
    source: minijinja::Error,
}

/// Templates, ready to lay out what they are given. All texts are escaped.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// The frame, and these templates by name and source.
    ///
    /// # Errors
    ///
    /// When one is not a template.
    pub fn new(templates: &[(&'static str, &'static str)]) -> Result<Self, HtmlError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_fuel(Some(FUEL));
        environment.add_function("style", || STYLE);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        let named = |name: &str| {
            let name = name.to_owned();
            move |source| HtmlError { name, source }
        };
        environment.set_syntax(syntax.map_err(named("base.html"))?);
        for &(name, source) in [("base.html", BASE)].iter().chain(templates) {
            environment.add_template(name, source).map_err(named(name))?;
        }
        Ok(Self { environment })
    }

    /// Lays out one template with the fields of `view`.
    ///
    /// # Errors
    ///
    /// What the template complains of, such as a field that the view does not have.
    pub fn render(&self, name: &str, view: &impl Serialize) -> Result<String, HtmlError> {
        let named = |source| HtmlError { name: name.to_owned(), source };
        let template = self.environment.get_template(name).map_err(named)?;
        template.render(Serde(view)).map_err(named)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PAGE: &str = "{% extends \"base.html\" %}{% block title %}{{ name }}{% endblock %}\
                        {% block body %}<p title=\"{{ name }}\">{{ name }}</p>{% endblock %}";

    #[test]
    fn names_from_outside_are_inert() {
        let templates = Templates::new(&[("page.html", PAGE)]).unwrap();
        let view = BTreeMap::from([("name", "</title><script>alert(\"1\")</script>")]);
        let page = templates.render("page.html", &view).unwrap();
        assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)"), "{page}");
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains(":root {"), "the style sheet is within");
    }

    #[test]
    fn a_field_that_is_not_there_is_an_error() {
        let templates = Templates::new(&[("page.html", PAGE)]).unwrap();
        let problem = templates.render("page.html", &BTreeMap::<&str, &str>::new()).unwrap_err();
        assert!(problem.to_string().contains("page.html"), "{problem}");
    }
}
