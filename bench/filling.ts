import type { Change, EventEntry, Journal } from "../src/index.ts";
import { randomFrom } from "./random.ts";

/** Events per batch, and per turn. */
export const BATCH = 4;
const TURN = 8;

/** Fills a journal with events, round robin over the sessions, half a turn at a time. */
export class Filling {
  readonly journal: Journal;
  /** The key of a session, by its index. */
  readonly keyOf: (session: number) => string;
  readonly #timeOf: (event: number) => number;
  readonly #numbers: number[];
  readonly #random: () => number = randomFrom(1);
  written = 0;
  bytes = 0;
  #batch = 0;

  /**
   * @param from what has filled the journal so far
   * @param timeOf returns the time of an event, by its number of all. Default: the number
   */
  constructor(
    journal: Journal,
    sessions: number,
    {
      from,
      timeOf = (event) => event,
      keyOf = (session) => JSON.stringify(["user", session]),
    }: {
      readonly from?: Filling | undefined;
      readonly timeOf?: (event: number) => number;
      readonly keyOf?: Filling["keyOf"];
    } = {},
  ) {
    this.journal = journal;
    this.keyOf = keyOf;
    this.#timeOf = timeOf;
    this.#numbers = from === undefined ? Array.from({ length: sessions }, () => 0) : [...from.#numbers];
    if (from !== undefined) [this.written, this.bytes] = [from.written, from.bytes];
  }

  get sessions(): number {
    return this.#numbers.length;
  }

  async upTo(count: number): Promise<void> {
    while (this.written < count) {
      const changes: Change[] = [];
      // Rows are in the file as if each session had written its own batch, which takes several times as long.
      for (let session = 0; session < this.sessions && this.written < count; session += 1) {
        changes.push(...this.#appends(session, BATCH));
      }
      await this.#write(changes, false);
    }
  }

  async append(session: number, count: number): Promise<void> {
    await this.#write(this.#appends(session, count), false);
  }

  async write(...changes: readonly Change[]): Promise<void> {
    await this.#write(changes, true);
  }

  async #write(changes: readonly Change[], durable: boolean): Promise<void> {
    this.#batch += 1;
    await this.journal.write({ number: this.#batch, changes, durable });
  }

  #appends(session: number, count: number): Change[] {
    return Array.from({ length: count }, () => ({ type: "event_appended", event: this.#event(session) }));
  }

  /** The body of an event that is no large one: mostly text, sometimes a tool with its result. */
  #event(session: number): EventEntry {
    const number = (this.#numbers[session] ?? 0) + 1;
    this.#numbers[session] = number;
    const kind = number % TURN;
    const type =
      number % 1_000 === 0 ? "fault" : (["turn_accepted", "turn_started", "text", "tool_use"][kind] ?? "text");
    const words = kind === 4 ? 200 : Math.floor(this.#random() * 60);
    const turn = `01980000-0000-7000-8000-${String(session * 1e7 + Math.floor(number / TURN)).padStart(12, "0")}`;
    const body = { v: 1, attempt: 1, text: "seven letters ".repeat(words / 2) };
    this.bytes += JSON.stringify(body).length;
    this.written += 1;
    return { session: this.keyOf(session), number, at: this.#timeOf(this.written), type, turn, body };
  }
}
