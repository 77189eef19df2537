//! A simulated machine in a library: objects, interfaces, links, packets, events, and tests of programs.

pub mod arguments;
pub mod context;
mod error;
mod host;
pub mod maps;
pub mod object;
pub mod packet;
pub mod test;
pub mod text;
pub mod topology;

pub use error::Error;
pub use host::{
    Arrival, Chain, End, Event, Fate, Handler, Hook, Hop, Host, IfIndex, Interface, ObjectId,
    Socket,
};
