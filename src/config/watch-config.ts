import { createHash } from "node:crypto";
import { readFile, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Clock, systemClock, type Timer } from "../clock.ts";
import { type ConfigSource, type LoadedConfig, loadConfig } from "./load-config.ts";

/** The polling interval. A change is loaded once two polls have seen the same content, since a file may be half written. */
const POLL_MS = 200;

/** The maximum number of tries to load a config that changes while it is loaded. */
const MAX_READS = 5;

/** A config and the digest of its files. */
export interface ConfigSnapshot {
  readonly loaded: LoadedConfig;
  readonly digest: string;
}

/**
 * Loads a config together with a digest that matches it, so that a later comparison misses no change.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export async function readSnapshot(source: ConfigSource): Promise<ConfigSnapshot> {
  let loaded = await loadConfig(source);
  for (let reads = 1; ; reads++) {
    const digest = await digestOf(loaded.files, source);
    const again = await loadConfig(source);
    const after = await digestOf(again.files, source);
    if (digest === after || reads === MAX_READS) return { loaded: again, digest };
    loaded = again;
  }
}

/**
 * Polls the files of a config and reports changes of their content, including replaced files and link targets, as by editors,
 * deployments and Kubernetes' ConfigMaps. File system events cover these cases unreliably.
 */
export class ConfigWatch {
  readonly #source: ConfigSource;
  readonly #clock: Clock;
  readonly #changed: () => Promise<ConfigSnapshot | undefined>;
  #files: readonly string[];
  /** The digest of the loaded config, and the digest of the last poll. */
  #known: string;
  #seen: string;
  #timer: Timer | undefined;
  #stopped = false;

  /** @param changed called on a change; resolves with the loaded config, or undefined if loading failed */
  constructor(
    { loaded, digest }: ConfigSnapshot,
    source: ConfigSource,
    changed: () => Promise<ConfigSnapshot | undefined>,
    clock: Clock = systemClock,
  ) {
    this.#source = source;
    this.#clock = clock;
    this.#changed = changed;
    this.#files = loaded.files;
    this.#known = digest;
    this.#seen = digest;
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #next(): void {
    if (!this.#stopped) this.#timer = this.#clock.schedule(POLL_MS, () => void this.#poll(), { background: true });
  }

  async #poll(): Promise<void> {
    const seen = await digestOf(this.#files, this.#source);
    const steady = seen === this.#seen;
    this.#seen = seen;
    if (steady && seen !== this.#known && !this.#stopped) {
      this.#known = seen;
      const read = await this.#changed();
      if (read !== undefined) {
        this.#files = read.loaded.files;
        this.#known = read.digest;
        this.#seen = read.digest;
      }
    }
    this.#next();
  }
}

/**
 * Returns a digest of the files' content; missing files count. c12 resolves links, so the first file is also read at its original
 * path.
 */
async function digestOf(files: readonly string[], { file = "", cwd = process.cwd() }: ConfigSource): Promise<string> {
  const [first = ""] = files;
  const found = [file, join(dirname(file), basename(first))];
  const paths = new Set([...found, ...files].map((path) => resolve(cwd, path)));
  const hash = createHash("sha256");
  for (const path of paths) {
    const content = await readFile(path).catch(() => undefined);
    const state = content === undefined ? "missing" : `${await realpath(path).catch(() => "")} ${content.length}`;
    hash.update(`${path}\0${state}\0`);
    if (content !== undefined) hash.update(content);
  }
  return hash.digest("base64url");
}
