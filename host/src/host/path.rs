//! The way of a packet: XDP, traffic control at ingress, the machine itself; traffic control at egress,
//! the link, and XDP at its other end.
//!
//! XDP comes first and sees the frame as it was on the wire. What it passes gets a socket buffer: its
//! outermost VLAN tag moves beside the packet, XDP's metadata stays in front of it. `XDP_TX` and
//! redirected frames leave without traffic control; redirected socket buffers pass the egress chain of
//! their device. Programs of devmap and cpumap entries run where their packets go.

use std::collections::VecDeque;

use skep_interp::Nobody;
use skep_sim::{Packet, Place, ProgId, Redirect, VlanTag};
use skep_spec::{AttachType, ProgType};

use super::target::Target;
use super::{Chain, Host, IfIndex, MOST_HOPS};
use crate::Error;
use crate::text::names;

/// Where a program met a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    /// XDP of an interface.
    Xdp,
    /// The program of a devmap's entry.
    Devmap,
    /// The program of a cpumap's entry.
    Cpumap,
    /// Traffic control at ingress.
    TcIngress,
    /// Traffic control at egress.
    TcEgress,
}

impl Hook {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Xdp => "xdp",
            Hook::Devmap => "xdp devmap",
            Hook::Cpumap => "xdp cpumap",
            Hook::TcIngress => "tc ingress",
            Hook::TcEgress => "tc egress",
        }
    }
}

/// One program's say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// The interface.
    pub ifindex: IfIndex,
    /// The hook.
    pub hook: Hook,
    /// The program.
    pub prog: ProgId,
    /// What it returned.
    pub retval: u32,
    /// That value's name.
    pub verdict: String,
    /// Instructions that it executed.
    pub insns: u64,
}

/// Where a packet, or a copy of it, came to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// The machine itself received it at that interface.
    Received {
        /// The interface.
        ifindex: IfIndex,
    },
    /// It left through an interface without a link.
    Sent {
        /// The interface.
        ifindex: IfIndex,
    },
    /// An AF_XDP socket got it.
    Socket {
        /// The map.
        map: skep_sim::MapId,
        /// The place in it.
        index: u32,
    },
    /// A program dropped or kept it, or nobody took it.
    Dropped {
        /// The interface at which it was.
        ifindex: IfIndex,
        /// Why: the verdict, or what was missing.
        why: String,
    },
}

/// An end, and the packet at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The end.
    pub end: End,
    /// The packet as it was then.
    pub packet: Packet,
}

/// What became of a packet that was put in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fate {
    /// The programs that it met, in order.
    pub hops: Vec<Hop>,
    /// The ends of the packet and of its copies, in order.
    pub ends: Vec<Arrival>,
}

/// What is left to do with a packet.
enum Step {
    /// It arrives from the wire.
    Arrive,
    /// It has passed XDP.
    Ingress,
    /// It is to leave, by way of the egress chain.
    Egress,
    /// It leaves.
    Transmit,
    /// It leaves for one of a map's entries.
    Go(Target),
}

struct Work {
    step: Step,
    ifindex: u32,
    /// Where it came in; 0 if here.
    ingress: u32,
    queue: u32,
    packet: Packet,
}

/// Verdicts of XDP.
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;
/// Verdicts of traffic control.
const TC_NEXT: i32 = -1;
const TC_OK: i32 = 0;
const TC_RECLASSIFY: i32 = 1;
const TC_PIPE: i32 = 3;
const TC_REDIRECT: i32 = 7;
/// `BPF_F_INGRESS`.
const TO_INGRESS: u64 = 1;

impl Host {
    /// Lets a packet arrive at an interface, from the Ethernet header on, and follows it and its copies
    /// to their ends. Handlers of events have run when it returns.
    ///
    /// # Errors
    /// No such interface, or a program that a trap ended.
    pub fn inject(&mut self, ifindex: IfIndex, data: &[u8]) -> Result<Fate, Error> {
        self.inject_at(ifindex, 0, data)
    }

    /// The same at a queue of the interface.
    ///
    /// # Errors
    /// As [`Host::inject`].
    pub fn inject_at(&mut self, ifindex: IfIndex, queue: u32, data: &[u8]) -> Result<Fate, Error> {
        self.device(ifindex)?;
        self.follow(Work {
            step: Step::Arrive,
            ifindex: ifindex.0,
            ingress: ifindex.0,
            queue,
            packet: Packet::new(data.to_vec()),
        })
    }

