import { type Clock, pause, type Timer } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { CastellanError } from "../../errors.ts";
import type { Journal, JournalOwner } from "../model/journal.ts";
import { Channel, ChannelClosed } from "./channel.ts";
import type { HandoverConnections, HandoverListener } from "./connections.ts";
import { type HandoverWriter, Lending, notOwner } from "./lending.ts";
import type { Loans } from "./loans.ts";
import type { MovableJournal } from "./movable-journal.ts";
import { nextOwnerStep, type OwnerAction, type OwnerEvent, type OwnerState } from "./owner-state.ts";
import type { HandoverParty, Reach } from "./party.ts";
import type { OwnerPlace } from "./place.ts";
import type { Reservations } from "./reservation.ts";

/** The protocol between the two applications. A release that changes what its messages mean raises it. */
export const HANDOVER_PROTOCOL = 1;

/** How long pending writes may take before the journal is closed, in milliseconds. */
const FLUSH_MS = 2_000;

/** How long the taker may take to open the journal, in milliseconds. */
const TAKE_MS = 5_000;

/** How long to look for the owner of the journal, or to try to open it, after the connection to it was lost. */
const RECLAIM_MS = 15_000;
const RECLAIM_PAUSE_MS = 100;

export interface HandoverDeps {
  readonly clock: Clock;
  /** The journal as its users see it, and as it is. */
  readonly journal: MovableJournal;
  readonly own: Journal;
  readonly owner: JournalOwner;
  readonly connections: HandoverConnections;
  readonly reservations: Reservations;
  /** Whether a process of this machine runs. */
  readonly isAlive: (pid: number) => boolean;
  readonly loans: Loans;
  /** How long turns of the previous owner may take, in milliseconds. */
  readonly deadlineMs: number;
}

/** What the owner offers to a taker. */
interface Offer {
  readonly id: string;
  readonly pid: number;
  /** The canonical names of the sessions that it still has. */
  readonly lent: readonly string[];
}

/** An application that takes the journal, and what waits for the offer. */
interface Taker {
  readonly channel: Channel;
  readonly id: string;
  readonly place: OwnerPlace;
  readonly offered: PromiseWithResolvers<Offer>;
}

/**
 * Hands a journal over between applications on one machine, so that a new process of an application takes over from the
 * old one while that finishes its turns. As a taker it asks the owner for the journal; as the owner it offers it; as a
 * borrower it writes through its successor.
 */
export class Handover {
  readonly loans: Loans;
  readonly #deps: HandoverDeps;
  readonly #parties = new Set<HandoverParty>();
  readonly #lending: Lending;
  /** Tells how to reach the sessions here, once there are any. */
  readonly #reach: PromiseWithResolvers<() => Promise<Reach>> = Promise.withResolvers();
  readonly #whenOver: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: OwnerState = { name: "owning" };
  #writer: HandoverWriter | undefined;
  #listener: HandoverListener | undefined;
  /** The taker that has been offered the journal, and what waits for the offer. */
  #taker: Taker | undefined;
  /** The application that has opened the journal without an offer, and is about to take it. */
  #opener: Taker | undefined;
  /** What another application has offered to this one. */
  #offer: { readonly channel: Channel; readonly offer: Offer } | undefined;
  /** The canonical names of the sessions that this application has not returned yet. */
  readonly #kept = new Set<string>();
  /** Counts how often the sessions stayed or came back, so that what was to be returned before is not returned later. */
  #round = 0;
  #wasOffered = false;
  /** Why the journal could not be opened again. */
  #refusal: unknown;
  #overdue: Timer | undefined;
  /** Keeps the closed journal for the taker, and from others. */
  #reservation: Awaited<ReturnType<Reservations["reserve"]>>;
  /** Since when calls of the journal wait, on the monotonic clock. */
  #departedAt = 0;
  /** How long the turns here may take, as the taker says. */
  #deadlineMs = 0;
  /** Whether the sessions are being ended here. They go on ending when the owner changes. */
  #lends = false;

