//! What programs tell user space: records of ring buffers and perf events, to handlers.

use skep_sim::MapId;
use skep_spec::MapType;

use super::Host;
use crate::Error;

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The ring buffer or perf event array.
    pub map: MapId,
    /// Of perf events, the entry it was sent to: the CPU, as a rule.
    pub index: u32,
    /// The data.
    pub data: Vec<u8>,
}

/// What is called with a record; it may change the machine, its maps above all.
pub type Handler = Box<dyn FnMut(&mut Host, &Event)>;

/// Events without a handler that are kept.
const MOST_UNHEARD: usize = 1 << 16;

/// Rounds of handlers whose own packets cause events again, at most.
const MOST_ROUNDS: usize = 64;

impl Host {
    /// Calls a handler for every record of a ring buffer or perf event array, as soon as the packet that
    /// caused it has come to its end.
    ///
    /// # Errors
    /// A map that holds no records.
    pub fn on_event(
        &mut self,
        map: MapId,
        handler: impl FnMut(&mut Host, &Event) + 'static,
    ) -> Result<(), Error> {
        let ty = self.sim.maps().get(map).map(|m| m.spec().ty);
        if !matches!(ty, Some(MapType::Ringbuf | MapType::PerfEventArray)) {
            return Err(Error::new("the map holds no events")
                .help("its type must be ringbuf or perf_event_array"));
        }
        self.handlers.push((map, Box::new(handler)));
        Ok(())
    }

    /// Takes the records that wait in a ring buffer without a handler.
    pub fn take_records(&mut self, map: MapId) -> Vec<Vec<u8>> {
        let records = self.sim.ring_consume(map);
        records.into_iter().map(|r| r.data).collect()
    }

    /// Hands records to their handlers, until there are no more.
    pub(super) fn dispatch(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let events = self.take_events();
            if events.is_empty() {
                return;
            }
            // Handlers get the machine itself, so they are not in it while they run.
            let mut handlers = std::mem::take(&mut self.handlers);
            for event in &events {
                let is_heard = handlers.iter().any(|h| h.0 == event.map);
                if !is_heard && self.unheard.len() < MOST_UNHEARD {
                    self.unheard.push(event.clone());
                }
                for (map, handler) in &mut handlers {
                    if *map == event.map {
                        handler(self, event);
                    }
                }
            }
            handlers.append(&mut self.handlers);
            self.handlers = handlers;
        }
    }

    fn take_events(&mut self) -> Vec<Event> {
        let output = self.sim.take_output();
        self.printed.extend(output.printk);
        let mut events: Vec<Event> = output
            .perf
            .into_iter()
            .map(|r| Event {
                map: r.map,
                index: r.index,
                data: r.data,
            })
            .collect();
        let rings: Vec<_> = self.handlers.iter().map(|h| h.0).collect();
        for map in rings {
            let records = self.sim.ring_consume(map);
            events.extend(records.into_iter().map(|r| Event {
                map,
                index: 0,
                data: r.data,
            }));
        }
        events
    }
}