    /// Sends a packet of the machine's own through an interface: traffic control at egress, then the wire.
    ///
    /// # Errors
    /// As [`Host::inject`].
    pub fn send(&mut self, ifindex: IfIndex, data: &[u8]) -> Result<Fate, Error> {
        self.device(ifindex)?;
        self.follow(Work {
            step: Step::Egress,
            ifindex: ifindex.0,
            ingress: 0,
            queue: 0,
            packet: Packet::new(data.to_vec()),
        })
    }

    fn follow(&mut self, first: Work) -> Result<Fate, Error> {
        let mut fate = Fate::default();
        let mut work = VecDeque::from([first]);
        let mut steps = 0;
        while let Some(next) = work.pop_front() {
            steps += 1;
            if steps > MOST_HOPS {
                return Err(Error::new(format!(
                    "the packet is still on its way after {MOST_HOPS} hops"
                ))
                .help("interfaces that send packets back and forth make a loop"));
            }
            match next.step {
                Step::Arrive => self.arrive(next, &mut work, &mut fate)?,
                Step::Ingress => self.classify(next, Chain::Ingress, &mut work, &mut fate)?,
                Step::Egress => self.classify(next, Chain::Egress, &mut work, &mut fate)?,
                Step::Transmit => self.transmit(next, &mut work, &mut fate),
                Step::Go(target) => self.go(target, next, &mut work, &mut fate)?,
            }
        }
        self.dispatch();
        Ok(fate)
    }

    fn arrive(
        &mut self,
        mut at: Work,
        work: &mut VecDeque<Work>,
        fate: &mut Fate,
    ) -> Result<(), Error> {
        let Some(prog) = self.try_device(at.ifindex).and_then(|d| d.xdp) else {
            work.push_back(Work {
                step: Step::Ingress,
                ..at
            });
            return Ok(());
        };
        let (retval, redirect) = self.run(prog, Hook::Xdp, &mut at, fate)?;
        self.after_xdp(retval, redirect, at, work, fate);
        Ok(())
    }

    /// What becomes of a packet that an XDP program has judged.
    fn after_xdp(
        &mut self,
        retval: u32,
        redirect: Option<Redirect>,
        at: Work,
        work: &mut VecDeque<Work>,
        fate: &mut Fate,
    ) {
        match (retval, redirect) {
            (XDP_PASS, _) => work.push_back(Work {
                step: Step::Ingress,
                ..at
            }),
            (XDP_TX, _) => work.push_back(Work {
                step: Step::Transmit,
                ..at
            }),
            (XDP_REDIRECT, Some(Redirect::Device { ifindex, .. })) => {
                let target = Target::Device {
                    ifindex,
                    prog: None,
                };
                work.push_back(Work {
                    step: Step::Go(target),
                    ..at
                });
            }
            (XDP_REDIRECT, Some(Redirect::Map { map, index, flags })) => {
                let targets = self.targets(map, index, flags, at.ingress);
                if targets.is_empty() {
                    drop_it(fate, at, "redirected to no entry of the map".to_owned());
                    return;
                }
                for target in targets {
                    work.push_back(Work {
                        step: Step::Go(target),
                        packet: at.packet.clone(),
                        ..at
                    });
                }
            }
            (XDP_REDIRECT, _) => drop_it(fate, at, "redirected to nowhere".to_owned()),
            (verdict, _) => drop_it(fate, at, names::verdict(ProgType::Xdp, verdict)),
        }
    }

    /// A redirected frame at its target.
    fn go(
        &mut self,
        target: Target,
        mut at: Work,
        work: &mut VecDeque<Work>,
        fate: &mut Fate,
    ) -> Result<(), Error> {
        match target {
            Target::Socket { map, index } => {
                let packet = at.packet.clone();
                if self.queue_frame(map, index, &packet.data) {
                    let end = End::Socket { map, index };
                    fate.ends.push(Arrival { end, packet });
                } else {
                    drop_it(fate, at, "the socket's ring is full".to_owned());
                }
            }
            Target::Device { ifindex, prog } => {
                if self.try_device(ifindex).is_none() {
                    drop_it(
                        fate,
                        at,
                        format!("redirected to device {ifindex}, which does not exist"),
                    );
                    return Ok(());
                }
                at.ifindex = ifindex;
                match prog {
                    None => work.push_back(Work {
                        step: Step::Transmit,
                        ..at
                    }),
                    Some(prog) => match self.run(prog, Hook::Devmap, &mut at, fate)?.0 {
                        XDP_PASS => work.push_back(Work {
                            step: Step::Transmit,
                            ..at
                        }),
                        verdict => drop_it(fate, at, names::verdict(ProgType::Xdp, verdict)),
                    },
                }
            }
            Target::Cpu { cpu, prog } => {
                let before = std::mem::replace(&mut self.sim.cpu, cpu);
                let judged = match prog {
                    Some(prog) => self.run(prog, Hook::Cpumap, &mut at, fate),
                    None => Ok((XDP_PASS, None)),
                };
                self.sim.cpu = before;
                let (retval, redirect) = judged?;
                self.after_xdp(retval, redirect, at, work, fate);
            }
        }
        Ok(())
    }

