import type { SessionKey, SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../errors.ts";
import { notOpen } from "./postgres-fault.ts";
import { PostgresOnUse } from "./postgres-on-use.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import type { PostgresTables } from "./postgres-schema.ts";
import { TRANSCRIPT_TABLES } from "./postgres-transcript-tables.ts";
import {
  append,
  type FencedWrite,
  load,
  remove,
  sessionHash,
  subpaths,
  summaries,
  toAppend,
} from "./postgres-transcripts.ts";

/** Who uses the transcripts, and how. */
export interface TranscriptUse {
  /** Under which project what has this key is kept. Default: under its own. */
  readonly project?: string;
  /**
   * Is asked when an append or a deletion is asked for.
   *
   * @throws CastellanError `NOT_OWNER` if nothing may be written
   */
  readonly fenced?: () => FencedWrite;
}

/** Less than the minute after which the SDK gives a call up for lost: one that was refused is tried again. */
const STATEMENT_MS = 45_000;

/**
 * Where transcripts in one place of PostgreSQL are read and written, over a few connections, which are made on first use. What
 * is appended to a session, and deleted of it, takes effect in the order of the calls.
 */
export class PostgresTranscriptDesk {
  readonly #label: string;
  readonly #database: PostgresOnUse;
  #closed: Promise<void> | undefined;
  /** The last call of each session that has any under way. */
  readonly #lines = new Map<string, Promise<void>>();

  /** @param tables what is needed besides the tables of transcripts */
  constructor(place: PostgresPlace, tables: readonly PostgresTables[] = []) {
    this.#label = `The session store ${place.label}`;
    this.#database = new PostgresOnUse(place, "session store", { timeoutMs: STATEMENT_MS }, [
      TRANSCRIPT_TABLES,
      ...tables,
    ]);
  }

  /** A session store for one use of the transcripts, with all methods that the Agent SDK knows. */
  store({ project, fenced }: TranscriptUse = {}): Required<SessionStore> {
    const kept = <Key extends { readonly projectKey: string }>(key: Key): Key =>
      project === undefined ? key : { ...key, projectKey: project };
    return {
      append: async (given, entries) => {
        this.#refuse(given);
        if (entries.length === 0) return;
        const [key, write, appended] = [kept(given), fenced?.(), toAppend(entries)];
        await this.#inLine(key, async () => await append(await this.#database.use(), key, appended, write));
      },
      load: async (key) => {
        this.#refuse(key);
        return await load(await this.#database.use(), kept(key));
      },
      listSessions: async (projectKey) =>
        (await this.#summaries(project ?? projectKey)).map(({ sessionId, mtime }) => ({ sessionId, mtime })),
      listSessionSummaries: (projectKey) => this.#summaries(project ?? projectKey),
      delete: async (given) => {
        this.#refuse(given);
        const [key, write] = [kept(given), fenced?.()];
        await this.#inLine(key, async () => await remove(await this.#database.use(), key, write?.fence));
      },
      listSubkeys: async (key) => {
        this.#refuse();
        return await subpaths(await this.#database.use(), kept(key));
      },
    };
  }

  /** Lets what is under way come to its end, and closes the connections. What has been stored stays. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #summaries(projectKey: string): ReturnType<typeof summaries> {
    this.#refuse();
    return await summaries(await this.#database.use(), projectKey);
  }

  #refuse({ subpath }: Partial<SessionKey> = {}): void {
    if (this.#closed !== undefined) throw notOpen(this.#label);
    if (subpath === "") throw emptySubpath();
  }

  async #inLine(key: SessionKey, call: () => Promise<void>): Promise<void> {
    const line = sessionHash(key).toString("hex");
    const result = (this.#lines.get(line) ?? Promise.resolve()).then(call);
    const over = result.catch(() => {});
    this.#lines.set(line, over);
    await over;
    if (this.#lines.get(line) === over) this.#lines.delete(line);
    await result;
  }

  async #finish(): Promise<void> {
    while (this.#lines.size > 0) await Promise.all(this.#lines.values());
    await this.#database.close();
  }
}

function emptySubpath(): CastellanError<"INVALID_OPTIONS"> {
  const message = "must not be empty; leave it out for the main transcript";
  return new CastellanError("INVALID_OPTIONS", `The key of a transcript: \`subpath\`: ${message}.`, {
    details: { problems: [{ field: "subpath", message }] },
  });
}
