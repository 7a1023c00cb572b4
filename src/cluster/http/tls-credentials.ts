import { Agent } from "node:https";
import type { SecureContextOptions } from "node:tls";
import type { Clock, Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";
import type { OptionProblem } from "../../errors.ts";
import { invalidOptions } from "../../session/options/validation.ts";
import {
  certificateIn,
  isProblem,
  readTlsFiles,
  rereadTlsFiles,
  type TlsFiles,
  type TlsPaths,
  tlsProblem,
} from "./tls-files.ts";

/** How often to look for replaced files, in milliseconds. */
const EVERY_MS = 10_000;

/** The part of a certificate's lifetime within which it should have been replaced. */
const LAST_PART = 0.1;

export interface TlsCredentialsDeps {
  readonly clock: Clock;
  readonly warn: (message: string) => void;
  /** The host by which others reach this machine; undefined for one that only calls others. */
  readonly host?: string | undefined;
  /** What is configured, and the path of `tls` in it without the last part, for errors. */
  readonly what: "supervisor" | "connect";
  readonly at: "cluster." | "";
}

/**
 * The certificate of this machine, its key, and the authorities that it trusts. Both sides of a connection show a
 * certificate, and accept only those of the authorities. It looks every ten seconds whether the files were replaced;
 * new connections then use the new ones, and open ones go on. Dispose of it after use.
 */
export class TlsCredentials implements Disposable {
  readonly #paths: TlsPaths;
  readonly #deps: TlsCredentialsDeps;
  readonly #renewed = new Set<(context: SecureContextOptions) => void>();
  #files: TlsFiles;
  #timer: Timer | undefined;
  /** What was wrong at the last look. */
  #problem: string | undefined;
  /** What the operator knows of the files, and of the lifetime of the certificate. */
  readonly #told: { files?: string; lifetime?: string } = {};
  #isOver = false;

  /** @throws CastellanError `INVALID_OPTIONS` if other nodes would refuse the certificate */
  constructor(paths: TlsPaths, deps: TlsCredentialsDeps) {
    this.#paths = paths;
    this.#deps = deps;
    const files = readTlsFiles(paths);
    const problem = isProblem(files) ? files : this.#problemOf(files);
    if (isProblem(files) || problem !== undefined) {
      const { field, message } = problem ?? { field: "tls", message: "" };
      throw invalidOptions(deps.what, [
        { field: `${deps.at}${field}`, message: `${message}; ${paths[fileOf(field)]}` },
      ]);
    }
    this.#files = files;
    this.#checkLifetime();
    this.#wait();
  }

  /** What a server, or the connections of an agent, are made of. */
  get context(): SecureContextOptions {
    return { ...this.#files, minVersion: "TLSv1.3" };
  }

  /** Identifies the current files. Another value means that they were replaced. */
  get version(): object {
    return this.#files;
  }

  /** Returns an agent for connections with the current files. */
  agent(): Agent {
    const { serverName } = this.#paths;
    return new Agent({ keepAlive: true, ...this.context, ...(serverName !== undefined && { servername: serverName }) });
  }

  /** Calls `renewed` with what replaces the current files. Returns a function that stops that. */
  onRenewed(renewed: (context: SecureContextOptions) => void): () => void {
    this.#renewed.add(renewed);
    return () => void this.#renewed.delete(renewed);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #wait(): void {
    if (this.#isOver) return;
    this.#timer = this.#deps.clock.schedule(EVERY_MS, () => void this.#look(), { background: true });
  }

  async #look(): Promise<void> {
    const files = await rereadTlsFiles(this.#paths);
    if (this.#isOver) return;
    const isSame = !isProblem(files) && FILES.every((name) => files[name].equals(this.#files[name]));
    const problem = isProblem(files) ? files : isSame ? undefined : this.#problemOf(files);
    if (problem !== undefined) this.#keep(problem);
    else {
      this.#problem = undefined;
      if (!isProblem(files) && !isSame) this.#take(files);
    }
    this.#checkLifetime();
    this.#wait();
  }

  #take(files: TlsFiles): void {
    this.#files = files;
    for (const renewed of this.#renewed) renewed(this.context);
  }

  /** The files are replaced one after the other, so only what stays wrong is told. */
  #keep({ field, message }: OptionProblem): void {
    const words = `\`${this.#deps.at}${field}\` ${message}`;
    if (words === this.#problem)
      this.#tell("files", `The files of \`${this.#deps.at}tls\` have changed, and are not used: ${words}.`);
    this.#problem = words;
  }

  #checkLifetime(): void {
    const { validFromDate: from, validToDate: to } = certificateIn(this.#files);
    const left = to.getTime() - this.#deps.clock.now();
    if (left > LAST_PART * (to.getTime() - from.getTime())) return;
    const words =
      left > 0 ? `expires at ${to.toISOString()}, in ${formatDuration(left)}` : `expired at ${to.toISOString()}`;
    const then = left > 0 ? "other nodes will refuse" : "other nodes refuse";
    this.#tell(
      "lifetime",
      `The certificate in \`${this.#deps.at}tls.cert\` ${words}; ${then} this machine. Replace the files: no restart is needed.`,
      `${to.getTime()} ${left > 0}`,
    );
  }

  #tell(about: "files" | "lifetime", message: string, what = message): void {
    if (this.#told[about] === what) return;
    this.#told[about] = what;
    this.#deps.warn(message);
  }

  #problemOf(files: TlsFiles): OptionProblem | undefined {
    const { clock, host } = this.#deps;
    return tlsProblem(files, { now: clock.now(), host, serverName: this.#paths.serverName });
  }
}

/** What servers and callers need of the credentials. */
export type TlsIdentity = Pick<TlsCredentials, "context" | "version" | "agent" | "onRenewed">;

const FILES = ["ca", "cert", "key"] as const;

function fileOf(field: string): keyof TlsFiles {
  return FILES.find((name) => field === `tls.${name}`) ?? "cert";
}
