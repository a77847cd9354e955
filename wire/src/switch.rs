//! The switch: ports for machines, stations, one thread and one poll(2).

use crate::capture::Capture;
use crate::faults::{Faults, Line};
use crate::frame::{ends, is_for_many};
use crate::lacp::{Partner, is_slow_protocol};
use crate::lldp::Voice;
use crate::noise::Noise;
use crate::seen::Seen;
use crate::station::{Mac, Powered};
use crate::stream::{Framer, framed};
use crate::tag::{stripped, tagged};
use crate::wire::Port;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// What a port holds back for a machine that does not read: more is lost, as in any switch.
const UNSENT_MAX: usize = 4 << 20;

/// Read from a port at once.
const READ_BYTES: usize = 256 << 10;

/// Answers to answers in one moment, before the sockets are looked at again.
const ROUNDS_MAX: usize = 64;

/// Ethernet addresses that are learnt: those of a test.
const LEARNT_MAX: usize = 1024;

/// Where something is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Port(usize),
    Station(usize),
}

/// What happens to a frame next.
#[derive(Debug)]
enum Step {
    /// The switch has it.
    Forward(Place, Vec<u8>),
    /// It goes into the cable of a port.
    Send(usize, Vec<u8>),
}

/// What the test tells the switch.
#[derive(Debug)]
pub(crate) enum Order {
    Faults(usize, Faults),
    Replug(usize),
    End,
}

/// A port and who is connected.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    stream: Option<UnixStream>,
    framer: Framer,
    unsent: VecDeque<u8>,
    line: Line,
    port: Port,
    partner: Partner,
    voice: Voice,
}

impl Socket {
    pub(crate) fn new(listener: UnixListener, port: Port) -> Result<Self> {
        listener.set_nonblocking(true).context("a port that does not block")?;
        let (framer, unsent) = (Framer::default(), VecDeque::new());
        let (line, partner) = (Line::of(port.faults), Partner::default());
        let voice = Voice::default();
        Ok(Self { listener, stream: None, framer, unsent, line, port, partner, voice })
    }
}

/// Everything of the switch's thread.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) began: Instant,
    pub(crate) ports: Vec<Socket>,
    pub(crate) stations: Vec<(u8, Powered)>,
    pub(crate) noise: Noise,
    pub(crate) capture: Option<Capture>,
    pub(crate) orders: std::sync::mpsc::Receiver<Order>,
    /// Readable when there is an order.
    pub(crate) bell: UnixStream,
    pub(crate) seen: std::sync::Arc<std::sync::Mutex<Seen>>,
    pub(crate) state: Moving,
}

/// Frames under way, and who is where.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    steps: VecDeque<Step>,
    later: BTreeMap<(Duration, u64), Step>,
    delayed: u64,
    learnt: HashMap<(u8, Mac), Place>,
}

impl Switch {
    /// Runs until it is told to end, or something cannot go on.
    pub(crate) fn run(mut self) -> Result<()> {
        loop {
            for port in 0..self.ports.len() {
                self.receive(port)?;
            }
            self.announce();
            self.settle();
            for port in &mut self.ports {
                flush(port);
            }
            self.wait()?;
            if self.is_ended()? {
                return Ok(());
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Obeys what was ordered.
    fn is_ended(&mut self) -> Result<bool> {
        let mut rings = [0; 64];
        while match self.bell.read(&mut rings) {
            Ok(read) => read > 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => return Err(error).context("reading the switch's bell"),
        } {}
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::End => return Ok(true),
                Order::Faults(port, faults) => self.ports[port].line.faults = faults,
                Order::Replug(port) => self.ports[port].line.replug(),
            }
        }
        Ok(false)
    }

    /// Takes what a machine has sent.
    fn receive(&mut self, port: usize) -> Result<()> {
        let now = self.now();
        let socket = &mut self.ports[port];
        if let Ok((stream, _)) = socket.listener.accept() {
            stream.set_nonblocking(true).context("a machine's socket that does not block")?;
            (socket.stream, socket.framer) = (Some(stream), Framer::default());
            socket.unsent.clear();
        }
        let Some(stream) = &mut socket.stream else { return Ok(()) };
        let mut bytes = vec![0; READ_BYTES];
        match stream.read(&mut bytes) {
            Ok(read @ 1..) => socket.framer.push(&bytes[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The machine is off.
            Ok(_) | Err(_) => socket.stream = None,
        }
        while let Some(frame) = socket.framer.take().context("what a machine sends")? {
            self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).count(port, &frame);
            if let Some(capture) = &mut self.capture {
                capture.keep(now, &frame);
            }
            for (at, frame) in socket.line.pass(now, frame, &mut self.noise) {
                self.state.step_at(now, at, Step::Forward(Place::Port(port), frame));
            }
        }
        Ok(())
    }

    /// Says on each port what is to be said there.
    fn announce(&mut self) {
        let now = self.now();
        for index in 0..self.ports.len() {
            let Socket { port, voice, .. } = &mut self.ports[index];
            if let Some(frame) = voice.drive(now, port.announced.as_ref(), index) {
                self.leave(now, index, frame);
            }
        }
    }

    /// Moves all frames that can be moved now.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let now = self.now();
            self.state.ripen(now);
            while let Some(step) = self.state.steps.pop_front() {
                match step {
                    Step::Forward(Place::Port(port), frame) => self.enter(now, port, &frame),
                    Step::Forward(from, frame) => self.forward(now, from, &frame),
                    Step::Send(port, frame) => self.send(now, port, &frame),
                }
            }
            for (index, (_, station)) in self.stations.iter_mut().enumerate() {
                let sent = station.drive(now).into_iter();
                self.state
                    .steps
                    .extend(sent.map(|frame| Step::Forward(Place::Station(index), frame)));
            }
            if self.state.steps.is_empty() {
                return;
            }
        }
    }

