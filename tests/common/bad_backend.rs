//! A backend that misbehaves on purpose, over real TCP, and behaves again when told to.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// One series `service="web"` whose value at each instant is that instant in Unix seconds.
    Good,
    /// Like `Good`, with so many series, told apart by `instance`.
    Many(usize),
    /// A status, further header lines, and a body.
    Status(u16, &'static str, &'static str),
    /// The head of a good answer and half of its body, then the end of the connection.
    Cut,
    /// Accepts the connection and says nothing.
    Hang,
    /// Ends the connection without a word.
    Reset,
    /// A body without end.
    Endless,
    /// Says that the body is compressed, and it is not.
    WrongGzip,
    /// A small compressed body that is 64 MiB of spaces.
    GzipBomb,
    /// The first answer once, then good ones.
    Once(&'static Answer),
}

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// In lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) form: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    answers: Mutex<Vec<(String, Answer)>>,
    requests: Mutex<Vec<Request>>,
    bytes_sent: AtomicUsize,
    open: AtomicUsize,
    open_max: AtomicUsize,
}

/// A backend that misbehaves on purpose.
#[derive(Debug)]
pub(crate) struct BadBackend {
    port: u16,
    state: Arc<State>,
    task: Option<JoinHandle<()>>,
}

impl BadBackend {
    /// Answers everything in this way.
    pub(crate) async fn start(answer: Answer) -> Self {
        let mut backend = Self { port: 0, state: Arc::default(), task: None };
        backend.answer("", answer);
        backend.up().await;
        backend
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on answers queries that contain `part` in this way; the latest word counts.
    pub(crate) fn answer(&self, part: &str, answer: Answer) {
        self.state.answers.lock().unwrap().push((part.to_owned(), answer));
    }

    /// Stops listening: connections are refused.
    pub(crate) async fn down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Listens, on the same port as before.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let state = Arc::clone(&self.state);
        self.task = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
                    state.open_max.fetch_max(open, Ordering::SeqCst);
                    let _ = serve(stream, &state).await;
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }));
    }

    /// What arrived since this was asked last.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }

    /// The most requests at the same time so far.
    pub(crate) fn open_max(&self) -> usize {
        self.state.open_max.load(Ordering::SeqCst)
    }

    /// Bytes of bodies without end that were written so far.
    pub(crate) fn bytes_sent(&self) -> usize {
        self.state.bytes_sent.load(Ordering::SeqCst)
    }
}

impl Drop for BadBackend {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Answers one request, then ends the connection.
async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let request = receive(&mut stream).await?;
    let answer = answer_to(&request, state);
    state.requests.lock().unwrap().push(request.clone());
    let json = "content-type: application/json\r\n";
    match answer {
        Answer::Good | Answer::Once(_) => send(&mut stream, 200, json, &good(&request, 1)).await,
        Answer::Many(series) => send(&mut stream, 200, json, &good(&request, series)).await,
        Answer::Status(status, headers, body) => {
            send(&mut stream, status, headers, body.as_bytes()).await
        }
        Answer::Cut => {
            let body = good(&request, 1);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body[..body.len() / 2]).await?;
            stream.shutdown().await
        }
        Answer::Hang => std::future::pending().await,
        Answer::Reset => Ok(()),
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 8_192]).await?;
                state.bytes_sent.fetch_add(8_192, Ordering::SeqCst);
            }
        }
        Answer::WrongGzip => {
            send(&mut stream, 200, "content-encoding: gzip\r\n", &good(&request, 1)).await
        }
        Answer::GzipBomb => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![b' '; 64 << 20]).unwrap();
            let body = encoder.finish().unwrap();
            send(&mut stream, 200, "content-encoding: gzip\r\n", &body).await
        }
    }
}

fn answer_to(request: &Request, state: &State) -> Answer {
    let query = request.form.get("query").map_or("", String::as_str);
    let mut answers = state.answers.lock().unwrap();
    let matching = answers.iter_mut().rev().find(|(part, _)| query.contains(part.as_str()));
    let (_, answer) = matching.unwrap();
    match answer.clone() {
        Answer::Once(first) => {
            *answer = Answer::Good;
            first.clone()
        }
        answer => answer,
    }
}

async fn receive(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut received = Vec::new();
    let end = loop {
        if let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    while received.len() < end + 4 + length {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let body = String::from_utf8(received.split_off(end + 4)).unwrap();
    let form = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(Request { line, headers, form })
}

async fn send(
    stream: &mut TcpStream,
    status: u16,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

/// What a good backend would say.
fn good(request: &Request, series: usize) -> Vec<u8> {
    let number = |name: &str| request.form.get(name).and_then(|text| text.parse::<f64>().ok());
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let (Some(start), Some(end), Some(step)) = (start, end, step) else {
        return br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#.to_vec();
    };
    let mut points = Vec::new();
    let mut at = start;
    while at <= end {
        points.push(format!("[{at},\"{at}\"]"));
        at += step;
    }
    let points = points.join(",");
    let mut body = br#"{"status":"success","data":{"resultType":"matrix","result":["#.to_vec();
    for n in 0..series {
        if 0 < n {
            body.push(b',');
        }
        write!(
            body,
            r#"{{"metric":{{"__name__":"lab_latency","service":"web","instance":"10.0.{}.{}:8080","job":"lab","zone":"europe-west-{}","path":"/api/v1/orders"}},"values":[{points}]}}"#,
            n / 256,
            n % 256,
            n % 3
        )
        .unwrap();
    }
    body.extend(b"]}}");
    body
}
