//! Logging in with a browser.

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

impl Served {
    /// One that strangers reach, with a token for each scope.
    async fn guarded() -> Self {
        Self::start(|config| {
            config.listen = ([0, 0, 0, 0], 0).into();
            let read = Token { secret: "read-read-read-read".into(), ..token(Scope::Read) };
            config.tokens = vec![read, token(Scope::Write)];
        })
        .await
    }

    fn log_in(&self, form: &str) -> RequestBuilder {
        self.request(Method::POST, "/-/login").header("content-type", FORM).body(form.to_owned())
    }

    /// The cookie that a token gives.
    async fn cookie(&self, token: &str) -> String {
        let response = self.log_in(&format!("token={token}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_a_cookie_stands_for_it() {
    let served = Served::guarded().await;
    let page = served.request(Method::GET, "/-/login?next=/x%22y").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let html = page.text().await.unwrap();
    assert!(html.contains("name=\"token\"") && html.contains("value=\"&#x2f;x&quot;y\""), "{html}");

    let wrong = served.log_in("token=wrong&next=/x").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(!wrong.headers().contains_key("set-cookie"));
    assert!(wrong.text().await.unwrap().contains("no token of this server"));

    let right = served.log_in(&format!("token={TOKEN}&next=/incidents")).send().await.unwrap();
    assert_eq!(
        (right.status(), right.headers()["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/incidents")
    );
    let cookie = right.headers()["set-cookie"].to_str().unwrap();
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=604800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(TOKEN), "{cookie}");
    let behind = served.log_in(&format!("token={TOKEN}")).header("x-forwarded-proto", "https");
    let behind = behind.send().await.unwrap();
    assert!(behind.headers()["set-cookie"].to_str().unwrap().ends_with("; Secure"));

    let (status, _) = served.ask(served.log_in("colour=red")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let text = served.request(Method::POST, "/-/login").header("content-type", "text/plain");
    let (status, _) = served.ask(text.body("token=a")).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_cookie_reads_and_writes_from_our_own_pages_only() {
    let served = Served::guarded().await;
    let own = served.url.clone();
    let writer = served.cookie(TOKEN).await;
    let read =
        |cookie: &str| served.request(Method::GET, "/api/v1/changes").header("cookie", cookie);
    assert_eq!(served.ask(read(&writer)).await.0, StatusCode::OK);
    assert_eq!(served.ask(read("grayflag_session=1.x")).await.0, StatusCode::UNAUTHORIZED);
    let write = |cookie: &str| served.post(&deploy("v1", NOW.as_secs())).header("cookie", cookie);
    assert_eq!(served.ask(write(&writer)).await.0, StatusCode::FORBIDDEN, "nobody says from where");
    let evil = write(&writer).header("origin", "https://evil.example.com");
    assert_eq!(served.ask(evil).await.0, StatusCode::FORBIDDEN);
    let cross = write(&writer).header("sec-fetch-site", "same-site");
    assert_eq!(served.ask(cross).await.0, StatusCode::FORBIDDEN);
    assert_eq!(served.ask(write(&writer).header("origin", &own)).await.0, StatusCode::CREATED);
    let reader = served.cookie("read-read-read-read").await;
    assert_eq!(served.ask(read(&reader)).await.0, StatusCode::OK);
    let (status, told) = served.ask(write(&reader).header("origin", &own)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(told["detail"].as_str().unwrap().contains("scope `write`"), "{told}");
    // Nobody is logged in by another site's form.
    let foreign =
        served.log_in(&format!("token={TOKEN}")).header("origin", "https://a.example.com");
    assert_eq!(served.ask(foreign).await.0, StatusCode::FORBIDDEN);
    let out = served.request(Method::POST, "/-/logout").send().await.unwrap();
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn people_are_asked_to_log_in_and_programs_are_told() {
    let served = Served::guarded().await;
    let person =
        served.request(Method::GET, "/incidents/a?b=c&d").header("accept", "text/html,*/*");
    let asked = person.send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::SEE_OTHER);
    assert_eq!(asked.headers()["location"], "/-/login?next=/incidents/a%3Fb%3Dc%26d");
    let api = served.request(Method::GET, "/api/v1/changes").header("accept", "text/html");
    assert_eq!(served.ask(api).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_form_leads_to_the_login_and_back_to_its_page() {
    // Everybody on this machine may read, and only who shows the token may write.
    let served = Served::start(|config| config.tokens = vec![token(Scope::Write)]).await;
    let page = |path: &str| served.request(Method::GET, path).header("accept", "text/html");
    let silences = page("/silences").send().await.unwrap().text().await.unwrap();
    let way = "href=\"&#x2f;-&#x2f;login?next=&#x2f;silences\"";
    assert!(silences.contains(way), "where people find it: {silences}");

    let own = served.url.clone();
    let form = |accept: &str| {
        let form = served.request(Method::POST, "/silences").header("content-type", FORM);
        let form = form.header("origin", &own).header("accept", accept.to_owned());
        let form = form.header("referer", format!("{own}/silences?service=web"));
        form.body("service=web&for=1h&comment=planned")
    };
    let led = form("text/html,application/problem+json").send().await.unwrap();
    assert_eq!(led.status(), StatusCode::SEE_OTHER);
    assert_eq!(led.headers()["location"], "/-/login?next=/silences%3Fservice%3Dweb");
    let (status, _) = served.ask(form("application/json")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "programs are told");

    let cookie = served.cookie(TOKEN).await;
    let done = form("text/html").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(done.headers()["location"], "/silences");
    let known = page("/-/login").header("cookie", &cookie).send().await.unwrap();
    let known = known.text().await.unwrap();
    assert!(known.contains("action=\"/-/logout\""), "{known}");
    assert!(!page("/-/login").send().await.unwrap().text().await.unwrap().contains("logout"));
    // Where no token is, nobody is asked for one.
    let open = Served::start(|_| {}).await;
    let open = open.request(Method::GET, "/").send().await.unwrap().text().await.unwrap();
    assert!(!open.contains("login"), "{open}");
}