    /// A chain of traffic control programs.
    fn classify(
        &mut self,
        mut at: Work,
        chain: Chain,
        work: &mut VecDeque<Work>,
        fate: &mut Fate,
    ) -> Result<(), Error> {
        let Some(device) = self.try_device(at.ifindex) else {
            drop_it(fate, at, "the device does not exist".to_owned());
            return Ok(());
        };
        let (hook, programs) = match chain {
            Chain::Ingress => (Hook::TcIngress, device.ingress.clone()),
            Chain::Egress => (Hook::TcEgress, device.egress.clone()),
        };
        if chain == Chain::Ingress {
            take_tag(&mut at.packet);
        }
        for prog in programs {
            let (retval, redirect) = self.run(prog, hook, &mut at, fate)?;
            self.send_copies(&at, work);
            match retval.cast_signed() {
                TC_NEXT | TC_PIPE => {}
                TC_OK | TC_RECLASSIFY => break,
                TC_REDIRECT => {
                    self.redirect_buffer(redirect, at, work, fate);
                    return Ok(());
                }
                _ => {
                    drop_it(fate, at, names::verdict(ProgType::SchedCls, retval));
                    return Ok(());
                }
            }
        }
        match chain {
            Chain::Egress => work.push_back(Work {
                step: Step::Transmit,
                ..at
            }),
            Chain::Ingress => {
                let ifindex = IfIndex(at.ifindex);
                if let Ok(device) = self.device_mut(ifindex) {
                    device.received.push_back(at.packet.clone());
                }
                let end = End::Received { ifindex };
                fate.ends.push(Arrival {
                    end,
                    packet: at.packet,
                });
            }
        }
        Ok(())
    }

    /// Copies that a program sent elsewhere.
    fn send_copies(&mut self, at: &Work, work: &mut VecDeque<Work>) {
        for copy in self.sim.take_clones() {
            let step = if copy.flags & TO_INGRESS != 0 {
                Step::Ingress
            } else {
                Step::Egress
            };
            let mut packet = at.packet.clone();
            packet.data = copy.data;
            work.push_back(Work {
                step,
                ifindex: copy.ifindex,
                packet,
                ..*at
            });
        }
    }

    /// A redirected socket buffer.
    fn redirect_buffer(
        &mut self,
        redirect: Option<Redirect>,
        at: Work,
        work: &mut VecDeque<Work>,
        fate: &mut Fate,
    ) {
        let (ifindex, step) = match redirect {
            Some(Redirect::Device { ifindex, flags }) if flags & TO_INGRESS != 0 => {
                (ifindex, Step::Ingress)
            }
            Some(Redirect::Device { ifindex, .. } | Redirect::Neighbour { ifindex }) => {
                (ifindex, Step::Egress)
            }
            Some(Redirect::Peer { ifindex }) => {
                let peer = self.try_device(ifindex).and_then(|d| d.peer);
                (peer.map_or(0, |p| p.0), Step::Ingress)
            }
            Some(Redirect::Map { .. }) | None => (0, Step::Egress),
        };
        if self.try_device(ifindex).is_none() {
            drop_it(
                fate,
                at,
                format!("redirected to device {ifindex}, which does not exist"),
            );
            return;
        }
        work.push_back(Work {
            step,
            ifindex,
            ..at
        });
    }

