//! Connections over a real listener, with a clock that stands still.

use axum::Router;

use super::*;
use crate::config::Settings;
use crate::environment::SimulatedClock;

async fn server(
    connections_max: usize,
    peer_share_pct: u8,
) -> (Arc<Server>, std::net::SocketAddr, SimulatedClock) {
    let mut settings = Settings::defaults().expect("settings").server;
    settings.peer_share_pct = peer_share_pct;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let clock = SimulatedClock::at(0);
    let router = Router::new().route("/", axum::routing::get(async || "hello"));
    let share = FileShare { connections: connections_max, turned_away: 128 };
    let server = Server::new(listener, router.into(), &settings, share, Arc::new(clock.clone()));
    let server = Arc::new(server);
    let accepting = Arc::clone(&server);
    tokio::task::spawn(async move { accepting.accept().await });
    (server, address, clock)
}

async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is open");
    let mut answer = vec![0; 4_096];
    let count = stream.read(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_the_others_are_served() {
    let (_server, address, _clock) = server(1, 100).await;
    let mut first = TcpStream::connect(address).await.expect("a connection");
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    let mut second = TcpStream::connect(address).await.expect("the system takes it");
    let refused = ask(&mut second).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains("\"code\":\"overloaded\""));
    assert_eq!(second.read(&mut [0; 8]).await.expect("the end"), 0, "it is closed");
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_address_gets_its_share_of_the_connections_and_another_the_rest() {
    let (server, address, _clock) = server(400, 1).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    let mut more = TcpStream::connect(address).await.expect("the system takes it");
    let refused = ask(&mut more).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("your address"), "{refused}");
    // All of 127/8 is this machine.
    let elsewhere = tokio::net::TcpSocket::new_v4().expect("a socket");
    elsewhere.bind("127.0.0.2:0".parse().expect("an address")).expect("it is ours");
    let mut other = elsewhere.connect(address).await.expect("a connection");
    assert!(ask(&mut other).await.starts_with("HTTP/1.1 200"));
    held.clear();
    while server.connections.len() > 1 {
        tokio::task::yield_now().await;
    }
    let mut again = TcpStream::connect(address).await.expect("a connection");
    assert!(ask(&mut again).await.starts_with("HTTP/1.1 200"), "its share is free again");
}

#[tokio::test]
async fn a_place_is_free_again_when_its_silent_holder_is_cut_off() {
    let (server, address, clock) = server(1, 100).await;
    let mut silent = TcpStream::connect(address).await.expect("a connection");
    while server.connections.is_empty() {
        tokio::task::yield_now().await;
    }
    clock.sleepers_reach(1).await;
    clock.advance(server.door.head_timeout);
    assert_eq!(silent.read(&mut [0; 8]).await.expect("the end"), 0, "it is closed");
    while !server.connections.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut next = TcpStream::connect(address).await.expect("a connection");
    assert!(ask(&mut next).await.starts_with("HTTP/1.1 200"));
}
