/**
 * A `Map` for what is usually empty. An empty `Map` takes 180 bytes, nearly all of them for its table; this one has a table only while
 * it has entries. Ten thousand sessions have many such maps each.
 */
export class SparseMap<Key, Value> {
  #entries: Map<Key, Value> | undefined;

  get size(): number {
    return this.#entries?.size ?? 0;
  }

  get(key: Key): Value | undefined {
    return this.#entries?.get(key);
  }

  has(key: Key): boolean {
    return this.#entries?.has(key) === true;
  }

  set(key: Key, value: Value): void {
    this.#entries ??= new Map();
    this.#entries.set(key, value);
  }

  /** Returns whether there was an entry. */
  delete(key: Key): boolean {
    const had = this.#entries?.delete(key) === true;
    if (this.#entries?.size === 0) this.#entries = undefined;
    return had;
  }

  clear(): void {
    this.#entries = undefined;
  }

  keys(): MapIterator<Key> {
    return (this.#entries ?? NOTHING).keys();
  }

  values(): MapIterator<Value> {
    return (this.#entries ?? NOTHING).values();
  }

  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return (this.#entries ?? NOTHING)[Symbol.iterator]();
  }
}

const NOTHING: ReadonlyMap<never, never> = new Map<never, never>();
