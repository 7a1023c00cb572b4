/** What stands for all names beyond the limit. OpenTelemetry's word for that. */
const OTHER = "_OTHER";

/** Names that may be values of an attribute: the first ones, up to a limit, for as long as this lives, so that a series keeps its name. */
export class LimitedNames {
  readonly #limit: number;
  readonly #known = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  of(name: string): string {
    if (this.#known.size < this.#limit) this.#known.add(name);
    return this.#known.has(name) ? name : OTHER;
  }
}
