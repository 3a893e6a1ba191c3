//! The review as one HTML page that stands alone: no scripts, no outside parts, light and dark, and
//! on paper.

use super::review::Review;
use crate::html::{HtmlError, Templates};

/// The whole page.
///
/// # Errors
///
/// Never with the template that comes along; a test renders it.
pub fn html(review: &Review) -> Result<String, HtmlError> {
    Templates::new(&[("retro.html", include_str!("retro.html"))])?.render("retro.html", review)
}
