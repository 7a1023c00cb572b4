import { pause } from "../../../src/clock.ts";
import type { Handover } from "../../../src/journal/handover/handover.ts";
import type { HandoverParty, Reach } from "../../../src/journal/handover/party.ts";
import { closeUnshared, type JournalTerms, type Opened, openUnshared } from "../../../src/journal/shared-journal.ts";
import type { Chance } from "../../cluster/simulated-chance.ts";
import type { SimulatedMachine } from "../../cluster/simulated-machine.ts";
import type { SimulatedFile } from "./simulated-file.ts";
import type { SimulatedSockets } from "./simulated-sockets.ts";
import { type Outcome, SimulatedTalk, type TurnObserver } from "./simulated-talk.ts";

/** What a process of the application runs in. */
export interface ApplicationWorld {
  readonly file: SimulatedFile;
  readonly sockets: SimulatedSockets;
  readonly keys: readonly string[];
  readonly stepMs: number;
  /** How long turns of the process before may take, in milliseconds. */
  readonly deadlineMs: number;
  readonly observer: TurnObserver;
  /** Whether a process runs. */
  isAlive(pid: number): boolean;
  /** Asks another process for a turn. Resolves with undefined if it cannot tell. */
  forward(from: SimulatedApplication, pid: number, key: string, turn: string): Promise<Outcome | undefined>;
  /** The process ends by itself. */
  exit(application: SimulatedApplication, why: string): void;
  log(what: string): void;
}

/** How long the process takes to be ready, and to look again, in milliseconds. */
const PREPARE_MS = 200;
const LOOK_MS = 40;

/** A process of the application, with sessions in the journal: a model of a supervisor over the real hand-over. */
export class SimulatedApplication implements HandoverParty {
  readonly machine: SimulatedMachine;
  readonly pid: number;
  readonly #world: ApplicationWorld;
  readonly #chance: Chance;
  readonly #talks: SimulatedTalk[] = [];
  #opened: Opened | undefined;
  #handover: Handover | undefined;
  #leave: () => void = () => {};
  #reach: number | undefined;
  #isAway = false;
  #round = 0;
  #asked = 0;
  #isReady = false;
  #isLost = false;

  constructor(machine: SimulatedMachine, pid: number, chance: Chance, world: ApplicationWorld) {
    this.machine = machine;
    this.pid = pid;
    this.#chance = chance;
    this.#world = world;
  }

  /** Whether it takes turns: callers can connect to it. */
  get isReady(): boolean {
    return this.#isReady && this.machine.state !== "dead";
  }

  get handoverState(): Handover["state"] | undefined {
    return this.#handover?.state;
  }

