import { hostname } from "node:os";
import { type Clock, pause, type Timer } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { isAlive } from "../live-process.ts";
import { type HandoverConnections, unixConnections } from "./handover/connections.ts";
import { Handover } from "./handover/handover.ts";
import { Loans } from "./handover/loans.ts";
import { MovableJournal } from "./handover/movable-journal.ts";
import { fileReservations, type Reservations } from "./handover/reservation.ts";
import { JournalWriter } from "./journal-writer.ts";
import { Erasures } from "./model/erasures.ts";
import type { Journal, JournalOwner, Retention } from "./model/journal.ts";
import type { TranscriptStore } from "./model/transcript-entry.ts";

/** Poll interval for a journal's owner, and interval of pruning, in milliseconds. */
const OWNER_POLL_MS = 500;
const PRUNE_MS = 10 * 60_000;

/** How far the wall clock may have jumped since the last look and still be trusted, in milliseconds. */
const MOST_SET_MS = 60_000;

/** How long the last changes may take when the journal closes, in milliseconds. */
const CLOSE_MS = 5_000;

/** How long the owner may take to close the journal and offer it, in milliseconds. */
const OFFER_MS = 10_000;

/** How long a journal that was offered may seem to have an owner, and the poll interval, in milliseconds. */
const OFFERED_MS = 2_000;
const OFFERED_POLL_MS = 10;

/** How long to leave a journal without an owner to the application for which it is reserved, in milliseconds. */
const RESERVED_MS = 15_000;

export interface JournalTerms {
  /** How long to wait for a live owner, in milliseconds. Unless it is 0, the journal can be handed over. */
  readonly waitForOwnerMs: number;
  /** How long to keep ended turns and events, in milliseconds. */
  readonly maxAgeMs: number;
  /** How many ended turns, events, and bytes of events to keep per session. */
  readonly maxTurns: number;
  readonly maxEvents: number;
  readonly maxEventBytes: number;
  /** Whether the journal keeps transcripts, if it can. */
  readonly keepsTranscripts: boolean;
}

export interface SharedJournalDeps {
  readonly clock: Clock;
  /** Resolves once the application is ready to take the journal over from an owner that still works. Optional. */
  readonly prepared?: () => Promise<void>;
  readonly newId: () => string;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Where this application runs, and how it reaches others with the journal. Default: this process, and unix sockets. */
  readonly machine?: JournalMachine;
}

/** The machine of an application with a journal. */
export interface JournalMachine {
  readonly own: Omit<JournalOwner, "id">;
  readonly connections: HandoverConnections;
  readonly reservations: Reservations;
  /** Whether a process of this machine runs. */
  isAlive(pid: number): boolean;
}

/** An open journal that several supervisors of this process may share. */
export interface SharedJournal {
  readonly journal: Journal;
  readonly writer: JournalWriter;
  /** The transcripts in the journal; undefined if it keeps none. */
  readonly transcripts: TranscriptStore | undefined;
  /** The erasures in progress, by any supervisor. */
  readonly erasures: Erasures;
  /** Hands the journal over to the next process of the application; undefined if that is impossible. */
  readonly handover?: Handover | undefined;
  /** Releases the journal. The last release closes it. Idempotent. */
  release(): Promise<void>;
}

/** An opened journal, its only writer, and what stops its upkeep. */
export interface Opened {
  readonly journal: Journal;
  readonly writer: JournalWriter;
  readonly handover: Handover | undefined;
  readonly retire: () => void;
}

interface Sharing {
  users: number;
  readonly erasures: Erasures;
  readonly opened: Promise<Opened>;
  closing?: Promise<void>;
}

/** The open journals of this process by identity, for all copies of this package. */
const SHARED = Symbol.for("castellan.journals.2");

/**
 * Opens a journal, or shares one that another supervisor of this process has opened.
 *
 * @param identity equal for two options that mean the same journal
 * @throws CastellanError `JOURNAL_IN_USE`, `JOURNAL_UNAVAILABLE`
 */
export async function openSharedJournal(
  identity: unknown,
  make: () => Journal,
  terms: JournalTerms,
  deps: SharedJournalDeps,
): Promise<SharedJournal> {
  const journals = sharedJournals();
  for (;;) {
    const present = journals.get(identity);
    if (present?.closing !== undefined) {
      await present.closing;
      continue;
    }
    const sharing = present ?? { users: 0, erasures: new Erasures(), opened: openUnshared(make(), terms, deps) };
    sharing.users += 1;
    journals.set(identity, sharing);
    try {
      const { journal, writer, handover } = await sharing.opened;
      const { erasures } = sharing;
      const transcripts = terms.keepsTranscripts ? journal.transcripts : undefined;
      const close = once(() => release(journals, identity, sharing));
      return { journal, writer, transcripts, erasures, handover, release: close };
    } catch (error) {
      if (journals.get(identity) === sharing) journals.delete(identity);
      throw error;
    }
  }
}

