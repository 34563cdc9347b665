//! How answers leave: at once, or, as far as the socket does not take them, when it has room again.

use std::io;

use super::{Connection, Desk};
use crate::server::buffers::NoMemory;
use crate::server::stream::{Stream, send};

impl<S: Stream, D> Connection<S, D> {
    /// Sends the output; what the socket does not take moves to `unsent`.
    #[inline]
    pub(super) fn send_output<H>(&mut self, desk: &mut Desk<'_, H>) -> io::Result<()> {
        if desk.output.is_empty() {
            return Ok(());
        }
        let sent = send(&mut self.stream, desk.output, desk.meters)?;
        if sent < desk.output.len() {
            let rest = &desk.output[sent..];
            let unsent = desk.buffers.lend(rest);
            self.unsent = unsent.map_err(|NoMemory| io::ErrorKind::OutOfMemory)?;
            self.owed_bytes = self.stream.untaken_bytes()?;
            self.idle_checks = 0;
        }
        Ok(())
    }

    pub(super) fn send_unsent<H>(&mut self, desk: &mut Desk<'_, H>) -> io::Result<()> {
        let sent = send(&mut self.stream, self.unsent.filled(), desk.meters)?;
        self.owed_bytes += sent;
        let rest = sent..self.unsent.filled().len();
        self.unsent.keep(rest);
        if self.unsent.is_empty() {
            desk.buffers.take_back(&mut self.unsent);
        }
        Ok(())
    }
}
