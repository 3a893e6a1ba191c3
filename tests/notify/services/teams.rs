//! Teams: what a workflow's refusals mean.

use grayflag::notify::error::{Class, Retry};
use serde_json::json;

use super::{Api, says, send};
use crate::support::sample;

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_says_why_it_does_not_run() {
    let api = Api::start().await;
    let target = api.target("teams");
    let error = |code: &str| json!({ "error": { "code": code, "message": "…" } });
    for (status, code, class, retry) in [
        (400, "WorkflowTriggerIsNotEnabled", Class::Refused, Retry::Never),
        (401, "DirectApiAuthorizationRequired", Class::Auth, Retry::Never),
        (404, "WorkflowNotFound", Class::Refused, Retry::Never),
        (429, "WorkflowRunInProgress", Class::Busy, Retry::Later),
        (502, "BadGateway", Class::Server, Retry::Later),
    ] {
        api.script([Some(says(status, &error(code)))]);
        let error = send(&target, &sample("firing"), None).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (class, retry), "{code}");
        assert!(error.to_string().contains(code), "{error}");
    }
}