/** Opens a journal, or takes it over. @throws CastellanError `JOURNAL_IN_USE`, `JOURNAL_UNAVAILABLE` */
export async function openUnshared(own: Journal, terms: JournalTerms, deps: SharedJournalDeps): Promise<Opened> {
  const { clock, machine = thisMachine(own, clock) } = deps;
  const owner: JournalOwner = { id: deps.newId(), ...machine.own };
  const movable = terms.waitForOwnerMs > 0 && own.kind !== undefined ? new MovableJournal(own) : undefined;
  const handover =
    movable &&
    new Handover({
      ...{ clock, journal: movable, own, owner, loans: new Loans(), deadlineMs: terms.waitForOwnerMs },
      ...{ connections: machine.connections, reservations: machine.reservations, isAlive: machine.isAlive },
    });
  const journal = movable ?? own;
  await openInTurn(journal, owner, handover, terms, { ...deps, reservations: machine.reservations });
  const writer = new JournalWriter(journal, deps);
  if (journal.unwritable !== undefined) writer.impair(journal.unwritable);
  journal.lost?.then(
    (error) => writer.lose(error),
    () => {},
  );
  await handover?.begin(writer);
  return { journal, writer, handover, retire: pruneRegularly(journal, terms, clock) };
}

function thisMachine(journal: Journal, clock: Clock): JournalMachine {
  const own = { pid: process.pid, host: hostname(), startedAt: Math.round(performance.timeOrigin) };
  const reservations = fileReservations(journal, clock);
  return { own, connections: unixConnections(journal, own), reservations, isAlive };
}

/** Opens the journal, after its owner has handed it over or closed it. @throws CastellanError `JOURNAL_IN_USE` */
async function openInTurn(
  journal: Journal,
  owner: JournalOwner,
  handover: Handover | undefined,
  { waitForOwnerMs }: JournalTerms,
  { clock, prepared = async () => {}, reservations }: SharedJournalDeps & { readonly reservations: Reservations },
): Promise<void> {
  const deadline = clock.monotonic() + waitForOwnerMs;
  let offeredUntil: number | undefined;
  const reserved = reservedFor(reservations, clock);
  for (;;) {
    // Whoever had offered it may have died, and another application has it.
    if (handover?.hasOffer !== true) offeredUntil = undefined;
    try {
      if (offeredUntil === undefined) await reserved();
      await journal.open(owner);
      if (offeredUntil === undefined) await reserved(() => journal.close());
      return;
    } catch (error) {
      const now = clock.monotonic();
      const isOffered = offeredUntil !== undefined && now < offeredUntil;
      if (!isOffered) handover?.forgetOffer();
      if (!CastellanError.is(error, "JOURNAL_IN_USE") || (now >= deadline && !isOffered)) throw error;
      if (isOffered) {
        await pause(clock, OFFERED_POLL_MS);
        continue;
      }
      offeredUntil = undefined;
      if (handover !== undefined) {
        await prepared();
        if (await handover.ask(error.details, Math.min(OFFER_MS, Math.max(0, deadline - clock.monotonic())))) {
          offeredUntil = clock.monotonic() + OFFERED_MS;
          continue;
        }
      }
      await pause(clock, OWNER_POLL_MS);
    }
  }
}

/**
 * Returns a function that throws `JOURNAL_IN_USE`, after `leave`, while the journal is reserved for another application; not for
 * ever, since the process that reserved it may have been stopped.
 */
function reservedFor(reservations: Reservations, clock: Clock): (leave?: () => Promise<void>) => Promise<void> {
  let since: number | undefined;
  return async (leave) => {
    // A file that cannot be locked reserves nothing.
    const reserved = await reservations.held().catch(() => undefined);
    since = reserved && (since ?? clock.monotonic());
    if (reserved === undefined || since === undefined || clock.monotonic() - since >= RESERVED_MS) return;
    await leave?.();
    throw reserved;
  };
}

/**
 * Prunes old turns and events now and every ten minutes, best effort. A wall clock that was set forward makes all look
 * old, so pruning waits until the clock has run evenly since the last look.
 */
function pruneRegularly(journal: Journal, terms: JournalTerms, clock: Clock): () => void {
  let timer: Timer | undefined;
  let retired = false;
  let aheadMs = clock.now() - clock.monotonic();
  const prune = async (): Promise<void> => {
    const before = aheadMs;
    aheadMs = clock.now() - clock.monotonic();
    if (aheadMs - before <= MOST_SET_MS) {
      await journal.prune(retentionOf(terms, clock.now())).catch(() => {});
    }
    if (!retired) timer = clock.schedule(PRUNE_MS, prune, { background: true });
  };
  void prune();
  return () => {
    retired = true;
    timer?.cancel();
  };
}

function retentionOf({ maxAgeMs, maxTurns, maxEvents, maxEventBytes }: JournalTerms, now: number): Retention {
  const since = now - maxAgeMs;
  const events = { since, perSession: maxEvents, bytesPerSession: maxEventBytes };
  return { endedSince: since, turnsPerSession: maxTurns, events };
}

async function release(journals: Map<unknown, Sharing>, identity: unknown, sharing: Sharing): Promise<void> {
  sharing.users -= 1;
  if (sharing.users > 0) return;
  sharing.closing = sharing.opened.then(closeUnshared).finally(() => journals.delete(identity));
  await sharing.closing;
}

/** Closes an opened journal. */
export async function closeUnshared({ journal, writer, handover, retire }: Opened): Promise<void> {
  retire();
  await writer.close(CLOSE_MS);
  await handover?.close();
  try {
    await journal.close();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const message = `The journal ${journal.location} could not be closed: ${words}`;
    process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}

function sharedJournals(): Map<unknown, Sharing> {
  const existing = Reflect.get(globalThis, SHARED) as Map<unknown, Sharing> | undefined;
  const journals = existing ?? new Map<unknown, Sharing>();
  Reflect.set(globalThis, SHARED, journals);
  return journals;
}
