//! The way to a server: authorities of one's own, and proxies.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use formats::endpoint::Route;
use formats::protocol::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::answers::{NDJSON, last, line};
use crate::process::{agent, run, spec};
use crate::scripted::Scripted;

/// Passes connections on to a server until the test ends; what it was asked for is kept.
struct Relay {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What a relay does with a connection before it passes bytes on.
#[derive(Clone)]
enum Way {
    /// Takes TLS off.
    Tls(TlsAcceptor),
    /// Is an HTTP proxy.
    Proxy,
}

impl Relay {
    fn start(way: Way, server: SocketAddr) -> Self {
        let asked = Arc::default();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), asked: Arc::clone(&asked) };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (way, asked) = (way.clone(), Arc::clone(&asked));
                    tokio::spawn(async move {
                        match way {
                            Way::Tls(acceptor) => {
                                let Ok(mut client) = acceptor.accept(stream).await else { return };
                                let mut server = TcpStream::connect(server).await.unwrap();
                                let _ = copy_bidirectional(&mut client, &mut server).await;
                            }
                            Way::Proxy => proxy(stream, &asked).await,
                        }
                    });
                }
            });
        });
        relay
    }
}

/// One connection of an HTTP proxy.
async fn proxy(mut client: TcpStream, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap();
    asked.lock().unwrap().push(first.to_owned());
    let words: Vec<&str> = first.split(' ').collect();
    if words[0] == "CONNECT" {
        let mut server = TcpStream::connect(words[1]).await.unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    let address = words[1].strip_prefix("http://").expect("a whole address");
    let (host, path) = address.split_once('/').unwrap();
    let mut server = TcpStream::connect(host).await.unwrap();
    let head = format!("{} /{path} HTTP/1.1\r\n{rest}", words[0]);
    server.write_all(head.as_bytes()).await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// A server that answers every call.
fn server() -> Scripted {
    Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        reply.chunk(last(1));
        reply.end();
    })
}

fn address(server: &Scripted) -> SocketAddr {
    server.url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// TLS with a certificate of its own, which lies in the file.
fn tls(folder: &tempfile::TempDir) -> (Way, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    (Way::Tls(TlsAcceptor::from(Arc::new(config))), file)
}

#[test]
fn a_server_with_an_authority_of_its_own_is_trusted_by_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (way, file) = tls(&folder);
    let server = server();
    let relay = Relay::start(way, address(&server));
    let mut asked = agent(&format!("https://{}", relay.address));
    let untrusted = run(spec(vec![asked.clone()]));
    let call = untrusted.call();
    assert_eq!(call.outcome, Outcome::ConnectError, "{:?}", call.error);
    assert_eq!((call.connected_ns, call.sent_ns), (None, None));

    asked.route.ca_file = Some(file);
    let trusted = run(spec(vec![asked]));
    let call = trusted.call();
    assert_eq!(call.outcome, Outcome::Ok, "{:?}", call.error);
    assert!(call.start_ns < call.connected_ns.unwrap());
    assert!(call.connected_ns.unwrap() <= call.sent_ns.unwrap());
    assert!(call.sent_ns < call.headers_ns);
    assert_eq!(trusted.response("a", 0), "a");
}

#[test]
fn calls_go_through_the_proxy_that_an_endpoint_names() {
    let server = server();
    let relay = Relay::start(Way::Proxy, address(&server));
    let mut asked = agent(&server.url);
    asked.route = Route { proxy: Some(format!("http://{}", relay.address)), ..Route::default() };
    let finished = run(spec(vec![asked]));
    assert_eq!(finished.call().outcome, Outcome::Ok, "{:?}", finished.call().error);
    let expected = format!("POST {}/api/generate HTTP/1.1", server.url);
    assert_eq!(*relay.asked.lock().unwrap(), [expected]);
}

#[test]
fn a_proxy_passes_tls_on_without_looking_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let (way, file) = tls(&folder);
    let server = server();
    let secure = Relay::start(way, address(&server));
    let relay = Relay::start(Way::Proxy, address(&server));
    let mut asked = agent(&format!("https://{}", secure.address));
    asked.route = Route { ca_file: Some(file), proxy: Some(format!("http://{}", relay.address)) };
    let finished = run(spec(vec![asked]));
    assert_eq!(finished.call().outcome, Outcome::Ok, "{:?}", finished.call().error);
    let expected = format!("CONNECT {} HTTP/1.1", secure.address);
    assert_eq!(*relay.asked.lock().unwrap(), [expected]);
}

#[test]
fn a_route_that_cannot_be_taken_is_refused_before_the_first_call() {
    for (url, route) in [
        ("https://127.0.0.1:1", Route { ca_file: Some("/no/such.pem".into()), proxy: None }),
        ("http://127.0.0.1:1", Route { proxy: Some("socks5://x:1".into()), ca_file: None }),
    ] {
        let mut asked = agent(url);
        asked.route = route;
        let refused = run(spec(vec![asked]));
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.record.is_none());
    }
}
