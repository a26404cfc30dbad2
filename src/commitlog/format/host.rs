//! Addresses in records.

use std::fmt;
use std::net::Ipv4Addr;

use super::sysflag;
use crate::message::MessageId;

/// The address of a producer or a store: IP and port.
///
/// Nothing connects to it: `RocketMQ`'s format has the fields, and message ids are made of the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    V4 { ip: [u8; 4], port: i32 },
    V6 { ip: [u8; 16], port: i32 },
}

/// The width of an address and port on disk.
pub(super) const V4_LEN: usize = 4 + 4;
pub(super) const V6_LEN: usize = 16 + 4;

impl Host {
    /// What this crate's own records carry: 127.0.0.1 and a broker's default port.
    pub(crate) const LOCALHOST: Self = Self::V4 { ip: [127, 0, 0, 1], port: 10911 };

    pub(super) const fn encoded_len(self) -> usize {
        match self {
            Self::V4 { .. } => V4_LEN,
            Self::V6 { .. } => V6_LEN,
        }
    }

    #[inline]
    pub(super) fn encode(self, put: &mut impl FnMut(&[u8])) {
        match self {
            Self::V4 { ip, port } => {
                put(&ip);
                put(&port.to_be_bytes());
            }
            Self::V6 { ip, port } => {
                put(&ip);
                put(&port.to_be_bytes());
            }
        }
    }

    #[inline]
    pub(super) const fn decode_v4(bytes: [u8; V4_LEN]) -> Self {
        let [a, b, c, d, port @ ..] = bytes;
        Self::V4 { ip: [a, b, c, d], port: i32::from_be_bytes(port) }
    }

    #[inline]
    pub(super) const fn decode_v6(bytes: &[u8; V6_LEN]) -> Self {
        let [ip @ .., a, b, c, d] = *bytes;
        Self::V6 { ip, port: i32::from_be_bytes([a, b, c, d]) }
    }

    /// The id of the message whose record this host stored at `log_offset`.
    pub(crate) fn message_id(self, log_offset: u64) -> MessageId {
        match self {
            Self::V4 { ip, port } => {
                let mut host = [0; V4_LEN];
                host[..4].copy_from_slice(&ip);
                host[4..].copy_from_slice(&port.to_be_bytes());
                MessageId::offset_v4(host, log_offset)
            }
            Self::V6 { ip, port } => {
                let mut host = [0; V6_LEN];
                host[..16].copy_from_slice(&ip);
                host[16..].copy_from_slice(&port.to_be_bytes());
                MessageId::offset_v6(host, log_offset)
            }
        }
    }
}

/// The sys flag with its two host bits set as the hosts demand, so that bits and widths never disagree.
pub(super) const fn with_host_bits(sys_flag: i32, born: Host, store: Host) -> i32 {
    let mut flag = sys_flag & !(sysflag::BORN_HOST_V6 | sysflag::STORE_HOST_V6);
    if matches!(born, Host::V6 { .. }) {
        flag |= sysflag::BORN_HOST_V6;
    }
    if matches!(store, Host::V6 { .. }) {
        flag |= sysflag::STORE_HOST_V6;
    }
    flag
}

/// As Java writes an address: `127.0.0.1:10911`, and IPv6 in full, without `::` and brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { ip, port } => write!(f, "{}:{port}", Ipv4Addr::from(*ip)),
            Self::V6 { ip, port } => {
                for group in ip.as_chunks().0 {
                    write!(f, "{:x}:", u16::from_be_bytes(*group))?;
                }
                write!(f, "{port}")
            }
        }
    }
}
