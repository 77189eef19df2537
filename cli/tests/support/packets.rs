//! Packets for programs that parse packets: Ethernet with VLAN, IPv4, IPv6, ARP, TCP, UDP, ICMP, whole,
//! cut short or damaged; and noise. The same for the same seed.

/// An endless sequence of packets.
pub(crate) struct Packets(u64);

impl Packets {
    /// A sequence that depends on the name.
    pub(crate) fn new(name: &str) -> Packets {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Packets(seed)
    }

    /// A number below `bound` (splitmix64).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 16) as usize % bound
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// One of few addresses, so that maps meet the same keys again.
    fn address(&mut self) -> [u8; 4] {
        let nets = [[10, 0, 0], [192, 168, 1], [172, 16, 9], [8, 8, 8]];
        let [a, b, c] = nets[self.below(nets.len())];
        [a, b, c, self.below(8) as u8]
    }

    fn port(&mut self) -> [u8; 2] {
        let ports = [53u16, 80, 443, 9, 5353, 1024, 1025, 40000, 65535, 0];
        ports[self.below(ports.len())].to_be_bytes()
    }

    fn ethernet(&mut self) -> Vec<u8> {
        let mut packet = vec![0x02, 0, 0, 0, 0, self.below(4) as u8, 0x02, 0, 0, 0, 1, 1];
        if self.below(8) == 0 {
            packet[0] = 0xff;
        }
        for _ in 0..[0, 0, 0, 1, 2][self.below(5)] {
            packet.extend([[0x81, 0x00], [0x88, 0xa8]][self.below(2)]);
            packet.extend([self.byte() & 0x2f, self.byte()]);
        }
        packet
    }

    fn transport(&mut self) -> (u8, Vec<u8>) {
        let len = [0, 1, 4, 18, 64, 200, 900][self.below(7)];
        let mut payload = if self.below(6) == 0 {
            b"GET / HTTP/1.1\r\n".to_vec()
        } else {
            Vec::new()
        };
        payload.extend(self.noise(len));
        let mut head = Vec::new();
        let protocol = [6, 17, 17, 1, 58, 89][self.below(6)];
        match protocol {
            6 => {
                head.extend([self.port(), self.port()].concat());
                head.extend(self.noise(8));
                head.extend([0x50, self.byte(), 0xff, 0xff, 0, 0, 0, 0]);
            }
            17 => {
                head.extend([self.port(), self.port()].concat());
                head.extend(((payload.len() + 8) as u16).to_be_bytes());
                head.extend([0, 0]);
            }
            _ => head.extend([[8, 0, 128][self.below(3)], 0, 0, 0, 0, 1, 0, 1]),
        }
        head.extend(payload);
        (protocol, head)
    }

    fn ipv4(&mut self) -> Vec<u8> {
        let (protocol, rest) = self.transport();
        let options = [0, 0, 0, 1, 4, 10][self.below(6)];
        let header = 20 + 4 * options;
        let total = (header + rest.len()) as u16;
        let mut ip = vec![0x45 + options as u8, [0, 0xb8][self.below(2)]];
        ip.extend(total.to_be_bytes());
        ip.extend([0, 0, [0, 0x40, 0x20][self.below(3)], 0]);
        ip.extend([[0, 1, 2, 64][self.below(4)], protocol, 0, 0]);
        ip.extend([self.address(), self.address()].concat());
        ip.extend(self.noise(4 * options));
        let sum: u32 = ip
            .chunks(2)
            .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip.extend(rest);
        ip
    }

    fn ipv6(&mut self) -> Vec<u8> {
        let (protocol, mut rest) = self.transport();
        let mut next = protocol;
        for _ in 0..[0, 0, 1, 3, 8][self.below(5)] {
            let mut header = vec![next, 0];
            header.extend(self.noise(6));
            header.extend(rest);
            rest = header;
            next = [0, 43, 60][self.below(3)];
        }
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend((rest.len() as u16).to_be_bytes());
        ip.extend([next, [1, 64][self.below(2)]]);
        ip.extend([
            0xfd,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            self.below(4) as u8,
        ]);
        ip.extend([
            0xfd,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            self.below(4) as u8,
        ]);
        ip.extend(rest);
        ip
    }

    fn structured(&mut self) -> Vec<u8> {
        let mut packet = self.ethernet();
        match self.below(6) {
            0..=2 => {
                packet.extend([0x08, 0x00]);
                packet.extend(self.ipv4());
            }
            3 | 4 => {
                packet.extend([0x86, 0xdd]);
                packet.extend(self.ipv6());
            }
            _ => {
                packet.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
                packet.extend(self.noise(20));
            }
        }
        packet
    }
}

impl Iterator for Packets {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut packet = match self.below(10) {
            0 => {
                let len = [14, 15, 20, 34, 60, 128, 1514][self.below(7)];
                self.noise(len)
            }
            _ => self.structured(),
        };
        match self.below(5) {
            // Cut short, now and then to less than a test run takes.
            0 => {
                let len = self
                    .below(packet.len())
                    .max([13, 14, 14, 14][self.below(4)]);
                packet.truncate(len);
            }
            1 => {
                let at = self.below(packet.len());
                packet[at] = self.byte();
            }
            _ => {}
        }
        Some(packet)
    }
}
