/** A random generator with a seed (mulberry32), so that a run can be repeated. */
export class Chance {
  #state: number;

  constructor(seed: number | string) {
    this.#state = typeof seed === "number" ? seed | 0 : hashOf(seed);
  }

  /** Returns a number from 0 to below 1. */
  readonly random = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  /** Returns an integer from 0 to below `count`. */
  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  between(lowest: number, highest: number): number {
    return lowest + this.random() * (highest - lowest);
  }

  /** Returns true with this probability. */
  happens(probability: number): boolean {
    return this.random() < probability;
  }

  pick<Thing>(things: readonly Thing[]): Thing {
    const thing = things[this.below(things.length)];
    if (thing === undefined) throw new Error("there is nothing to pick from");
    return thing;
  }

  /** Returns a generator for `part`, so that the calls of one part do not affect the others. */
  of(part: string): Chance {
    return new Chance(`${this.#state}:${part}`);
  }
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}
