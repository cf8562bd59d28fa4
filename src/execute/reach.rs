//! Endpoints that go away while runs are made: they are noticed, waited for once, and then nothing is
//! tried that needs them until they answer again. What is not tried stays missing; the next exec makes
//! it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::{Cancel, ExecEvent, Limits};
use crate::manifest::study::Server;
use crate::plan::CellSpec;
use crate::server;

/// Attempts in a row that could not connect, after which an endpoint is looked at before the next run.
/// One may be a hiccup; the retries of a run count, so a policy of retries is carried out first.
const REFUSALS: u32 = 2;
/// Limit of one look.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks while it is waited for.
const PAUSE: Duration = Duration::from_millis(250);
/// A look that finds nobody is not repeated before this many times as long as it took: one that waits in
/// vain for an answer would otherwise cost every run that is left a second.
const REST: u32 = 20;

/// What is known of the endpoints that did not take a connection, by their names.
#[derive(Debug, Default)]
pub struct Reach(BTreeMap<String, Lost>);

#[derive(Debug, Default)]
struct Lost {
    /// Attempts in a row.
    refusals: u32,
    /// It was waited for in vain; not looked at again before this time.
    gone: Option<Instant>,
}

/// Whether a run can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    Yes,
    /// One of its endpoints is gone.
    No,
    /// The user wants to stop.
    Cancelled,
}

impl Reach {
    /// An attempt could not connect.
    pub fn note_refusal(&mut self, endpoint: &str) {
        self.0.entry(endpoint.to_owned()).or_default().refusals += 1;
    }

    /// A run of this cell was sealed.
    pub fn note_answers(&mut self, cell: &CellSpec) {
        for agent in cell.agents() {
            self.0.remove(&agent.endpoint_name);
        }
    }

    /// Looks at those endpoints of the cell that are in doubt.
    pub fn check(
        &mut self,
        cell: &CellSpec,
        limits: &Limits,
        cancel: &Cancel,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Reached {
        for agent in cell.agents() {
            // A paced endpoint is part of this program.
            let Some(server) = agent.endpoint.server() else { continue };
            let name = &agent.endpoint_name;
            let Some(lost) = self.0.get_mut(name) else { continue };
            if lost.refusals < REFUSALS {
                continue;
            }
            let reached = lost.look(name, server, limits.absence, cancel, emit);
            if reached != Reached::Yes {
                return reached;
            }
            // Whether it takes calls, the run will tell.
            self.0.remove(name);
        }
        Reached::Yes
    }
}

impl Lost {
    fn look(
        &mut self,
        name: &str,
        server: &Server,
        absence: Duration,
        cancel: &Cancel,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Reached {
        if self.gone.is_some_and(|next| Instant::now() < next) {
            return Reached::No;
        }
        let was_gone = self.gone.is_some();
        let began = Instant::now();
        let mut listens = server::listens(server, LOOK);
        let took = began.elapsed();
        let endpoint = || name.to_owned();
        if !listens && !was_gone && !absence.is_zero() {
            let message = format!(
                "endpoint `{name}` takes no connections any more; waiting {} s for it to come back",
                absence.as_secs()
            );
            emit(ExecEvent::Note { message });
            while !listens && began.elapsed() < absence {
                if cancel.is_asked() {
                    return Reached::Cancelled;
                }
                thread::sleep(PAUSE);
                listens = server::listens(server, LOOK);
            }
        }
        if listens {
            emit(ExecEvent::EndpointBack { endpoint: endpoint() });
            return Reached::Yes;
        }
        self.gone = Some(Instant::now() + took * REST);
        if !was_gone {
            emit(ExecEvent::EndpointGone { endpoint: endpoint(), url: server.url.clone() });
        }
        Reached::No
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::manifest::study::Api;

    #[test]
    fn one_that_is_gone_is_said_once_and_one_that_is_back_too() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let server = Server::at(Api::Ollama, format!("http://{address}"));
        let mut lost = Lost::default();
        let mut said = Vec::new();
        let mut look = |absence| {
            // As if the rest after the last look were over.
            lost.gone = lost.gone.map(|_| Instant::now());
            let mut words = 0;
            let cancel = Cancel::default();
            let reached =
                lost.look("a", &server, Duration::from_millis(absence), &cancel, &mut |event| {
                    words += 1;
                    said.push(event);
                });
            (reached, words)
        };
        assert_eq!(look(300), (Reached::No, 2), "that it waits, and that it waited in vain");
        assert_eq!(look(60_000), (Reached::No, 0), "it is waited for once");
        let back = TcpListener::bind(address).unwrap();
        assert_eq!(look(0), (Reached::Yes, 1));
        drop(back);
        assert!(matches!(said[1], ExecEvent::EndpointGone { .. }), "{said:?}");
        assert!(matches!(said[2], ExecEvent::EndpointBack { .. }), "{said:?}");
    }

    #[test]
    fn a_look_that_took_long_is_not_repeated_at_once() {
        let gone = Some(Instant::now() + Duration::from_secs(60));
        let mut lost = Lost { refusals: REFUSALS, gone };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::at(Api::Ollama, url);
        let cancel = Cancel::default();
        let reached = lost.look("a", &server, Duration::ZERO, &cancel, &mut |_| {});
        assert_eq!(reached, Reached::No);
    }
}
