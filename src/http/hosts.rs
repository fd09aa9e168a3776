//! Which names this engine may be called by. A page can have its own name point at this machine (DNS rebinding): to the
//! visitor's browser the engine is then that page's own server, and commands come as from the same site. What gives it away
//! is the name in the request, which is the page's.
//!
//! Always holds: a request with no host, or with two, is answered 400; one for a host that is not ours 421; nothing is
//! done for either. Absent: ports (a rebound name brings any), and who is trusted behind an allowed name.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{Request, Version, header};

use super::problem::{Code, Problem};

/// Paths of health probes, which tell nothing and are asked by whatever name, also without one by probes of HTTP/1.0.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// Characters of a host that a refusal repeats.
const SHOWN_CHARS_MAX: usize = 100;

/// The hosts that are ours.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// Somebody in front looks at them.
    any: bool,
    /// Every address is: this machine's own are not known one by one. A page is never called by an address, so
    /// addresses are no way to rebind.
    any_address: bool,
    addresses: BTreeSet<IpAddr>,
    /// In small letters.
    names: BTreeSet<String>,
    /// Endings of names, each with its dot in front.
    below: Vec<String>,
}

impl Hosts {
    /// Of an engine that listens there, is reached by others at `advertised`, runs on a machine of this name, and may be
    /// called by what is configured (`server.hosts`) beside that.
    pub fn new(
        listens: SocketAddr,
        advertised: &str,
        machine: Option<&str>,
        configured: &str,
    ) -> Self {
        let mut hosts = Self { any_address: listens.ip().is_unspecified(), ..Self::default() };
        hosts.addresses.insert(listens.ip().to_canonical());
        if !listens.ip().is_loopback() {
            hosts.add(machine.unwrap_or_default());
        }
        hosts.add(advertised);
        for entry in configured.split(',') {
            hosts.add(entry);
        }
        hosts
    }

    /// A name, an address, `*.below.a.name`, or `*`; with or without a port.
    fn add(&mut self, entry: &str) {
        let entry = entry.trim();
        if entry == "*" {
            self.any = true;
        } else if let Some(below) = entry.strip_prefix("*.") {
            self.below.push(format!(".{}", below.to_ascii_lowercase()));
        } else if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            self.addresses.insert(address.to_canonical());
        } else if let Some(ExpectedHost::Address(address)) = ExpectedHost::read(entry) {
            self.addresses.insert(address);
        } else if let Some(ExpectedHost::Name(name)) = ExpectedHost::read(entry) {
            self.names.insert(name);
        }
    }

    /// Whether a request is for us.
    ///
    /// # Errors
    /// `invalid_host` without one host, `host_not_served` for another than ours.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let mut given = request.headers().get_all(header::HOST).iter();
        let (first, second) = (given.next(), given.next());
        if second.is_some() {
            return Err(invalid("is given more than once"));
        }
        let is_probe = PROBES.contains(&request.uri().path());
        let named = match (request.uri().authority(), first) {
            (None, None) if is_probe && request.version() <= Version::HTTP_10 => return Ok(()),
            (None, None) => return Err(invalid("is missing")),
            (Some(authority), None) => authority.as_str(),
            (authority, Some(host)) => {
                let host = host.to_str().map_err(|_| invalid("is no host"))?;
                if authority.is_some_and(|asked| !asked.as_str().eq_ignore_ascii_case(host)) {
                    return Err(invalid("is another host than the one in the request's target"));
                }
                host
            }
        };
        let Some(host) = ExpectedHost::read(named) else { return Err(invalid("is no host")) };
        if is_probe || self.any || self.is_ours(&host) {
            return Ok(());
        }
        let shown: String = named.chars().take(SHOWN_CHARS_MAX).collect();
        let detail = format!(
            "this engine is not called {shown}; whoever runs it allows a name with server.hosts"
        );
        Err(Problem::new(Code::HostNotServed, detail))
    }

    fn is_ours(&self, host: &ExpectedHost) -> bool {
        match host {
            ExpectedHost::Address(address) => {
                address.is_loopback() || self.any_address || self.addresses.contains(address)
            }
            ExpectedHost::Name(name) => {
                name == "localhost"
                    || name.ends_with(".localhost")
                    || self.names.contains(name)
                    || self.below.iter().any(|below| name.ends_with(below.as_str()))
            }
        }
    }
}

/// What stands in front of the port.
enum ExpectedHost {
    Address(IpAddr),
    /// In small letters, without the dot that may end it.
    Name(String),
}

