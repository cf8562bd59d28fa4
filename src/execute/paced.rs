//! The paced endpoints of one run: started for it on free ports, so that every run meets the same
//! schedule from its beginning. They stay over the run's attempts, as a real server would.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use formats::sends::SENDS_FILE;
use simulator::{Server, SimulatorError};

use crate::manifest::study::{Endpoint, Pacing};
use crate::os::files;
use crate::plan::CellSpec;

/// Running paced endpoints by endpoint name; they end when dropped.
#[derive(Debug)]
pub struct PacedServers {
    servers: BTreeMap<String, Server>,
}

impl PacedServers {
    /// Those that the cell's agents call; none for a cell that calls real servers.
    pub fn start(cell: &CellSpec) -> Result<Self, SimulatorError> {
        let mut paced = Self { servers: BTreeMap::new() };
        for agent in cell.agents() {
            if let Endpoint::Paced(pacing) = &agent.endpoint
                && !paced.servers.contains_key(&agent.endpoint_name)
            {
                paced.add(&agent.endpoint_name, pacing.clone())?;
            }
        }
        Ok(paced)
    }

    fn add(&mut self, name: &str, pacing: Pacing) -> Result<(), SimulatorError> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.servers.insert(name.to_owned(), Server::start(pacing, any_port)?);
        Ok(())
    }

    /// Where they are, by endpoint name.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<String, formats::endpoint::Server> {
        let address = |(name, server): (&String, &Server)| (name.clone(), server.endpoint());
        self.servers.iter().map(address).collect()
    }

    /// Writes the log of all sends to this run into the folder; no file if no endpoint is paced.
    pub fn write_sends(&self, run: &str, folder: &Path) -> Result<(), csv::Error> {
        if self.servers.is_empty() {
            return Ok(());
        }
        let prefix = format!("{run}/");
        let mut sends: Vec<_> =
            self.servers.values().flat_map(|server| server.take_sends(&prefix)).collect();
        sends.sort_by_key(|send| send.time_ns);
        let mut writer = csv::Writer::from_writer(files::create(&folder.join(SENDS_FILE))?);
        for send in sends {
            writer.serialize(send)?;
        }
        writer.flush()?;
        Ok(())
    }
}
