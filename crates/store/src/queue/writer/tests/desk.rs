//! A writer that is turned by hand, on a real file whose commits fail or are not answered as a script says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tempfile::TempDir;
use tidings_core::delivery::{Lane, Owed, Status};
use tidings_core::event::Event;
use tidings_core::id::{IdSource, TenantId};
use tidings_core::publication::{PlannedEvent, Publication};
use tidings_core::settlement::{Reason, Settlement, Verdict};
use tidings_core::time::Timestamp;
use tokio::sync::oneshot;

use super::super::Writer;
use crate::change::PublishAnswer;
use crate::committed::Committed;
use crate::error::WriteError;
use crate::queue::batch::Work;
use crate::queue::committer::Committer;
use crate::queue::sqlite::{Alone, Writing};
use crate::queue::transaction::{Commit, Database, Fault, Transaction, Trouble};
use crate::queue::{Answer, Job};
use crate::store::Sink;

const TENANT: TenantId = TenantId::from_i64(1);
const START: i64 = 1_795_305_600_000;
/// For what must come; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) type Answered<T> = oneshot::Receiver<Result<T, WriteError>>;

/// What becomes of a commit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Made,
    /// Made, and the answer is lost.
    Unanswered,
    /// Lost on its way.
    NotMade,
    Fails,
}

/// What is to happen, in order; after that all goes well, or as `rest` says.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) commits: VecDeque<Fate>,
    pub(super) rest: Option<Fate>,
    /// Whether the database can say what became of a commit.
    pub(super) is_away: bool,
    /// Commits that were tried.
    pub(super) tried: usize,
}

struct Scripted {
    writing: Writing,
    script: Arc<Mutex<Script>>,
    was_made: bool,
}

impl Database for Scripted {
    fn commit<T>(
        &mut self,
        works: &[Work],
        fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
    ) -> Commit<T> {
        let fate = {
            let mut script = self.script.lock().expect("no panic");
            script.tried += 1;
            let rest = script.rest.unwrap_or(Fate::Made);
            script.commits.pop_front().unwrap_or(rest)
        };
        let cut = || Trouble::new(Fault::Database, "cut");
        self.was_made = matches!(fate, Fate::Made | Fate::Unanswered);
        match fate {
            Fate::Made => self.writing.commit(works, fill),
            Fate::Fails => Commit::Failed(cut()),
            Fate::Unanswered => match self.writing.commit(works, fill) {
                Commit::Made(done) => Commit::Unknown(done, cut().text),
                other => other,
            },
            Fate::NotMade => {
                let mut done = None;
                let fill = |tx: &mut dyn Transaction| {
                    done = Some(fill(tx)?);
                    Err::<(), _>(cut())
                };
                drop(self.writing.commit(works, fill));
                Commit::Unknown(done.expect("it could be filled"), cut().text)
            }
        }
    }

    fn was_committed(&mut self) -> Result<bool, Trouble> {
        let script = self.script.lock().expect("no panic");
        if script.is_away { Err(Trouble::new(Fault::Database, "away")) } else { Ok(self.was_made) }
    }

    fn rest(&mut self) {
        self.writing.rest();
    }

    fn close(self) {
        self.writing.close();
    }
}

/// A writer that is turned by hand.
pub(super) struct Desk {
    writer: Writer<Scripted>,
    committer: Arc<Committer>,
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) told: mpsc::Receiver<Vec<Committed>>,
    pub(super) clock: Arc<AtomicI64>,
    ids: IdSource,
    _dir: TempDir,
}

