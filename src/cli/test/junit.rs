//! Results of rule tests as JUnit XML, as CI servers read it: a suite per file and a case per test.
//! No times are in it: the same tests on the same rules give the same bytes.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Judged, Ran, misses};

/// The document.
///
/// # Errors
///
/// What the writer of XML complains of.
pub(super) fn junit(ran: &[Ran<'_>]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("grayflag test");
    for of_file in ran.chunk_by(|a, b| std::ptr::eq(a.suite, b.suite)) {
        let Some(Ran { suite: file, .. }) = of_file.first() else { continue };
        let mut suite = TestSuite::new(file.file.as_str());
        suite.add_test_cases(of_file.iter().map(case));
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(ran: &Ran<'_>) -> TestCase {
    let mut status = TestCaseStatus::success();
    if !ran.passed() {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let bad: Vec<&Judged> = ran.bad().collect();
        let first = bad.first().and_then(|judged| judged.misses.first());
        status.set_message(first.map_or("", |miss| miss.what.as_str()));
        status.set_description(misses(&bad, ran.seeds.len()).join("\n"));
    }
    let mut case = TestCase::new(ran.test.name.as_str(), status);
    case.set_classname(ran.suite.file.as_str());
    case.extra.insert("file".into(), ran.suite.file.as_str().into());
    case.extra.insert("line".into(), ran.test.line.to_string().into());
    case
}
