//! Whose socket is at the other end of a TCP connection: the kernel's socket diagnosis, for exactly this four-tuple.
//!
//! Invariant: an answer counts only when its four-tuple is the one asked for, its socket is connected, and it belongs to
//! somebody (an inode): a listener, a closed or an orphaned socket is nobody. IPv4 and IPv4-mapped IPv6 sockets are one
//! address to the kernel, and so they are here.
//! Limit: it tells who owns the socket, not who holds it open.

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::{self, SocketAddrNetlink},
        recv, sendto, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

// linux/sock_diag.h, linux/inet_diag.h, linux/netlink.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const HEADER: usize = 16;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP: u8 = 6;
/// Established, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT: connected, or half closed by one side.
const CONNECTED: [u8; 4] = [1, 4, 5, 8];

static SEQUENCE: AtomicU32 = AtomicU32::new(1);
/// Whether the kernel has answered such a question before: then its no is a no.
static DIAGNOSIS_WORKS: AtomicBool = AtomicBool::new(false);

/// Who owns a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// One connection as seen from the peer: its own address first. Mapped addresses are taken as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuple {
    near: SocketAddr,
    far: SocketAddr,
}

impl Tuple {
    /// `local` is the agent's address, `remote` the peer's.
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> Option<Self> {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let tuple = Self { near: plain(remote), far: plain(local) };
        (tuple.near.is_ipv4() == tuple.far.is_ipv4()).then_some(tuple)
    }

    fn family(&self) -> u8 {
        if self.near.is_ipv4() { AF_INET } else { AF_INET6 }
    }
}

/// The owner of the peer's socket; `Ok(None)` when there is no such socket.
pub(super) fn owner_of(tuple: &Tuple) -> Result<Option<Owner>, Errno> {
    match ask_kernel(tuple) {
        Ok(Some(owner)) => {
            DIAGNOSIS_WORKS.store(true, Ordering::Relaxed);
            Ok(Some(owner))
        }
        Ok(None) if DIAGNOSIS_WORKS.load(Ordering::Relaxed) => Ok(None),
        // "No such entry" is also what a kernel without the diagnosis module says; the table tells.
        Ok(None) | Err(_) => read_tables(tuple),
    }
}