impl ExpectedHost {
    fn read(text: &str) -> Option<Self> {
        let authority: Authority = text.parse().ok().filter(|_| !text.contains('@'))?;
        let host = authority.host();
        if !matches!(&text[host.len()..], "" | ":") && authority.port_u16().is_none() {
            return None;
        }
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
        (!name.is_empty() && bare.len() == host.len()).then_some(Self::Name(name))
    }
}

fn invalid(what: &str) -> Problem {
    Problem::field("Host", "invalid_host", what).with_code(Code::InvalidHost)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn at(listens: &str, configured: &str) -> Hosts {
        let listens = listens.parse().expect("an address");
        Hosts::new(listens, "engine-a:8080", Some("Machine7"), configured)
    }

    fn asked(path: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().expect("a target");
        for host in hosts {
            let value = host.parse().expect("a value");
            request.headers_mut().append(header::HOST, value);
        }
        request
    }

    fn code(hosts: &Hosts, request: &Request<()>) -> Option<Code> {
        hosts.check(request).err().map(|problem| problem.code())
    }

    fn takes(hosts: &Hosts, host: &str) -> bool {
        code(hosts, &asked("/api/v1/jobs", &[host])).is_none()
    }

    #[test]
    fn a_loopback_engine_is_called_by_loopback_names_its_own_and_what_is_configured() {
        let hosts = at("127.0.0.1:8080", "orrery.example:443, *.svc.local ,10.1.1.1");
        for ours in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "a.localhost",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8080",
            "engine-a",
            "Orrery.Example",
            "orrery.example:80",
            "a.b.svc.local",
            "10.1.1.1:7",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(takes(&hosts, ours), "{ours}");
        }
        for other in [
            "attacker.example",
            "attacker.example:8080",
            "localhost.attacker.example",
            "svc.local",
            "evil-orrery.example",
            "10.1.1.2",
            "machine7",
            "0.0.0.0",
            "127.0.0.1.attacker.example",
            "notlocalhost",
        ] {
            let asked = asked("/api/v1/jobs", &[other]);
            assert_eq!(code(&hosts, &asked), Some(Code::HostNotServed), "{other}");
        }
    }

    #[test]
    fn an_engine_that_listens_everywhere_is_called_by_any_address_and_its_machines_name() {
        let hosts = at("0.0.0.0:8080", "");
        for ours in ["10.4.5.6:8080", "[2001:db8::7]", "machine7:8080", "localhost:8080"] {
            assert!(takes(&hosts, ours), "{ours}");
        }
        assert!(!takes(&hosts, "attacker.example"));
        assert!(takes(&at("127.0.0.1:8080", "*"), "attacker.example"), "somebody else looks");
        let one = at("10.0.0.7:8080", "");
        assert!(takes(&one, "10.0.0.7") && !takes(&one, "10.0.0.8"));
    }

    #[test]
    fn there_is_exactly_one_host() {
        let hosts = at("127.0.0.1:8080", "");
        let twice = ["localhost", "localhost"];
        for (path, given) in [
            ("/api/v1/jobs", &[][..]),
            ("/api/v1/jobs", &twice),
            ("/livez", &twice),
            ("/livez", &[]),
            ("/api/v1/jobs", &[""]),
            ("/api/v1/jobs", &["a@localhost"]),
            ("/api/v1/jobs", &["localhost/x"]),
            ("/api/v1/jobs", &["[localhost]"]),
            ("/api/v1/jobs", &["localhost:port"]),
            ("http://localhost/api/v1/jobs", &["127.0.0.1"]),
        ] {
            let asked = asked(path, given);
            assert_eq!(code(&hosts, &asked), Some(Code::InvalidHost), "{path} {given:?}");
        }
        let target = asked("http://localhost:8080/api/v1/jobs", &[]);
        assert_eq!(code(&hosts, &target), None, "as HTTP/2 says it");
        let rebound = asked("http://attacker.example/api/v1/jobs", &[]);
        assert_eq!(code(&hosts, &rebound), Some(Code::HostNotServed));
    }

    #[test]
    fn probes_are_answered_by_whatever_name() {
        let hosts = at("127.0.0.1:8080", "");
        assert_eq!(code(&hosts, &asked("/livez", &["lb.example"])), None);
        assert_eq!(code(&hosts, &asked("/metrics", &["lb.example"])), Some(Code::HostNotServed));
        let mut old = asked("/readyz", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(code(&hosts, &old), None);
    }
}