impl Desk {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let Alone { writing, .. } = Alone::take(dir.path()).expect("opens");
        let script = Arc::<Mutex<Script>>::default();
        let database = Scripted { writing, script: Arc::clone(&script), was_made: false };
        let clock = Arc::new(AtomicI64::new(START));
        let read = Arc::clone(&clock);
        let now = move || Timestamp::from_millis(read.load(Ordering::Relaxed));
        let committer = Arc::new(Committer::new(Arc::new(now)));
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let sink: Sink = Box::new(move |batch| drop(tell.lock().expect("no panic").send(batch)));
        let writer = Writer::new(database, Arc::clone(&committer), sink).expect("opens");
        let ids = IdSource::new(0, 0);
        Self { writer, committer, script, told, clock, ids, _dir: dir }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::Relaxed))
    }

    pub(super) fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().expect("no panic"));
    }

    /// What was submitted, a step of maintenance with it.
    pub(super) fn turn(&mut self) {
        let (answer, _) = oneshot::channel();
        self.committer.submit(Job::Maintain { afresh: false, answer: Answer::new(answer) });
        let (jobs, closing) = self.committer.take(Duration::ZERO);
        self.writer.turn(jobs, closing);
    }

    fn owed(&self, event: &Arc<Event>) -> Owed {
        let lane = Lane { webhook: self.ids.next(self.now()), slot: 0 };
        Owed {
            id: self.ids.next(self.now()),
            tenant: TENANT,
            lane,
            event: event.id,
            revision: 1,
            ready_at: self.now(),
            not_before: self.now(),
            expires_at: None,
            attempts: 0,
            attempts_granted: 0,
            gate: None,
            payload: Arc::clone(event).into(),
        }
    }

    pub(super) fn publication(&self, deliveries: usize) -> Publication {
        let event = Arc::new(Event {
            id: self.ids.next(self.now()),
            tenant: TENANT,
            client_id: None,
            event_type: "job.completed".into(),
            timestamp: self.now(),
            ordering_key: None,
            deliver_at: None,
            expires_at: None,
            data: bytes::Bytes::from_static(b"{}"),
        });
        let deliveries = (0..deliveries).map(|_| self.owed(&event)).collect();
        let planned = PlannedEvent { event, fingerprint: [0; 16], deliveries };
        Publication { tenant: TENANT, key: None, events: vec![planned] }
    }

    pub(super) fn submit(&self, publication: Publication) -> Answered<PublishAnswer> {
        let (answer, answered) = oneshot::channel();
        let (planned_at, answer) = (i64::MAX, Answer::new(answer));
        self.committer.submit(Job::Publish { publication, planned_at, answer });
        answered
    }

    /// One that is owed, as it was given out.
    pub(super) fn published(&mut self) -> Owed {
        let publication = self.publication(1);
        let owed = publication.events[0].deliveries[0].clone();
        let mut answered = self.submit(publication);
        self.turn();
        answered.try_recv().expect("answered").expect("published");
        self.told.recv().expect("told");
        owed
    }

    pub(super) fn settle(&self, owed: &Owed) {
        self.committer.submit(Job::Settle(Box::new(Settlement {
            owed: owed.clone(),
            attempt: None,
            verdict: Verdict::End { status: Status::Failed, reason: Reason::Inactive },
            settled_at: self.now(),
            health: None,
            disable: None,
            announcements: Vec::new(),
        })));
    }

    pub(super) fn rows(&mut self, sql: &'static str) -> i64 {
        let mut found = Vec::new();
        let count = |tx: &mut dyn Transaction| {
            found = tx.rows(sql, &[])?;
            Ok(())
        };
        assert!(matches!(self.writer.database.writing.commit(&[], count), Commit::Made(())));
        found.remove(0).fields().take().expect("a number")
    }

    /// Closes the store, and runs it to its end; what it told meanwhile.
    pub(super) fn close(self) -> Vec<Committed> {
        let Self { writer, committer, told, .. } = self;
        committer.close();
        let (say, ended) = mpsc::channel();
        std::thread::spawn(move || {
            writer.run();
            let _ = say.send(());
        });
        ended.recv_timeout(PATIENCE).expect("it comes to its end");
        told.try_iter().flatten().collect()
    }
}

/// Turns until it is answered.
pub(super) fn turns<T>(
    desk: &mut Desk,
    mut answered: Answered<T>,
) -> (usize, Result<T, WriteError>) {
    let mut turns = 0;
    loop {
        if let Ok(answer) = answered.try_recv() {
            return (turns, answer);
        }
        desk.turn();
        turns += 1;
    }
}