fn ask_kernel(tuple: &Tuple) -> Result<Option<Owner>, Errno> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(1)))?;
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    sendto(&socket, &request(tuple, sequence), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = [0; 8192];
    let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
    parse_answer(&buffer[..length.min(buffer.len())], tuple, sequence)
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn request(tuple: &Tuple, sequence: u32) -> [u8; 72] {
    let mut bytes = [0; 72];
    bytes[0..4].copy_from_slice(&72_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    bytes[16] = tuple.family();
    bytes[17] = TCP;
    bytes[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    bytes[24..26].copy_from_slice(&tuple.near.port().to_be_bytes());
    bytes[26..28].copy_from_slice(&tuple.far.port().to_be_bytes());
    for (at, address) in [(28, tuple.near), (44, tuple.far)] {
        match address.ip() {
            IpAddr::V4(ip) => bytes[at..at + 4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes[at..at + 16].copy_from_slice(&ip.octets()),
        }
    }
    bytes[64..72].fill(0xff);
    bytes
}

pub(super) fn parse_answer(bytes: &[u8], tuple: &Tuple, sequence: u32) -> Result<Option<Owner>, Errno> {
    let length = usize::try_from(u32::from_ne_bytes(field(bytes, 0)?)).map_err(|_| Errno::BADMSG)?;
    let bytes = bytes.get(..length).ok_or(Errno::BADMSG)?;
    if u32::from_ne_bytes(field(bytes, 8)?) != sequence {
        return Err(Errno::BADMSG);
    }
    match u16::from_ne_bytes(field(bytes, 4)?) {
        NLMSG_ERROR => {
            let error = Errno::from_raw_os_error(i32::from_ne_bytes(field(bytes, HEADER)?).wrapping_neg());
            if error == Errno::NOENT { Ok(None) } else { Err(error) }
        }
        SOCK_DIAG_BY_FAMILY => parse_socket(bytes.get(HEADER..).ok_or(Errno::BADMSG)?, tuple),
        _ => Err(Errno::BADMSG),
    }
}

/// `inet_diag_msg`.
fn parse_socket(bytes: &[u8], tuple: &Tuple) -> Result<Option<Owner>, Errno> {
    let [family, state, _, _] = field(bytes, 0)?;
    let address = |port_at: usize, ip_at: usize| -> Result<SocketAddr, Errno> {
        let ip: IpAddr = match family {
            AF_INET => Ipv4Addr::from(field::<4>(bytes, ip_at)?).into(),
            AF_INET6 => Ipv6Addr::from(field::<16>(bytes, ip_at)?).into(),
            _ => return Err(Errno::BADMSG),
        };
        Ok(SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(field(bytes, port_at)?)))
    };
    let found = Tuple { near: address(4, 8)?, far: address(6, 24)? };
    let owner =
        Owner { uid: u32::from_ne_bytes(field(bytes, 64)?), inode: u32::from_ne_bytes(field(bytes, 68)?).into() };
    Ok((found == *tuple && CONNECTED.contains(&state) && owner.inode != 0).then_some(owner))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Errno> {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or(Errno::BADMSG)
}

/// The same from `/proc/net/tcp` and `/proc/net/tcp6`; two sockets with one four-tuple are no answer.
fn read_tables(tuple: &Tuple) -> Result<Option<Owner>, Errno> {
    let mut found = None;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = match std::fs::read_to_string(table) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(_) => return Err(Errno::IO),
        };
        for owner in text.lines().skip(1).filter_map(|line| parse_line(line, tuple)) {
            if found.replace(owner).is_some() {
                return Ok(None);
            }
        }
    }
    Ok(found)
}

pub(super) fn parse_line(line: &str, tuple: &Tuple) -> Option<Owner> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let found = Tuple { near: parse_address(words.next()?)?, far: parse_address(words.next()?)? };
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    (found == *tuple && CONNECTED.contains(&state) && inode != 0).then_some(Owner { uid, inode })
}

/// `0100007F:1F90`: the address in 32-bit groups of the machine's byte order, the port in plain hexadecimal.
fn parse_address(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let mut bytes = [0; 16];
    let groups = address.as_bytes().chunks_exact(8);
    if !groups.remainder().is_empty() || !matches!(address.len(), 8 | 32) {
        return None;
    }
    for (place, group) in bytes.chunks_exact_mut(4).zip(groups) {
        let group = u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok()?;
        place.copy_from_slice(&group.to_ne_bytes());
    }
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        _ => Ipv6Addr::from(bytes).into(),
    };
    Some(SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{Shutdown, TcpListener, TcpStream},
        os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    };

    fn inode(stream: &TcpStream) -> u64 {
        std::fs::metadata(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap().ino()
    }

    /// Both ways of asking give this answer.
    #[track_caller]
    fn both(tuple: &Tuple, wanted: Option<Owner>) {
        assert_eq!(read_tables(tuple).unwrap(), wanted, "the tables");
        match ask_kernel(tuple) {
            Ok(answer) => assert_eq!(answer, wanted, "the socket diagnosis"),
            Err(error) => panic!("the socket diagnosis failed: {error}"),
        }
        assert_eq!(owner_of(tuple).unwrap(), wanted);
    }

    #[test]
    fn the_exact_connection_is_found_until_it_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let agent = listener.local_addr().unwrap();
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), agent.port());
        for target in [agent, mapped] {
            let peer = TcpStream::connect(target).unwrap();
            let (served, remote) = listener.accept().unwrap();
            let tuple = Tuple::new(served.local_addr().unwrap(), remote).unwrap();
            let owner = Owner { uid: crate::own_uid(), inode: inode(&peer) };
            both(&tuple, Some(owner));
            assert_eq!(Tuple::new(mapped, remote), Some(tuple));
            let (port, other) = (remote.port(), if remote.port() == 1 { 2 } else { 1 });
            both(&Tuple::new(agent, SocketAddr::new(remote.ip(), other)).unwrap(), None);
            both(&Tuple::new(SocketAddr::new(agent.ip(), other), remote).unwrap(), None);
            both(&Tuple::new(agent, SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), port)).unwrap(), None);
            peer.shutdown(Shutdown::Write).unwrap();
            both(&tuple, Some(owner));
            drop(peer);
            both(&tuple, None);
        }
    }

    #[test]
    fn a_listener_is_never_the_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        both(&Tuple::new(listener.local_addr().unwrap(), taken.local_addr().unwrap()).unwrap(), None);
    }

    #[test]
    fn ipv6_is_looked_up_as_itself() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else {
            println!("SKIPPED ipv6_is_looked_up_as_itself: no IPv6 loopback here");
            return;
        };
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, remote) = listener.accept().unwrap();
        let tuple = Tuple::new(served.local_addr().unwrap(), remote).unwrap();
        both(&tuple, Some(Owner { uid: crate::own_uid(), inode: inode(&peer) }));
        assert_eq!(Tuple::new("127.0.0.1:1".parse().unwrap(), remote), None);
    }

    #[test]
    fn answers_that_are_not_whole_are_refused() {
        let tuple = Tuple::new("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()).unwrap();
        let whole = request(&tuple, 7);
        for length in 0..whole.len() {
            assert!(parse_answer(&whole[..length], &tuple, 7).is_err(), "{length}");
        }
        assert!(parse_answer(&whole, &tuple, 8).is_err());
        for line in ["", "0: x", "0: 0100007F:1 0100007F:2 01", "0: 0100007:1 0100007F:2 01 0:0 0:0 0 0 0 5"] {
            assert_eq!(parse_line(line, &tuple), None, "{line:?}");
        }
    }
}
