import type { Attributes, Meter, UpDownCounter } from "@opentelemetry/api";

/** Counts what has begun and not ended. What had begun before it was counted does not make the count negative. */
export class OpenCount {
  readonly #counter: UpDownCounter;
  readonly #open = new Map<string, Attributes>();

  constructor(meter: Meter, name: string, description: string, unit: string) {
    this.#counter = meter.createUpDownCounter(name, { description, unit });
  }

  begin(key: string, attributes: Attributes): void {
    if (this.#open.has(key)) return;
    this.#open.set(key, attributes);
    this.#counter.add(1, attributes);
  }

  /** Whether its beginning was counted. */
  end(key: string): boolean {
    const attributes = this.#open.get(key);
    if (attributes === undefined) return false;
    this.#open.delete(key);
    this.#counter.add(-1, attributes);
    return true;
  }
}