    /// A frame of a machine, into the switch: without its tag, and unless it ends here.
    fn enter(&mut self, now: Duration, index: usize, frame: &[u8]) {
        let Socket { port, partner, .. } = &mut self.ports[index];
        if is_slow_protocol(frame) {
            let aggregate = port.aggregate;
            let answer = aggregate.and_then(|number| partner.hear(now, frame, index, number));
            return answer.into_iter().for_each(|answer| self.leave(now, index, answer));
        }
        let from = Place::Port(index);
        match port.tagged {
            None => self.forward(now, from, frame),
            Some(number) => {
                if let Some(frame) = stripped(frame, number) {
                    self.forward(now, from, &frame);
                }
            }
        }
    }

    /// A frame into a port's cable.
    fn leave(&mut self, now: Duration, index: usize, frame: Vec<u8>) {
        for (at, frame) in self.ports[index].line.pass(now, frame, &mut self.noise) {
            self.state.step_at(now, at, Step::Send(index, frame));
        }
    }

    /// Where frames for a port go: of several that are one aggregate, to the last that is usable, and
    /// never back.
    fn member(&self, now: Duration, from: Place, index: usize) -> Option<usize> {
        let Some(number) = self.ports[index].port.aggregate else { return Some(index) };
        let is_member = |index: &usize| self.ports[*index].port.aggregate == Some(number);
        let mut members = (0..self.ports.len()).rev().filter(is_member);
        if members.clone().any(|member| from == Place::Port(member)) {
            return None;
        }
        members.find(|member| self.ports[*member].partner.is_usable(now))
    }

    /// A frame that is in the switch, to where it is for.
    fn forward(&mut self, now: Duration, from: Place, frame: &[u8]) {
        let Some((to, sender)) = ends(frame) else { return };
        let segment = self.segment(from);
        if self.state.learnt.len() < LEARNT_MAX && !is_for_many(sender) {
            self.state.learnt.insert((segment, sender), from);
        }
        let known = self.state.learnt.get(&(segment, to)).copied().filter(|_| !is_for_many(to));
        let ports = (0..self.ports.len()).map(Place::Port);
        let all = ports.chain((0..self.stations.len()).map(Place::Station));
        let targets: Vec<Place> = match known {
            Some(place) => vec![place],
            None => all.filter(|place| self.segment(*place) == segment).collect(),
        };
        let mut ports = BTreeSet::new();
        for place in targets.into_iter().filter(|place| *place != from) {
            match place {
                Place::Station(index) => self.stations[index].1.hear(now, frame),
                Place::Port(index) => ports.extend(self.member(now, from, index)),
            }
        }
        for index in ports {
            let tag = self.ports[index].port.tagged;
            self.leave(now, index, tag.map_or(frame.to_vec(), |number| tagged(frame, number)));
        }
    }

    fn segment(&self, place: Place) -> u8 {
        match place {
            Place::Port(port) => self.ports[port].port.segment,
            Place::Station(index) => self.stations[index].0,
        }
    }

    fn send(&mut self, now: Duration, port: usize, frame: &[u8]) {
        if let Some(capture) = &mut self.capture {
            capture.keep(now, frame);
        }
        let unsent = &mut self.ports[port].unsent;
        if unsent.len() + frame.len() < UNSENT_MAX {
            unsent.extend(framed(frame));
        }
    }

    /// Sleeps until something arrives or is due.
    fn wait(&mut self) -> Result<()> {
        let now = self.now();
        let later = self.state.later.keys().next().map(|(at, _)| *at);
        let stations = self.stations.iter_mut().filter_map(|(_, station)| station.due(now));
        let speaking = self.ports.iter().filter(|port| port.port.announced.is_some());
        let due = stations.chain(later).chain(speaking.map(|port| port.voice.due())).min();
        let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN)];
        for port in &self.ports {
            fds.push(PollFd::new(&port.listener, PollFlags::IN));
            if let Some(stream) = &port.stream {
                let out = if port.unsent.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
                fds.push(PollFd::new(stream, PollFlags::IN | out));
            }
        }
        // Cannot fail for times of a test.
        let timeout = due.and_then(|due| Timespec::try_from(due.saturating_sub(now)).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("waiting for frames"),
        }
    }
}

impl Moving {
    fn step_at(&mut self, now: Duration, at: Duration, step: Step) {
        if at <= now {
            self.steps.push_back(step);
        } else {
            self.delayed += 1;
            self.later.insert((at, self.delayed), step);
        }
    }

    fn ripen(&mut self, now: Duration) {
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            self.steps.push_back(first.remove());
        }
    }
}

/// Writes what the machine takes.
fn flush(port: &mut Socket) {
    let Some(stream) = &mut port.stream else {
        port.unsent.clear();
        return;
    };
    while !port.unsent.is_empty() {
        match stream.write(port.unsent.as_slices().0) {
            Ok(written @ 1..) => {
                port.unsent.drain(..written);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // The machine is off.
            Ok(_) | Err(_) => {
                port.stream = None;
                port.unsent.clear();
                return;
            }
        }
    }
}