    /// A packet on its way out.
    fn transmit(&mut self, mut at: Work, work: &mut VecDeque<Work>, fate: &mut Fate) {
        put_tag(&mut at.packet);
        at.packet.forget();
        let ifindex = IfIndex(at.ifindex);
        let Ok(device) = self.device_mut(ifindex) else {
            drop_it(fate, at, "the device does not exist".to_owned());
            return;
        };
        match device.peer {
            Some(peer) => work.push_back(Work {
                step: Step::Arrive,
                ifindex: peer.0,
                ingress: peer.0,
                queue: 0,
                packet: at.packet,
            }),
            None => {
                device.sent.push_back(at.packet.clone());
                let end = End::Sent { ifindex };
                fate.ends.push(Arrival {
                    end,
                    packet: at.packet,
                });
            }
        }
    }

    /// Runs a program on the packet: its result, and where it wants the packet to go.
    fn run(
        &mut self,
        prog: ProgId,
        hook: Hook,
        at: &mut Work,
        fate: &mut Fate,
    ) -> Result<(u32, Option<Redirect>), Error> {
        let name = self.program_name(prog).to_owned();
        let program = self.machine.programs().get(prog.0 as usize);
        let Some(ty) = program.map(skep_interp::Program::ty) else {
            return Err(Error::new("there is no such program"));
        };
        let attach = match hook {
            Hook::Xdp => AttachType::Xdp,
            Hook::Devmap => AttachType::XdpDevmap,
            Hook::Cpumap => AttachType::XdpCpumap,
            Hook::TcIngress | Hook::TcEgress => {
                program.map_or(AttachType::TcxIngress, skep_interp::Program::attach)
            }
        };
        let place = Place {
            ifindex: at.ifindex,
            ingress_ifindex: at.ingress,
            egress_ifindex: if hook == Hook::Devmap { at.ifindex } else { 0 },
            rx_queue: at.queue,
            is_egress: hook == Hook::TcEgress,
            mac: self.try_device(at.ifindex).map_or([0; 6], |d| d.mac),
        };
        let ctx = self
            .sim
            .begin_at_device(ty, attach, &at.packet, &place)
            .map_err(|e| {
                Error::of(
                    &name,
                    format_args!(
                        "the packet of {} bytes is refused: {e}",
                        at.packet.data.len()
                    ),
                )
            })?;
        let result = self
            .machine
            .call(&mut self.sim, prog, [ctx, 0, 0, 0, 0], self.budget, Nobody);
        match result {
            Ok((r0, insns)) => {
                let (retval, packet) = self.sim.finish_at_device(r0);
                let tag = at.packet.vlan();
                at.packet = packet;
                if ty == ProgType::Xdp {
                    at.packet.set_vlan(tag);
                }
                fate.hops.push(Hop {
                    ifindex: IfIndex(at.ifindex),
                    hook,
                    prog,
                    retval,
                    verdict: names::verdict(ty, retval),
                    insns,
                });
                Ok((retval, self.sim.take_redirect()))
            }
            Err(stop) => {
                self.sim.abandon();
                Err(Error::of(&name, stop))
            }
        }
    }
}

fn drop_it(fate: &mut Fate, at: Work, why: String) {
    let ifindex = IfIndex(at.ifindex);
    let end = End::Dropped { ifindex, why };
    fate.ends.push(Arrival {
        end,
        packet: at.packet,
    });
}

/// Types in front of VLAN tags.
const VLAN_TYPES: [u16; 2] = [0x8100, 0x88a8];
/// Where the tag stands: behind the addresses.
const TAG_AT: usize = 12;

/// Moves the outermost tag beside the packet, as every kernel does before traffic control.
fn take_tag(packet: &mut Packet) {
    let Some([a, b, c, d]) = packet
        .data
        .get(TAG_AT..)
        .and_then(|rest| rest.first_chunk())
        .copied()
    else {
        return;
    };
    let proto = u16::from_be_bytes([a, b]);
    if packet.vlan().is_some() || !VLAN_TYPES.contains(&proto) || packet.data.len() < TAG_AT + 6 {
        return;
    }
    packet.data.drain(TAG_AT..TAG_AT + 4);
    let tci = u16::from_be_bytes([c, d]);
    packet.set_vlan(Some(VlanTag { proto, tci }));
}

/// Puts the tag beside the packet back into it, as devices do.
fn put_tag(packet: &mut Packet) {
    if let Some(tag) = packet.vlan()
        && packet.data.len() >= TAG_AT
    {
        let [a, b] = tag.proto.to_be_bytes();
        let [c, d] = tag.tci.to_be_bytes();
        packet.data.splice(TAG_AT..TAG_AT, [a, b, c, d]);
    }
}
