//! Every way to send, and what must come of it.

use pocketmq::{ErrorKind, MessageBuilder, Receipt, Result, Ticket};

use super::expected::Sent;
use super::ops::{Envelope, Manner, Size};
use super::world::{World, topic_name};

impl World {
    fn len(&self, size: Size) -> usize {
        match size {
            Size::Bytes(bytes) => bytes,
            Size::Percent(percent) => {
                usize::try_from(self.setup.segment_size).unwrap() * percent / 100
            }
        }
    }

    fn draft(&mut self, size: Size, bad: bool, envelope: Envelope) -> Sent {
        let len = self.len(size);
        Sent { body: self.model.body(len, bad), envelope, bad }
    }

    /// Whether so many bytes of bodies, in so many messages, fit into a segment; `None` where only the store knows.
    fn fits(&self, messages: &[Sent]) -> Option<bool> {
        let bytes: u64 = messages.iter().map(|m| m.body.len() as u64).sum();
        let envelopes = 600 * messages.len() as u64;
        if bytes + envelopes <= self.setup.segment_size {
            Some(true)
        } else if bytes > self.setup.segment_size {
            Some(false)
        } else {
            None
        }
    }

    /// The outcome of a send: `None` if it was refused, as it should be.
    fn accepted<T>(&self, messages: &[Sent], outcome: Result<T>, may_be_full: bool) -> Option<T> {
        match (outcome, self.fits(messages)) {
            (Ok(done), Some(true) | None) => Some(done),
            (Err(e), Some(false) | None) if e.kind() == ErrorKind::TooLarge => None,
            (Err(e), _) if e.kind() == ErrorKind::Full && may_be_full => None,
            (Ok(_), Some(false)) => panic!("more than a segment was taken"),
            (Err(e), _) => panic!("{e:?}"),
        }
    }

    fn sent(&mut self, topic: u8, receipt: &Receipt, message: Sent) {
        // So are all before it.
        self.unsettled &= !receipt.durable;
        assert_eq!(*receipt.topic, topic_name(topic));
        let at = (receipt.queue.get(), receipt.queue_offset.get());
        self.model.sent(topic, at, message);
    }

    pub(super) fn send(&mut self, topic: u8, size: Size, manner: Manner, bad: bool) {
        let producer = self.producer(topic);
        let envelope =
            if let Manner::Envelope(e) = &manner { e.clone() } else { Envelope::default() };
        let draft = self.draft(size, bad, envelope);
        let one = std::slice::from_ref(&draft);
        let queues = u32::try_from(self.model.topics[&topic].queues.len()).unwrap();
        let builder = producer.message(&draft.body);
        let (outcome, asked) = match manner {
            Manner::Send => (producer.send(&draft.body), None),
            Manner::Queue(n) => {
                let queue = u32::from(n) % queues;
                (builder.queue(queue).send(), Some(queue))
            }
            Manner::OneWay(n) => {
                let queue = u32::from(n) % queues;
                let outcome = builder.queue(queue).send_one_way();
                if self.accepted(one, outcome, true).is_some() {
                    let next = self.model.topics[&topic].queues[queue as usize].next();
                    self.model.sent(topic, (queue, next), draft);
                    self.unsettled = self.setup.opening.sync;
                }
                return;
            }
            Manner::Envelope(e) => {
                let mut builder = builder;
                if let Some(key) = &e.order_key {
                    builder = builder.order_by(key);
                }
                if let Some(tag) = &e.tag {
                    builder = builder.tag(tag);
                }
                if let Some(property) = &e.property {
                    builder = builder.property("property", property);
                }
                builder = e.keys.iter().fold(builder, MessageBuilder::key);
                (builder.send(), None)
            }
        };
        let in_turn = asked.is_none() && draft.envelope.order_key.is_none();
        let Some(receipt) = self.accepted(one, outcome, false) else {
            if in_turn {
                self.model.lost_turn(topic);
            }
            return;
        };
        if let Some(queue) = asked {
            assert_eq!(receipt.queue.get(), queue);
        } else if in_turn {
            self.model.took_turn(topic, receipt.queue.get());
        }
        self.sent(topic, &receipt, draft);
    }

    fn drafts(&mut self, sizes: &[Size]) -> Vec<Sent> {
        sizes.iter().map(|size| self.draft(*size, false, Envelope::default())).collect()
    }

    pub(super) fn batch(&mut self, topic: u8, sizes: &[Size]) {
        let producer = self.producer(topic);
        let drafts = self.drafts(sizes);
        let outcome = producer.send_batch(drafts.iter().map(|d| d.body.as_slice()));
        let receipts = self.accepted(&drafts, outcome, false);
        let Some((receipts, first)) = receipts.and_then(|r| r.first().cloned().map(|f| (r, f)))
        else {
            self.model.lost_turn(topic);
            return;
        };
        assert_eq!(receipts.len(), drafts.len());
        self.model.took_turn(topic, first.queue.get());
        for (receipt, draft) in receipts.iter().zip(drafts) {
            assert_eq!(receipt.queue, first.queue);
            self.sent(topic, receipt, draft);
        }
    }

    pub(super) fn submit(&mut self, topic: u8, sizes: &[Size]) {
        let producer = self.producer(topic);
        let drafts = self.drafts(sizes);
        #[expect(clippy::needless_collect, reason = "all are submitted before the first wait")]
        let tickets: Vec<_> = drafts.iter().map(|d| producer.submit(&d.body)).collect();
        for (ticket, draft) in tickets.into_iter().zip(drafts) {
            // Those who wait in line learn from their ticket that they are too large.
            let outcome = ticket.and_then(Ticket::wait);
            match self.accepted(std::slice::from_ref(&draft), outcome, true) {
                Some(receipt) => {
                    self.model.took_turn(topic, receipt.queue.get());
                    self.sent(topic, &receipt, draft);
                }
                None => self.model.lost_turn(topic),
            }
        }
    }
}
