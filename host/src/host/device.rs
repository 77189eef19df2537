//! Interfaces and the links between them.

use std::collections::VecDeque;

use skep_sim::{Packet, ProgId};
use skep_spec::ProgType;

use super::Host;
use crate::Error;

/// The index of an interface, from 1 as in kernels, where 1 is the loopback device; ours begin at 2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IfIndex(pub u32);

/// Index of the first interface.
const FIRST: u32 = 2;
/// Interfaces of a machine at most.
const MOST: usize = 4096;

/// Which of an interface's traffic control chains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chain {
    /// What arrives, behind XDP.
    Ingress,
    /// What leaves.
    Egress,
}

/// An interface.
#[derive(Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// The interface at the other end of its link.
    pub(super) peer: Option<IfIndex>,
    pub(super) xdp: Option<ProgId>,
    pub(super) ingress: Vec<ProgId>,
    pub(super) egress: Vec<ProgId>,
    /// Packets for the machine itself.
    pub(super) received: VecDeque<Packet>,
    /// Packets that left through an interface without a link.
    pub(super) sent: VecDeque<Packet>,
}

impl Interface {
    /// Takes these programs off.
    pub(super) fn forget(&mut self, programs: &[ProgId]) {
        self.xdp = self.xdp.filter(|p| !programs.contains(p));
        self.ingress.retain(|p| !programs.contains(p));
        self.egress.retain(|p| !programs.contains(p));
    }
}

impl Host {
    /// Makes an interface; its address is 02:00:00:00 and its index.
    ///
    /// # Errors
    /// The name is taken or empty, or there are too many.
    pub fn add_interface(&mut self, name: &str) -> Result<IfIndex, Error> {
        if name.is_empty() || self.interface(name).is_some() {
            return Err(Error::new(format!(
                "there is an interface `{name}` already"
            )));
        }
        if self.interfaces.len() >= MOST {
            return Err(Error::new(format!(
                "a machine has at most {MOST} interfaces"
            )));
        }
        let index = FIRST + self.interfaces.len() as u32;
        let [a, b] = (index as u16).to_be_bytes();
        self.interfaces.push(Interface {
            name: name.to_owned(),
            mac: [2, 0, 0, 0, a, b],
            peer: None,
            xdp: None,
            ingress: Vec::new(),
            egress: Vec::new(),
            received: VecDeque::new(),
            sent: VecDeque::new(),
        });
        Ok(IfIndex(index))
    }

    /// The interface of that name.
    pub fn interface(&self, name: &str) -> Option<IfIndex> {
        let at = self.interfaces.iter().position(|i| i.name == name)?;
        Some(IfIndex(FIRST + at as u32))
    }

    /// The interface of that index.
    ///
    /// # Errors
    /// There is none.
    pub fn device(&self, index: IfIndex) -> Result<&Interface, Error> {
        self.try_device(index.0).ok_or_else(|| none(index))
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// There is none.
    pub fn device_mut(&mut self, index: IfIndex) -> Result<&mut Interface, Error> {
        let at = index.0.checked_sub(FIRST).map(|at| at as usize);
        at.and_then(|at| self.interfaces.get_mut(at))
            .ok_or_else(|| none(index))
    }

    pub(super) fn try_device(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(index.checked_sub(FIRST)? as usize)
    }

    /// Joins two interfaces: what leaves through one arrives at the other.
    ///
    /// # Errors
    /// One does not exist or is joined already, or they are the same.
    pub fn link(&mut self, a: IfIndex, b: IfIndex) -> Result<(), Error> {
        if a == b {
            return Err(Error::new("an interface cannot be linked to itself"));
        }
        for index in [a, b] {
            let device = self.device(index)?;
            if device.peer.is_some() {
                return Err(Error::new(format!("{} is linked already", device.name)));
            }
        }
        self.device_mut(a)?.peer = Some(b);
        self.device_mut(b)?.peer = Some(a);
        Ok(())
    }

    /// Binds an XDP program to an interface, in the place of the one that is there.
    ///
    /// # Errors
    /// No such interface, or a program of another type.
    pub fn attach_xdp(&mut self, index: IfIndex, prog: ProgId) -> Result<(), Error> {
        self.check_type(prog, &[ProgType::Xdp])?;
        self.device_mut(index)?.xdp = Some(prog);
        Ok(())
    }

    /// Takes the XDP program off an interface.
    ///
    /// # Errors
    /// No such interface.
    pub fn detach_xdp(&mut self, index: IfIndex) -> Result<(), Error> {
        self.device_mut(index)?.xdp = None;
        Ok(())
    }

    /// Binds a traffic control program to an interface, behind those that are there.
    ///
    /// # Errors
    /// No such interface, or a program of another type.
    pub fn attach_tc(&mut self, index: IfIndex, chain: Chain, prog: ProgId) -> Result<(), Error> {
        self.check_type(prog, &[ProgType::SchedCls, ProgType::SchedAct])?;
        let device = self.device_mut(index)?;
        match chain {
            Chain::Ingress => device.ingress.push(prog),
            Chain::Egress => device.egress.push(prog),
        }
        Ok(())
    }

    /// Takes a program off an interface, wherever it is bound.
    ///
    /// # Errors
    /// No such interface.
    pub fn detach(&mut self, index: IfIndex, prog: ProgId) -> Result<(), Error> {
        self.device_mut(index)?.forget(&[prog]);
        Ok(())
    }

    fn check_type(&self, prog: ProgId, types: &[ProgType]) -> Result<(), Error> {
        let program = self.machine.programs().get(prog.0 as usize);
        let program = program.ok_or_else(|| Error::new("there is no such program"))?;
        if types.contains(&program.ty()) {
            return Ok(());
        }
        let wanted: Vec<_> = types.iter().map(|t| t.name()).collect();
        Err(Error::new(format!(
            "{} is of type {}, not {}",
            program.name(),
            program.ty(),
            wanted.join(" or ")
        )))
    }

    /// Takes the next packet that arrived for the machine itself at an interface.
    pub fn receive(&mut self, index: IfIndex) -> Option<Vec<u8>> {
        let packet = self.device_mut(index).ok()?.received.pop_front()?;
        Some(packet.data)
    }

    /// Takes the next packet that left through an interface without a link.
    pub fn take_sent(&mut self, index: IfIndex) -> Option<Vec<u8>> {
        let packet = self.device_mut(index).ok()?.sent.pop_front()?;
        Some(packet.data)
    }
}

fn none(index: IfIndex) -> Error {
    Error::new(format!("there is no interface with index {}", index.0))
}