  constructor(deps: HandoverDeps) {
    this.#deps = deps;
    this.loans = deps.loans;
    this.#lending = new Lending(deps, () => this.#writer);
  }

  get state(): OwnerState["name"] {
    return this.#state.name;
  }

  /** Whether this application got the journal from an owner that still lived. */
  get wasOffered(): boolean {
    return this.#wasOffered;
  }

  /** Whether an application that still runs has offered the journal to this one. */
  get hasOffer(): boolean {
    return this.#offer?.channel.hasEnded === false;
  }

  /** Resolves once another application owns the journal and has all sessions of this one. */
  get over(): Promise<void> {
    return this.#whenOver.promise;
  }

  /** Adds a supervisor. Returns a function that removes it. */
  join(party: HandoverParty): () => void {
    this.#parties.add(party);
    return () => this.#parties.delete(party);
  }

  /** Borrowers ask `reach` how to reach the sessions of this application. */
  reachable(reach: () => Promise<Reach>): void {
    this.#reach.resolve(reach);
  }

  /**
   * Asks the owner of the journal for it. Resolves with whether the journal can be opened now.
   *
   * @param holder the owner, as the journal names it
   * @param limitMs how long the owner may take
   */
  async ask(holder: OwnerPlace & { readonly host: string }, limitMs: number): Promise<boolean> {
    const { owner } = this.#deps;
    if (holder.host !== owner.host || holder.pid === owner.pid) return false;
    const channel = await this.#connect(holder);
    if (channel === undefined) return false;
    try {
      const offer = await withDeadline(
        this.#deps.clock,
        limitMs,
        channel.call("take", owner.id, owner.pid, owner.startedAt),
      );
      if (offer === undefined) throw declined();
      this.#offer = { channel, offer: offer as Offer };
      return true;
    } catch {
      channel.close();
      return false;
    }
  }

  /** This application owns the journal now. Takes over what the previous owner has lent, and offers the journal in turn. */
  async begin(writer: HandoverWriter): Promise<void> {
    const { connections } = this.#deps;
    this.#writer = writer;
    const offered = this.hasOffer ? this.#offer : undefined;
    this.#offer = undefined;
    if (offered !== undefined) await this.#takeOver(offered.channel, offered.offer);
    // The journal was free: its owner has died, has ended, or has just closed it for another application.
    const others = offered === undefined ? connections.others() : [];
    await Promise.all(others.map((other) => this.#adopt(other)));
    this.#listener = await connections.listen((socket) => this.#accept(socket));
  }

  /** The journal could not be opened although it was offered. */
  forgetOffer(): void {
    this.#offer?.channel.close();
    this.#offer = undefined;
  }

  /** Ends the hand-over: the journal is about to be closed. */
  async close(): Promise<void> {
    const { name } = this.#state;
    this.#apply({ type: "close" });
    if (name === "lending")
      await withDeadline(
        this.#deps.clock,
        FLUSH_MS,
        this.#taker?.channel.call("bye").catch(() => {}),
      );
    this.#endOffer();
    this.#taker?.channel.close();
    this.#lending.close();
    this.#deps.journal.arrive();
    await this.#listener?.close();
  }

  async #takeOver(channel: Channel, { id, pid, lent }: Offer): Promise<void> {
    const { owner, deadlineMs } = this.#deps;
    this.#wasOffered = true;
    this.loans.lend(lent, id);
    this.#lending.add(id, pid, channel);
    await channel.call("taken", owner.id, deadlineMs).catch(() => {});
    channel.unref();
  }

  /** Lets an earlier owner that still has sessions finish them. */
  async #adopt(earlier: OwnerPlace): Promise<void> {
    const { owner, isAlive, clock } = this.#deps;
    if (earlier.pid === owner.pid || !isAlive(earlier.pid)) return;
    const channel = await this.#connect(earlier);
    if (channel === undefined) return;
    try {
      const telling = channel.call("opened", owner.id, owner.pid, owner.startedAt);
      const kept = (await withDeadline(clock, TAKE_MS, telling)) as Offer | undefined;
      if (kept === undefined) channel.close();
      else await this.#takeOver(channel, kept);
    } catch {
      channel.close();
    }
  }

