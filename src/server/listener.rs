//! The listening sockets: one for each worker, all on one address.
//!
//! SO_REUSEPORT lets the workers' sockets share an address, and would let a second millrace share
//! it unnoticed, each counting half of the events. So the first socket binds and listens without
//! that option, which the kernel allows only if no other process listens there. Then the option is
//! set, and the other sockets join.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::UNSENT_BYTES_MAX;
use crate::sys::descriptors::Reserve;
use crate::sys::errors;

/// Opens `count` sockets that listen on `address`; all of them on the same port if it names port 0.
///
/// # Errors
/// Those of socket(2), bind(2) and listen(2); `AddrInUse` also when another process listens there.
pub fn open(address: SocketAddr, count: usize, backlog: u32) -> io::Result<Vec<TcpListener>> {
    let first = socket(address)?;
    first.bind(&address.into())?;
    listen(&first, backlog)?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![TcpListener::from_std(first.into())];
    for _ in 1..count {
        let next = socket(address.as_socket().expect("an internet address"))?;
        next.set_reuse_port(true)?;
        next.bind(&address)?;
        listen(&next, backlog)?;
        listeners.push(TcpListener::from_std(next.into()));
    }
    Ok(listeners)
}

/// Takes in a listening socket that another process has made, and sets it up as ours are.
///
/// # Errors
/// `InvalidInput` if it does not listen for TCP connections; those of setsockopt(2).
pub fn adopt(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = Socket::from(socket);
    let listens = socket.is_listener()? && socket.r#type()? == Type::STREAM;
    if !listens || socket.local_addr()?.as_socket().is_none() {
        let message = "it is not a TCP socket that listens";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    set_up(&socket)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` takes both IP versions, also where the system's default is IPv6 only.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    set_up(&socket)?;
    Ok(socket)
}

/// Sets the options that every listening socket needs, whether opened here or by another process.
fn set_up(socket: &Socket) -> io::Result<()> {
    // Inherited by accepted sockets: every answer leaves at once, and no call is spent on it.
    socket.set_tcp_nodelay(true)?;
    // Inherited too: a peer that does not read fills a bounded part of the kernel's memory, not the
    // megabytes to which send queues grow.
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    socket.set_nonblocking(true)
}

fn listen(socket: &Socket, backlog: u32) -> io::Result<()> {
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// What came of one attempt to accept.
pub enum Accepted {
    /// A connection.
    Connection(TcpStream, SocketAddr),
    /// The queue is empty.
    None,
    /// This connection is lost, but the queue may hold more.
    Lost(io::Error),
    /// Descriptors or memory have run out: try again later. A client that could be answered has
    /// been accepted with the reserve descriptor.
    Exhausted(io::Error, Option<TcpStream>),
}

/// Accepts one connection. What accept(2) says of errors: those of the network, `ECONNABORTED` and
/// the `EPERM` of a firewall concern one connection; only a lack of resources is worth a pause.
pub fn accept(listener: &TcpListener, reserve: &mut Reserve) -> Accepted {
    let error = match listener.accept() {
        Ok((stream, peer)) => return Accepted::Connection(stream, peer),
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::WouldBlock {
        Accepted::None
    } else if errors::is_out_of_descriptors(&error) {
        reserve.release();
        let turned_away = listener.accept().ok().map(|(stream, _)| stream);
        Accepted::Exhausted(error, turned_away)
    } else if errors::is_out_of_memory(&error) {
        Accepted::Exhausted(error, None)
    } else {
        Accepted::Lost(error)
    }
}
