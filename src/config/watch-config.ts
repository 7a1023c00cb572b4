import { createHash } from "node:crypto";
import { readFile, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Clock, systemClock, type Timer } from "../clock.ts";
import { type ConfigSource, type LoadedConfig, loadConfig } from "./load-config.ts";

/** How often the files are looked at. What has changed is read when it was the same twice, since it may be half written. */
const LOOK_MS = 200;

/** How often a configuration is read that changes while it is read. */
const MOST_READS = 5;

/** A configuration, and the digest of the files that it was read from. */
export interface SteadyConfig {
  readonly loaded: LoadedConfig;
  readonly digest: string;
}

/**
 * Reads a configuration of which it is known that its files were the same before and afterwards, so that no change is missed by
 * whoever looks at them from then on.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export async function readSteadily(source: ConfigSource): Promise<SteadyConfig> {
  let loaded = await loadConfig(source);
  for (let reads = 1; ; reads++) {
    const digest = await digestOf(loaded.files, source);
    const again = await loadConfig(source);
    const after = await digestOf(again.files, source);
    if (digest === after || reads === MOST_READS) return { loaded: again, digest };
    loaded = again;
  }
}

/**
 * Looks at the files of a configuration again and again, and tells when what is in them has changed: also if a file, or a folder that a
 * link leads to, was put in the place of another one, as editors, deployments and Kubernetes' ConfigMaps do. File systems tell of that
 * in many ways, and of some not at all.
 */
export class ConfigWatch {
  readonly #source: ConfigSource;
  readonly #clock: Clock;
  readonly #changed: () => Promise<SteadyConfig | undefined>;
  #files: readonly string[];
  /** What is known, and what was seen the last time. */
  #known: string;
  #seen: string;
  #timer: Timer | undefined;
  #over = false;

  /** `changed` is called when there is something new; it gives what has been read, or nothing if that was in vain. */
  constructor(
    { loaded, digest }: SteadyConfig,
    source: ConfigSource,
    changed: () => Promise<SteadyConfig | undefined>,
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
    this.#over = true;
    this.#timer?.cancel();
  }

  #next(): void {
    if (!this.#over) this.#timer = this.#clock.schedule(LOOK_MS, () => void this.#look(), { background: true });
  }

  async #look(): Promise<void> {
    const seen = await digestOf(this.#files, this.#source);
    const steady = seen === this.#seen;
    this.#seen = seen;
    if (steady && seen !== this.#known && !this.#over) {
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
 * Of what the files have in them. One that is not there counts, too. The library gives files without the links that lead to them, so
 * that the first is also looked for where it was found.
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
