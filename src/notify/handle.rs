//! The store shared between the loop that decides and the loops that deliver.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::store::{Store, StoreError};

/// One store for several tasks. Each use runs on a blocking thread and holds the store for as
/// long as one transaction takes.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    store: Arc<Mutex<Store>>,
    news: watch::Sender<()>,
}

impl StoreHandle {
    /// Shares a store.
    pub fn new(store: Store) -> Self {
        Self { store: Arc::new(Mutex::new(store)), news: watch::Sender::new(()) }
    }

    /// Uses the store, away from the threads that drive the network.
    ///
    /// # Errors
    ///
    /// Those of `f`, and [`StoreError::Thread`] when it panicked or the program is ending.
    pub async fn with<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        // A panic elsewhere has rolled its transaction back, so the store is whole.
        let call = move || f(&mut store.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(call).await.unwrap_or(Err(StoreError::Thread))
    }

    /// Wakes the deliveries: there are new messages, or time has moved.
    pub fn news(&self) {
        self.news.send_replace(());
    }

    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}