  #accept(socket: ConstructorParameters<typeof Channel>[0]): void {
    let borrower: string | undefined;
    const channel: Channel = new Channel(socket, async (method, args) => {
      switch (method) {
        case "hello":
          if (args[0] !== HANDOVER_PROTOCOL) throw new Error(`this release speaks protocol ${HANDOVER_PROTOCOL}`);
          return HANDOVER_PROTOCOL;
        case "take":
          return await this.#take(channel, String(args[0]), { pid: Number(args[1]), startedAt: Number(args[2]) });
        case "taken":
          this.#takenBy(channel, String(args[0]), Number(args[1]));
          return undefined;
        case "opened":
          return this.#openedBy(channel, String(args[0]), { pid: Number(args[1]), startedAt: Number(args[2]) });
        case "rejoin":
          borrower = String(args[0]);
          return this.#rejoin(channel, borrower, Number(args[1]), args[2]);
        default:
          return await this.#serve(borrower, channel, method, args);
      }
    });
    void channel.closed.then(() => this.#gone(channel));
  }

  async #connect(holder: OwnerPlace): Promise<Channel | undefined> {
    const socket = await this.#deps.connections.connect(holder);
    if (socket === undefined) return undefined;
    const channel: Channel = new Channel(socket, (method, args) => this.#serve(undefined, channel, method, args));
    try {
      await withDeadline(this.#deps.clock, TAKE_MS, channel.call("hello", HANDOVER_PROTOCOL), () => {
        throw new Error("the owner does not answer");
      });
      return channel;
    } catch {
      channel.close();
      return undefined;
    }
  }

  /** The owner's part: waits until the journal is free for this taker. */
  async #take(channel: Channel, taker: string, place: OwnerPlace): Promise<Offer> {
    // The sessions of the previous owner come back first.
    if (this.loans.size > 0 || this.#parties.size === 0 || this.#state.name !== "owning") throw declined();
    const offered = Promise.withResolvers<Offer>();
    this.#taker = { channel, id: taker, place, offered };
    this.#apply({ type: "asked", taker });
    return await offered.promise;
  }

  #takenBy(channel: Channel, taker: string, deadlineMs: number): void {
    const isOpener = this.#opener?.channel === channel;
    if (isOpener) this.#replaceTaker();
    if (this.#taker?.channel !== channel) throw declined();
    this.#deadlineMs = deadlineMs;
    this.#apply({ type: isOpener ? "opened" : "taken", taker });
  }

  /** The opener takes the place of a taker that does not have the journal any more. What waits for that one comes to this one. */
  #replaceTaker(): void {
    this.#taker?.channel.close();
    this.#taker = this.#opener;
    this.#opener = undefined;
  }

  /** Another application has opened the journal without an offer. Returns what is kept here; `taken` follows. */
  #openedBy(channel: Channel, taker: string, place: OwnerPlace): Offer | undefined {
    const { name } = this.#state;
    if (name !== "released" && name !== "lending" && name !== "reclaiming") return undefined;
    this.#opener = { channel, id: taker, place, offered: Promise.withResolvers() };
    const { id, pid } = this.#deps.owner;
    return { id, pid, lent: [...this.#kept] };
  }

  #gone(channel: Channel): void {
    if (this.#taker?.channel === channel) this.#apply({ type: "gone", taker: this.#taker.id });
  }

  #apply(event: OwnerEvent): void {
    const { state, actions } = nextOwnerStep(this.#state, event);
    this.#state = state;
    for (const action of actions) this.#act(action);
  }

  #act(action: OwnerAction): void {
    const { journal, clock, owner } = this.#deps;
    switch (action) {
      case "yield":
        void this.#release();
        return;
      case "offer":
        this.#overdue = clock.schedule(TAKE_MS, () => this.#apply({ type: "overdue" }));
        this.#taker?.offered.resolve({ id: owner.id, pid: owner.pid, lent: [...this.#kept] });
        if (this.#taker?.channel.hasEnded === true) this.#gone(this.#taker.channel);
        return;
      case "decline":
        this.#taker?.offered.reject(declined());
        return;
      case "resume":
        this.#endOffer();
        this.#kept.clear();
        this.#round += 1;
        this.#taker = undefined;
        journal.arrive();
        for (const party of this.#parties) party.resume();
        void this.#tellHome();
        return;
      case "lend":
        this.#endOffer();
        this.#lend();
        return;
      case "reclaim":
        this.#overdue?.cancel();
        journal.depart();
        void this.#reclaim();
        return;
      case "lose":
        this.#endOffer();
        journal.arrive();
        this.#writer?.lose(
          isForeign(this.#refusal) ? migrated(journal.location, this.#refusal) : notOwner(journal.location),
        );
        return;
    }
  }

  async #release(): Promise<void> {
    const { clock, journal } = this.#deps;
    // Until here the journal accepts turns as ever.
    await Promise.all([...this.#parties].map((party) => party.prepare()));
    if (this.#state.name !== "yielding") return;
    for (const party of this.#parties) for (const key of party.yield()) this.#kept.add(key);
    const flushed = (this.#writer?.settled() ?? Promise.resolve()).then(
      () => true,
      () => false,
    );
    if (!((await withDeadline(clock, FLUSH_MS, flushed)) ?? false)) return this.#apply({ type: "unwritable" });
    this.#reservation = await this.#deps.reservations.reserve().catch(() => undefined);
    if (this.#reservation === undefined) return this.#apply({ type: "unwritable" });
    this.#departedAt = clock.monotonic();
    await journal.leave();
    this.#apply({ type: "released" });
  }

  #endOffer(): void {
    this.#overdue?.cancel();
    this.#reservation?.close();
    this.#reservation = undefined;
  }

  /** The borrower's part: finishes its turns, and writes through the owner. */
  #lend(): void {
    const taker = this.#taker;
    if (taker === undefined) return;
    this.#deps.journal.arrive(taker.channel);
    void taker.channel
      .call("reach")
      .then((reach) => this.#moved(reach as Reach))
      .catch((error: unknown) => this.#unreachable(error));
    if (this.#kept.size === 0) this.#whenOver.resolve();
    if (this.#lends) return;
    this.#lends = true;
    const waitedMs = Math.round(this.#deps.clock.monotonic() - this.#departedAt);
    for (const party of this.#parties) party.lend(this.#deadlineMs, waitedMs, (key) => this.#return(key));
  }

  /** The sessions can be reached so: for callers here, and for earlier processes that reached them here. */
  #moved(reach: Reach): void {
    for (const party of this.#parties) party.reach(reach);
    this.#lending.moved(reach);
  }

  /** Earlier processes may reach the sessions at an application that is gone: they are here again. */
  async #tellHome(): Promise<void> {
    if (!this.#lending.any) return;
    const reach = await this.#reach.promise;
    this.#lending.moved(await reach());
  }

  /** Callers here learn that the sessions are elsewhere when they stop waiting. A broken connection is handled apart. */
  #unreachable(error: unknown): void {
    if (error instanceof ChannelClosed) return;
    const why = error instanceof Error ? error.message : String(error);
    const message = `The next process of the application has the journal ${this.#deps.journal.location}, but cannot be reached: ${why}`;
    process.emitWarning(message, { type: "CastellanWarning" });
  }

  async #return(key: string): Promise<void> {
    const round = this.#round;
    while (round === this.#round && this.#kept.has(key)) {
      const { name } = this.#state;
      // They stay here after all.
      if (name === "owning" || name === "lost" || name === "closed") return;
      const isTold = await this.#taker?.channel.call("returned", key).then(
        () => true,
        () => false,
      );
      if (round !== this.#round) return;
      if (isTold === true && this.#state.name === "lending") this.#kept.delete(key);
      else await pause(this.#deps.clock, RECLAIM_PAUSE_MS);
    }
    if (round === this.#round && this.#kept.size === 0) this.#whenOver.resolve();
  }

  /** Opens the journal again, or finds the application that has. The journal decides which. */
  async #reclaim(): Promise<void> {
    const { clock, journal, owner } = this.#deps;
    const until = clock.monotonic() + RECLAIM_MS;
    while (this.#state.name === "reclaiming") {
      try {
        await journal.open(owner);
        this.#lends = false;
        return this.#apply({ type: "reopened" });
      } catch (error) {
        // Whoever has opened it may have said so meanwhile.
        if (this.#state.name !== "reclaiming") return;
        this.#refusal = error;
        const holder = CastellanError.is(error, "JOURNAL_IN_USE") ? error.details : this.#migrator(error);
        if (holder !== undefined && (await this.#rejoinAt(holder))) return;
      }
      if (clock.monotonic() >= until) return this.#apply({ type: "refused" });
      await pause(clock, RECLAIM_PAUSE_MS);
    }
  }

  /** Returns the taker if it has migrated the journal, which this release then cannot ask for its owner. */
  #migrator(error: unknown): (OwnerPlace & { readonly host: string }) | undefined {
    return this.#taker && isForeign(error) ? { ...this.#taker.place, host: this.#deps.owner.host } : undefined;
  }

  /** Continues as a borrower of the application that owns the journal. Returns whether that is decided. */
  async #rejoinAt(holder: OwnerPlace & { readonly host: string }): Promise<boolean> {
    const { owner } = this.#deps;
    // The application that has just taken the journal may not listen yet, but its first connection still works.
    const first = this.#taker;
    if (first !== undefined && !first.channel.hasEnded) return false;
    const channel = holder.host === owner.host ? await this.#connect(holder) : undefined;
    if (channel === undefined) return false;
    const found = await channel.call("rejoin", owner.id, owner.pid, [...this.#kept]).catch(() => undefined);
    if (found === undefined) {
      channel.close();
      return false;
    }
    const { id, lent } = found as { readonly id: string; readonly lent: readonly string[] };
    if ([...this.#kept].some((key) => !lent.includes(key))) {
      this.#apply({ type: "refused" });
      return true;
    }
    this.#taker = { channel, id, place: holder, offered: Promise.withResolvers() };
    void channel.closed.then(() => this.#gone(channel));
    this.#apply({ type: "taken", taker: id });
    return true;
  }

  /** Answers an application that has been offered the journal, or borrows from it. */
  async #serve(id: string | undefined, channel: Channel, method: string, args: readonly unknown[]): Promise<unknown> {
    if (method === "moved") return this.#moved(args[0] as Reach);
    if (method === "reach") {
      this.#lending.require(id, channel);
      return await (await this.#reach.promise)();
    }
    return await this.#lending.serve(id, channel, method, args);
  }

  /** The owner's part: a borrower whose connection broke comes back, or an earlier owner looks for the present one. */
  #rejoin(channel: Channel, id: string, pid: number, kept: unknown): { id: string; lent: readonly string[] } {
    const lent = (Array.isArray(kept) ? kept.map(String) : []).filter((key) => this.loans.isLentTo(key, id));
    if (this.#state.name !== "owning") throw declined();
    this.#lending.rejoin(id, pid, channel);
    return { id: this.#deps.owner.id, lent };
  }
}

function isForeign(error: unknown): boolean {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "foreign";
}

function migrated(location: string, cause: unknown): CastellanError<"NOT_OWNER"> {
  const message = `A newer release has migrated the journal ${location}, and has ended since. This one cannot open it any more; what was accepted is in it. Start the newer release again.`;
  return new CastellanError("NOT_OWNER", message, { cause });
}

function declined(): Error {
  return new Error("the owner keeps the journal for now");
}
