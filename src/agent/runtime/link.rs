//! An agent's connection to its server, kept from call to call while the server keeps it too.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::stream::End;
use crate::agent::protocol::Outcome;
use crate::endpoint::{Connection, ConnectionError, Meter, Target};

/// Where requests go, and the connection that the last one left open.
#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    read_buffer: usize,
    connection: Option<Connection>,
}

impl Link {
    pub(super) fn new(target: Target, read_buffer: usize) -> Self {
        Self { target, read_buffer, connection: None }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Meter of the connection in use.
    pub(super) fn meter(&self) -> Option<&Meter> {
        self.connection.as_ref().map(Connection::meter)
    }

    pub(super) fn close(&mut self) {
        self.connection = None;
    }

    /// Lets go of a kept connection that the server has closed.
    pub(super) async fn prepare(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.meter().reset();
            if !connection.is_reusable().await {
                self.connection = None;
            }
        }
    }

    /// Sends a request over the kept connection or a new one and waits for the answer's head.
    pub(super) async fn respond(
        &mut self,
        request: &Request<Full<Bytes>>,
    ) -> Result<(&mut Connection, Response<Incoming>), End> {
        if let Some(mut connection) = self.connection.take() {
            match connection.send(request.clone()).await {
                Ok(response) => return Ok((self.connection.insert(connection), response)),
                // The server closed it at this very moment, before the request was written. One that
                // was written is never sent again: the server may have begun to work on it.
                Err(error) if error.is_canceled() => {}
                Err(error) => return Err(before_answer(&error.into())),
            }
        }
        let opened = Connection::open(&self.target, self.read_buffer).await;
        let connection = self.connection.insert(opened.map_err(|error| before_answer(&error))?);
        let response = connection.send(request.clone()).await;
        response
            .map(|response| (connection, response))
            .map_err(|error| before_answer(&error.into()))
    }
}

fn before_answer(error: &ConnectionError) -> End {
    let outcome = match error {
        ConnectionError::Http(error) if error.is_parse() => Outcome::Malformed,
        _ => Outcome::ConnectError,
    };
    End::failed(outcome, error.to_string())
}
