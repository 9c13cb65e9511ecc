//! How many connections are open, so that `max.connections` bounds them.

use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections.
pub struct Connections {
    limit: usize,
    open: Mutex<usize>,
}

/// One open connection; dropping it makes room.
pub struct Permit(Arc<Connections>);

impl Connections {
    /// Room for `limit` connections.
    pub fn new(limit: usize) -> Arc<Connections> {
        Arc::new(Connections { limit, open: Mutex::new(0) })
    }

    /// Room for one more connection; `None` when there is none.
    pub fn admit(self: &Arc<Self>) -> Option<Permit> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        (*open < self.limit).then(|| {
            *open += 1;
            Permit(self.clone())
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_connection_makes_room() {
        let connections = Connections::new(1);
        let first = connections.admit();
        assert!(first.is_some() && connections.admit().is_none());
        drop(first);
        assert!(connections.admit().is_some());
    }
}
