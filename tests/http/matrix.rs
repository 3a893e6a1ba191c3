//! Who may do what: every endpoint of the router's own list, on every kind of address, with every
//! kind of token.

use grayflag::http::pages::ROUTES;
use grayflag::http::{Access, ENDPOINTS};

use super::*;

const READ: &str = "read-read-read-read";
const WRITE: &str = "write-write-write-write";

/// What a client shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Nothing,
    Wrong,
    Read,
    Write,
}

/// What is configured.
struct Case {
    loopback: bool,
    public_reads: bool,
    tokens: &'static [Scope],
}

const CASES: [Case; 7] = [
    Case { loopback: true, public_reads: false, tokens: &[] },
    Case { loopback: true, public_reads: false, tokens: &[Scope::Write] },
    Case { loopback: true, public_reads: false, tokens: &[Scope::Read, Scope::Write] },
    Case { loopback: true, public_reads: true, tokens: &[Scope::Read, Scope::Write] },
    Case { loopback: false, public_reads: false, tokens: &[] },
    Case { loopback: false, public_reads: false, tokens: &[Scope::Read, Scope::Write] },
    Case { loopback: false, public_reads: true, tokens: &[Scope::Write] },
];

/// What the guard must say, said again in other words than the program's: none lets through.
fn wanted(case: &Case, access: Access, shown: Shown) -> Option<u16> {
    let has = |scope| case.tokens.contains(&scope);
    let known = match shown {
        Shown::Read => has(Scope::Read).then_some(Scope::Read),
        Shown::Write => has(Scope::Write).then_some(Scope::Write),
        Shown::Nothing | Shown::Wrong => None,
    };
    match access {
        Access::Open => None,
        Access::Read if case.public_reads => None,
        Access::Read if case.loopback && !has(Scope::Read) => None,
        Access::Read if known.is_some() => None,
        Access::Read => Some(if case.tokens.is_empty() { 403 } else { 401 }),
        Access::Write if case.loopback && case.tokens.is_empty() => None,
        Access::Write => match known {
            Some(Scope::Write) => None,
            Some(Scope::Read) => Some(403),
            None => Some(if has(Scope::Write) { 401 } else { 403 }),
        },
    }
}

async fn asked(served: &Served, (method, path): (&str, &str), shown: Shown) -> u16 {
    let path = ["{name}", "{id}", "{number}", "{every}", "{at}", "{hash}"]
        .into_iter()
        .fold(path.to_owned(), |path, part| path.replace(part, "x"));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    // As a page of this server sends its forms: pages take none from elsewhere.
    let request = served.request(method, &path).header("sec-fetch-site", "same-origin");
    let request = match shown {
        Shown::Nothing => request,
        Shown::Wrong => request.bearer_auth("wrong-wrong-wrong-wrong"),
        Shown::Read => request.bearer_auth(READ),
        Shown::Write => request.bearer_auth(WRITE),
    };
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn every_endpoint_takes_whom_it_should_and_nobody_else() {
    for case in &CASES {
        for shown in [Shown::Nothing, Shown::Wrong, Shown::Read, Shown::Write] {
            // Each time anew, since wrong tokens are counted.
            let served = Served::start(|config| {
                if !case.loopback {
                    config.listen = ([0, 0, 0, 0], 0).into();
                }
                config.public_reads = case.public_reads;
                let secret = |scope| if scope == Scope::Read { READ } else { WRITE };
                let token = |scope: &Scope| Token {
                    name: scope.name().to_owned(),
                    scope: *scope,
                    secret: secret(*scope).into(),
                };
                config.tokens = case.tokens.iter().map(token).collect();
            })
            .await;
            let api = ENDPOINTS.iter().map(|one| (one.method, one.path, one.access));
            let pages = ROUTES.iter().map(|one| (one.method, one.path, one.access));
            for (method, path, access) in api.chain(pages) {
                let got = asked(&served, (method, path), shown).await;
                let Case { loopback, public_reads, tokens } = case;
                let told = format!(
                    "{method} {path} with {shown:?}, loopback {loopback}, public {public_reads}, {tokens:?}"
                );
                // Whatever is none of its tokens counts as a wrong one.
                let wrong = match shown {
                    Shown::Nothing => false,
                    Shown::Wrong => true,
                    Shown::Read => !tokens.contains(&Scope::Read),
                    Shown::Write => !tokens.contains(&Scope::Write),
                };
                let limited = wrong && got == 429;
                match wanted(case, access, shown) {
                    Some(status) => assert!(got == status || limited, "{got} {told}"),
                    // The form to log in refuses a form that is none, and that is all.
                    None => assert!(![401, 403].contains(&got), "{got} {told}"),
                }
            }
        }
    }
}

/// What is not in the list is guarded as if it were the most precious thing.
#[tokio::test]
async fn strangers_do_not_learn_what_there_is() {
    let served = Served::start(|config| {
        config.listen = ([0, 0, 0, 0], 0).into();
        config.tokens = vec![token(Scope::Write)];
    })
    .await;
    for path in ["/api/v1/nothing", "/nothing", "/api/v1/changes/", "//", "/-/healthy/x"] {
        assert_eq!(served.get(path).await.0, StatusCode::UNAUTHORIZED, "{path}");
        let post = served.request(Method::POST, path);
        assert_eq!(served.ask(post).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    let mut methods = Vec::new();
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        let request = served.request(method, "/-/healthy");
        methods.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(methods, [401; 5]);
    let with = |method, path: &str| served.request(method, path).bearer_auth(TOKEN);
    let (status, _) = served.ask(with(Method::GET, "/api/v1/nothing")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let put = with(Method::PUT, "/api/v1/changes").send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put.headers()["content-type"], "application/problem+json");
    assert_eq!(put.headers()["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn who_tries_tokens_out_is_not_listened_to() {
    let served = Served::start(|config| config.tokens = vec![token(Scope::Write)]).await;
    let with = |shown: &str| served.post(&deploy("v1", NOW.as_secs())).bearer_auth(shown);
    let mut statuses = Vec::new();
    for n in 0..25 {
        statuses.push(served.ask(with(&format!("wrong-{n}"))).await.0.as_u16());
    }
    assert_eq!(statuses[..20], [401; 20]);
    assert_eq!(statuses[20..], [429; 5]);
    let limited = with("wrong").send().await.unwrap();
    assert_eq!(limited.headers()["retry-after"], "60");
    // Whoever has the right one is not held up: it cannot have been found by trying.
    assert_eq!(served.ask(with(TOKEN)).await.0, StatusCode::CREATED);
}
