import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Logger } from "../application/options/supervisor-options.ts";
import type { Clock, Timer } from "../clock.ts";
import type { CastellanError } from "../errors.ts";
import { invalidOptions } from "../session/options/validation.ts";

/** How often to look for a renewed certificate, in milliseconds. */
const EVERY_MS = 60_000;

/** Where a certificate chain and its key are, in PEM. */
export interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Reads a certificate and its key. @throws CastellanError `INVALID_OPTIONS` if a file cannot be read, or they do not fit */
export async function readCertificate(paths: CertificatePaths): Promise<CertificateFiles> {
  const read = async (field: keyof CertificatePaths): Promise<Buffer> => {
    try {
      return await readFile(paths[field]);
    } catch (error) {
      throw unusable(`tls.${field}`, error);
    }
  };
  const files = { cert: await read("cert"), key: await read("key") };
  try {
    createSecureContext(files);
  } catch (error) {
    throw unusable("tls", error);
  }
  return files;
}

/** Looks every minute for a renewed certificate: whoever renews it replaces the files, and the server goes on. */
export class CertificateRenewal implements Disposable {
  readonly #clock: Clock;
  readonly #paths: CertificatePaths;
  readonly #renewed: (files: CertificateFiles) => void;
  readonly #logger: Pick<Logger, "warn" | "info"> | undefined;
  #now: CertificateFiles;
  #timer: Timer | undefined;
  /** Why the files were unusable when last read. Told once. */
  #problem: string | undefined;
  #isOver = false;

  /** @param renewed takes the certificate for new connections */
  constructor(
    clock: Clock,
    paths: CertificatePaths,
    now: CertificateFiles,
    renewed: (files: CertificateFiles) => void,
    logger?: Pick<Logger, "warn" | "info">,
  ) {
    this.#clock = clock;
    this.#paths = paths;
    this.#now = now;
    this.#renewed = renewed;
    this.#logger = logger;
    this.#wait();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #wait(): void {
    if (!this.#isOver) this.#timer = this.#clock.schedule(EVERY_MS, () => void this.#look(), { background: true });
  }

  async #look(): Promise<void> {
    try {
      const files = await readCertificate(this.#paths);
      this.#problem = undefined;
      const isSame = files.cert.equals(this.#now.cert) && files.key.equals(this.#now.key);
      if (!isSame && !this.#isOver) {
        this.#renewed(files);
        this.#now = files;
        this.#logger?.info("The server has a renewed certificate.");
      }
    } catch (error) {
      // Certificate and key may be replaced one after the other.
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== this.#problem) this.#logger?.warn(`The server keeps its certificate: ${problem}`);
      this.#problem = problem;
    } finally {
      this.#wait();
    }
  }
}

/** Returns the error for an option of the server that cannot be used. */
export function unusable(field: string, error: unknown): CastellanError<"INVALID_OPTIONS"> {
  const words = error instanceof Error ? error.message : String(error);
  return invalidOptions("server", [{ field, message: `cannot be used: ${words}` }], error);
}
