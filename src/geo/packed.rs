//! Numbers as octets, one behind the other: what was compiled is kept on disk so.

/// Octets in the making.
#[derive(Debug, Default)]
pub struct Packed(pub Vec<u8>);

impl Packed {
    /// Octets as they are.
    pub fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// One octet.
    pub fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    /// Two octets, the lowest first.
    pub fn u16(&mut self, number: u16) {
        self.octets(&number.to_le_bytes());
    }

    /// Four octets.
    pub fn u32(&mut self, number: u32) {
        self.octets(&number.to_le_bytes());
    }

    /// Eight octets.
    pub fn u64(&mut self, number: u64) {
        self.octets(&number.to_le_bytes());
    }

    /// Sixteen octets.
    pub fn u128(&mut self, number: u128) {
        self.octets(&number.to_le_bytes());
    }
}

/// Octets that are read from the front. `None` wherever they end too soon.
#[derive(Clone, Copy, Debug)]
pub struct Unpacking<'o>(pub &'o [u8]);

impl<'o> Unpacking<'o> {
    /// The next so many octets.
    pub fn octets(&mut self, count: usize) -> Option<&'o [u8]> {
        let (octets, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(octets)
    }

    /// The next `N` octets.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// One octet.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// A number of two octets.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// A number of four octets.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of eight octets.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of sixteen octets.
    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}
