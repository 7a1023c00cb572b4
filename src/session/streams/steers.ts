/** A message that a caller gives to a turn that waits or runs. */
export interface Steer {
  readonly id: string;
  readonly text: string;
  /** Who gave it, in the application's own words. */
  readonly by?: string;
}

/**
 * How far a message is: it waits for the turn's prompt (`waiting`), it was sent to the process (`sent`), the process has
 * it in its queue (`queued`), or the model gets it (`read`).
 */
type Stage = "waiting" | "sent" | "queued" | "read";

interface Given {
  readonly steer: Steer;
  stage: Stage;
  /** The id under which the process has it. */
  uuid: string | undefined;
}

/** The messages that a turn was given, oldest first. */
export class Steers {
  readonly #given: Given[] = [];

  /** How many there are. */
  get count(): number {
    return this.#given.length;
  }

  /** Adds a message, unless it is there. */
  add(steer: Steer): void {
    if (!this.#given.some((one) => one.steer.id === steer.id))
      this.#given.push({ steer, stage: "waiting", uuid: undefined });
  }

  /** Those that the process has not been sent. */
  get waiting(): readonly Steer[] {
    return this.#given.flatMap(({ steer, stage }) => (stage === "waiting" ? [steer] : []));
  }

  /** Whether the process knows one of them under this id. */
  isKnownAs(id: unknown): boolean {
    return id !== undefined && this.#given.some(({ uuid }) => uuid === id);
  }

  /** The ids of those that the process has and the model does not. */
  get outstanding(): readonly string[] {
    return this.#given.flatMap(({ uuid, stage }) => (stage === "sent" || stage === "queued" ? (uuid ?? []) : []));
  }

  /** Whether the process has taken in all that it was sent. */
  get areTakenIn(): boolean {
    return this.#given.every(({ stage }) => stage !== "sent");
  }

  /** Those that the model did not get. */
  get unread(): readonly Steer[] {
    return this.#given.flatMap(({ steer, stage }) => (stage === "read" ? [] : [steer]));
  }

  /** Records that the process gets a message under this id. */
  sent({ id }: Steer, uuid: string): void {
    const given = this.#given.find((one) => one.steer.id === id);
    if (given === undefined) return;
    given.stage = "sent";
    given.uuid = uuid;
  }

  /** Takes the process's report about the prompt with this id. Returns the messages that the model now gets. */
  report(uuid: string, state: string): readonly Steer[] {
    const about = this.#given.filter((one) => one.uuid === uuid && one.stage !== "read");
    if (state === "queued") for (const one of about) one.stage = "queued";
    if (state !== "started") return [];
    for (const one of about) one.stage = "read";
    return about.map(({ steer }) => steer);
  }

  /** Records that the model has got a message, as the record tells. */
  read(id: string): void {
    const given = this.#given.find((one) => one.steer.id === id);
    if (given !== undefined) given.stage = "read";
  }

  /** Makes all wait again, because the turn does. */
  again(): void {
    for (const given of this.#given) {
      given.stage = "waiting";
      given.uuid = undefined;
    }
  }
}