  async start(newId: () => string): Promise<void> {
    const { file, sockets, keys, stepMs, deadlineMs, observer } = this.#world;
    const { machine, pid } = this;
    const own = { pid, host: "here", startedAt: pid };
    const isAlive = (other: number): boolean => this.#isAlive(other);
    const terms: JournalTerms = {
      ...{ waitForOwnerMs: deadlineMs, maxAgeMs: 1e14, maxTurns: 1e6, maxEvents: 1e6, maxEventBytes: 1e9 },
      keepsTranscripts: false,
    };
    try {
      this.#opened = await openUnshared(file.openedBy(machine), terms, {
        clock: machine,
        newId,
        random: this.#chance.random,
        prepared: () => pause(machine, this.#chance.between(1, PREPARE_MS)),
        machine: { own, connections: sockets.of(machine, pid), reservations: file.reservationsOf(machine), isAlive },
      });
    } catch (error) {
      return this.#world.exit(this, `cannot open the journal: ${String(error)}`);
    }
    const { journal, writer, handover } = this.#opened;
    if (handover === undefined) throw new Error("the journal cannot be handed over");
    this.#handover = handover;
    void writer.lost.then(() => this.#lose());
    const place = { machine, chance: this.#chance, journal, writer, loans: handover.loans, observer, stepMs };
    for (const key of keys) this.#talks.push(new SimulatedTalk(key, place));
    for (const talk of this.#talks) void talk.restore();
    handover.reachable(async () => ({ pid }));
    this.#leave = handover.join(this);
    this.#isReady = true;
    this.#world.log(`${machine.name} is ready`);
    void handover.over.then(() => this.#finish());
  }

  /** Asks for a turn. Resolves with undefined if the caller should ask again, anywhere. */
  async ask(key: string, turn: string): Promise<Outcome | undefined> {
    const talk = this.#talks.find((one) => one.key === key);
    const journal = this.#opened?.journal;
    if (talk === undefined || journal === undefined) return undefined;
    this.#asked += 1;
    try {
      while (!this.#isLost) {
        if (talk.isOpen) {
          const entry = await journal.turn(turn);
          if (entry?.outcome !== undefined) return entry.outcome["state"] as Outcome;
          if (entry === undefined && talk.isOpen) {
            await talk.accept(turn);
            this.#world.observer.accepted(turn, this.machine);
          }
          const outcome = await talk.outcome(turn);
          if (outcome !== undefined) return outcome;
        } else if (this.#isAway && talk.isAway && this.#reach !== undefined) {
          const outcome = await this.#world.forward(this, this.#reach, key, turn);
          if (outcome !== undefined) return outcome;
        }
        await pause(this.machine, LOOK_MS);
      }
      return undefined;
    } catch {
      // The caller asks again: the id makes that safe.
      return undefined;
    } finally {
      this.#asked -= 1;
    }
  }

  async prepare(): Promise<void> {
    for (const talk of this.#talks) talk.yield();
    await pause(this.machine, this.#chance.between(1, 20));
  }

  yield(): readonly string[] {
    this.#round += 1;
    const kept: string[] = [];
    for (const talk of this.#talks) {
      talk.yield();
      if (talk.isAtRest) talk.surrender();
      else kept.push(talk.key);
    }
    return kept;
  }

  resume(): void {
    this.#world.log(`${this.machine.name} keeps its sessions`);
    this.#round += 1;
    this.#isAway = false;
    this.#reach = undefined;
    for (const talk of this.#talks) {
      if (talk.isAway) void talk.restore();
      else talk.unyield();
    }
  }

  lend(deadlineMs: number, _waitedMs: number, returned: (key: string) => Promise<void>): void {
    this.#isAway = true;
    const kept = this.#talks.filter(({ isAway }) => !isAway).map(({ key }) => key);
    this.#world.log(`${this.machine.name} borrows ${kept.join()}`);
    const round = this.#round;
    for (const talk of this.#talks) if (!talk.isAway) void this.#end(talk, deadlineMs, round, returned);
  }

  reach(reach: Reach): void {
    this.#reach = Number(reach["pid"]);
  }

  async #end(
    talk: SimulatedTalk,
    deadlineMs: number,
    round: number,
    returned: (key: string) => Promise<void>,
  ): Promise<void> {
    await talk.quiet(deadlineMs);
    if (round !== this.#round) return;
    talk.surrender();
    await this.#handover?.loans.over(talk.key);
    await this.#opened?.writer.settled().catch(() => {});
    if (round !== this.#round) return;
    this.#world.log(`${this.machine.name} returns ${talk.key}`);
    await returned(talk.key);
  }

  async #finish(): Promise<void> {
    while (this.#asked > 0) await pause(this.machine, LOOK_MS);
    this.#isReady = false;
    this.#leave();
    if (this.#opened !== undefined) await closeUnshared(this.#opened);
    this.#world.exit(this, "has handed everything over");
  }

  /** Another process owns the journal: the supervisor ends. */
  #lose(): void {
    this.#isLost = true;
    for (const talk of this.#talks) talk.lose();
    this.#world.exit(this, "has lost the journal");
  }

  #isAlive(pid: number): boolean {
    return this.#world.isAlive(pid);
  }
}
